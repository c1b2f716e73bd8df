"""What dead workers leave behind, on every database: who is suspect, who is blamed, and who is told of a run's end."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import Connection, RowMapping, event, insert, select

from bcce.kit.clock import SystemClock
from bcce.kit.ids import DEFAULT_TENANT, Ids, RunId
from bcce.runtime.tables import metadata
from bcce.storage.doors import Append, Database, Fence, open_database
from bcce.workflows import repository
from bcce.workflows.journal import Journal
from bcce.workflows.model import DEFINITION_FORMAT, RunState
from bcce.workflows.suspects import repository as suspects
from bcce.workflows.tables import definitions, runs, workers

CLOCK = SystemClock()
IDS = Ids(CLOCK)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, clock=CLOCK, ids=IDS, fence_table=runs) as opened:
        await opened.migrate(metadata.create_all)
        yield opened


@pytest.fixture
def journal(db: Database) -> Journal:
    return Journal(db, CLOCK, IDS)


async def new_runs(db: Database, count: int, **changes: object) -> list[RunId]:
    run_ids, definition_id, now = [RunId(IDS.new("run")) for _ in range(count)], IDS.new("def"), CLOCK.now()
    values: Mapping[str, object] = {"tenant_id": DEFAULT_TENANT, "created_at": now}
    row = {"definition_format": DEFINITION_FORMAT, "workflow": "w", "queue": "default", "priority": 100, "state": "active", "inputs": {}}
    zero = {"wake_at": now, "wake_seq": 1, "seen_seq": 0, "epoch": 0, "suspect": False, "crashes": 0, "correlation_id": "cor_x"}

    def write(conn: Connection) -> None:
        about = {"name": "w", "digest": "d", "format": DEFINITION_FORMAT, "source": "s", "origin": "o", "is_current": True}
        conn.execute(insert(definitions), [{**values, **about, "id": definition_id}])
        conn.execute(insert(runs), [{**values, **row, **zero, **changes, "id": each, "definition_id": definition_id} for each in run_ids])

    await db.write(write)
    return run_ids


async def row_of(db: Database, run_id: RunId) -> RowMapping:
    return await db.read(lambda conn: conn.execute(select(runs).where(runs.c.id == run_id)).mappings().one())


async def die(db: Database, worker: str) -> dict[str, int]:
    """The worker's lease ends, and another one looks."""
    await db.write(lambda conn: conn.execute(workers.delete().where(workers.c.id == worker)))
    return await db.write(lambda conn: suspects.take_from_dead(conn, "wrk_other"))


async def test_of_many_nobody_is_blamed_and_the_company_halves(db: Database, journal: Journal) -> None:
    run_ids = await new_runs(db, 5)
    for run_id in run_ids:
        assert await journal.claim(run_id, "wrk_a") is not None

    assert await die(db, "wrk_a") == {"wrk_a": 5}

    rows = [await row_of(db, run_id) for run_id in run_ids]
    assert {(row["suspect"], row["company"], row["deaths"], row["crashes"], row["lease_owner"]) for row in rows} == {(True, 2, 1, 0, None)}
    assert await db.read(lambda conn: repository.due(conn, 10, worker="wrk_other", held=())) == []
    due = await db.read(lambda conn: suspects.due_suspects(conn, 10, worker="wrk_other"))
    assert {suspect.id for suspect in due} == set(run_ids)


async def test_who_was_alone_is_blamed_until_it_gets_on(db: Database, journal: Journal) -> None:
    (run_id,) = await new_runs(db, 1)
    for deaths in (1, 2, 3):
        run = await journal.claim(run_id, "wrk_a", even_suspect=True)
        assert run is not None
        assert await die(db, "wrk_a") == {"wrk_a": 1}
        row = await row_of(db, run_id)
        assert (row["crashes"], row["deaths"], row["company"]) == (deaths, deaths, 1)

    run = await journal.claim(run_id, "wrk_b", even_suspect=True)
    assert run is not None
    await db.append(Append(items=(suspects.progressed(run_id),), fences=(Fence(run_id, run.epoch, True),)))
    assert ((await row_of(db, run_id))["crashes"], (await row_of(db, run_id))["deaths"]) == (0, 3)
    assert await journal.park(run, seen=run.wake_seq, wake_at=None)
    row = await row_of(db, run_id)
    assert (row["suspect"], row["company"], row["deaths"]) == (False, 0, 0)


async def test_a_cleared_run_is_as_any_other(db: Database, journal: Journal) -> None:
    run_ids = await new_runs(db, 2)
    for run_id in run_ids:
        await journal.claim(run_id, "wrk_a")
    await die(db, "wrk_a")
    await journal.claim(run_ids[0], "wrk_b", even_suspect=True)

    await db.write(lambda conn: suspects.clear(conn, run_ids, "wrk_b"))

    # The other one is nobody's, so `wrk_b` has nothing to say about it.
    assert [(await row_of(db, run_id))["suspect"] for run_id in run_ids] == [False, True]


async def test_a_living_worker_and_oneself_lose_nothing(db: Database, journal: Journal) -> None:
    first, second = await new_runs(db, 2)
    await journal.heartbeat("wrk_alive", "wrk_alive", 30)
    await journal.claim(first, "wrk_alive")
    await journal.claim(second, "wrk_other")

    assert await db.write(lambda conn: suspects.take_from_dead(conn, "wrk_other")) == {}
    assert [(await row_of(db, run_id))["lease_owner"] for run_id in (first, second)] == ["wrk_alive", "wrk_other"]


async def test_a_worker_that_ends_in_order_makes_nobody_suspect(db: Database, journal: Journal) -> None:
    (run_id,) = await new_runs(db, 1)
    await journal.heartbeat("wrk_a", "wrk_a", 30)
    await journal.claim(run_id, "wrk_a")

    await db.write(lambda conn: suspects.forget_worker(conn, "wrk_a"))

    assert await db.write(lambda conn: suspects.take_from_dead(conn, "wrk_b")) == {}
    taken = await journal.claim(run_id, "wrk_b")
    assert taken is not None
    assert (taken.suspect, taken.crashes, taken.epoch) == (False, 0, 3)


async def test_the_end_of_a_run_is_told_once_to_the_one_that_started_it(db: Database) -> None:
    (parent_id,) = await new_runs(db, 1, wake_at=None)
    (run_id,) = await new_runs(db, 1, parent_id=parent_id)
    (alone,) = await new_runs(db, 1)
    for each in (run_id, alone):
        items = repository.end_run(each, RunState.COMPLETED, output={}, error=None)
        await db.append(Append(items=tuple(items), fences=(Fence(each, 0, True),)))

    assert await db.read(lambda conn: repository.untold(conn, 10)) == [(run_id, parent_id)]
    await db.write(lambda conn: repository.tell_parent(conn, run_id, parent_id))

    assert await db.read(lambda conn: repository.untold(conn, 10)) == []
    assert (await row_of(db, parent_id))["wake_seq"] == 2
    # A fact that comes after a run's end does not make it one that is to be told of.
    await db.write(lambda conn: repository.bump(conn, run_id))
    assert await db.read(lambda conn: repository.untold(conn, 10)) == []


QUESTIONS: list[Callable[[Connection], object]] = [
    lambda conn: repository.due(conn, 500, worker="wrk_a", held=()),
    lambda conn: repository.untold(conn, 500),
    lambda conn: suspects.due_suspects(conn, 200, worker="wrk_a"),
    lambda conn: suspects.dead_owners(conn, "wrk_a"),
]


async def test_what_a_sweep_costs_does_not_grow_with_the_number_of_parked_runs(db: Database) -> None:
    """The sweep's questions are answered from an index."""
    for _ in range(10):
        await new_runs(db, 1_000, wake_at=None)
    await new_runs(db, 20)
    if db.dialect == "postgresql":
        await db.write(lambda conn: conn.exec_driver_sql("ANALYZE runs"))

    plans = await db.read(lambda conn: [plan_of(conn, question) for question in QUESTIONS])

    for plan in plans:
        tables = [line for line in plan.splitlines() if "runs" in line]
        assert any("ix_runs_" in line for line in tables), plan
        assert not any("Seq Scan on runs" in line or "| ALL |" in line for line in tables), plan


def plan_of(conn: Connection, question: Callable[[Connection], object]) -> str:
    """How the database answers the statement that `question` sends."""
    sent: list[tuple[str, Any]] = []

    def note(conn: Connection, cursor: object, statement: str, parameters: Any, context: object, many: bool) -> None:
        if statement.lstrip().startswith("SELECT"):
            sent.append((statement, parameters))

    event.listen(conn.engine, "before_cursor_execute", note)
    try:
        question(conn)
    finally:
        event.remove(conn.engine, "before_cursor_execute", note)
    ((statement, parameters),) = sent
    how = "EXPLAIN QUERY PLAN " if conn.dialect.name == "sqlite" else "EXPLAIN "
    return "\n".join(" | ".join(map(str, row)) for row in conn.exec_driver_sql(how + statement, parameters))
