"""The journal's contract on every database: fact, claim, park, fence, group, takeover, and a deadlock that is retried."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, update

from bcce.kit.clock import SystemClock
from bcce.kit.errors import Conflict
from bcce.kit.ids import DEFAULT_TENANT, Ids, RunId
from bcce.runtime.tables import metadata
from bcce.storage.doors import Append, Database, Fence, open_database
from bcce.storage.errors import StaleEpoch
from bcce.workflows import repository
from bcce.workflows.errors import RunEnded, UnknownRun
from bcce.workflows.journal import Journal, add_items, record_fact, wake
from bcce.workflows.model import DEFINITION_FORMAT, Effect, RunState, StepRecord, StepState
from bcce.workflows.suspects import repository as suspects
from bcce.workflows.tables import definitions, runs

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


async def new_run(db: Database, *, known_format: bool = True) -> RunId:
    run_id, definition_id, now = RunId(IDS.new("run")), IDS.new("def"), CLOCK.now()
    number = DEFINITION_FORMAT if known_format else 999
    values = {"tenant_id": DEFAULT_TENANT, "created_at": now}

    def write(conn: Connection) -> None:
        about = {"name": "w", "digest": "d", "format": number, "source": "s", "origin": "o", "is_current": True}
        conn.execute(definitions.insert(), [{**values, **about, "id": definition_id}])
        row = {"definition_format": number, "workflow": "w", "queue": "default", "priority": 100, "state": "active", "inputs": {}}
        zero = {"wake_at": now, "wake_seq": 1, "seen_seq": 0, "epoch": 0, "suspect": False, "crashes": 0, "correlation_id": "cor_x"}
        conn.execute(runs.insert(), [{**values, **row, **zero, "id": run_id, "definition_id": definition_id}])

    await db.write(write)
    return run_id


async def test_a_claim_goes_to_one_of_many(db: Database, journal: Journal) -> None:
    run_id = await new_run(db)
    workers = [IDS.new("wrk") for _ in range(8)]
    for worker in workers:
        await journal.heartbeat(worker, worker, 30)

    claims = await asyncio.gather(*(journal.claim(run_id, worker) for worker in workers))

    assert [claim.epoch for claim in claims if claim is not None] == [1]


async def test_a_run_of_a_dead_worker_is_suspect_and_only_claimed_as_such(db: Database, journal: Journal) -> None:
    run_id = await new_run(db)
    await journal.heartbeat("wrk_dead", "wrk_dead", -1)
    await journal.heartbeat("wrk_new", "wrk_new", 30)
    assert await journal.claim(run_id, "wrk_dead") is not None

    assert await journal.claim(run_id, "wrk_new") is None
    assert await db.write(lambda conn: suspects.take_from_dead(conn, "wrk_new")) == {"wrk_dead": 1}
    assert await journal.claim(run_id, "wrk_new") is None
    taken = await journal.claim(run_id, "wrk_new", even_suspect=True)

    assert taken is not None
    assert (taken.epoch, taken.suspect, taken.crashes) == (3, True, 1)


async def test_a_run_of_an_unknown_format_is_not_claimed_and_says_so(db: Database, journal: Journal) -> None:
    run_id = await new_run(db, known_format=False)

    assert await journal.claim(run_id, "wrk_a") is None
    await db.write(repository.park_unknown_formats)
    run = await db.read(lambda conn: repository.get_run(conn, run_id))
    assert run is not None
    assert run.state is RunState.NEEDS_UPGRADE


async def test_an_older_release_leaves_alone_what_a_newer_one_advances(db: Database, journal: Journal) -> None:
    run_id = await new_run(db, known_format=False)
    await db.write(lambda conn: conn.execute(update(runs).where(runs.c.id == run_id).values(lease_owner="wrk_newer")) and None)

    assert await db.write(repository.park_unknown_formats) == 0
    run = await db.read(lambda conn: repository.get_run(conn, run_id))
    assert run is not None
    assert (run.state, run.lease_owner) == (RunState.ACTIVE, "wrk_newer")


async def test_a_fact_before_the_park_makes_the_park_fail(db: Database, journal: Journal) -> None:
    run_id = await new_run(db)
    run = await journal.claim(run_id, "wrk_a")
    assert run is not None
    await db.write(lambda conn: record_fact(conn, run_id))

    assert await journal.park(run, seen=run.wake_seq, wake_at=None) is False
    assert await journal.park(run, seen=run.wake_seq + 1, wake_at=None) is True


async def test_a_fact_after_the_park_makes_the_run_due(db: Database, journal: Journal) -> None:
    run_id = await new_run(db)
    run = await journal.claim(run_id, "wrk_a")
    assert run is not None
    assert await journal.park(run, seen=run.wake_seq, wake_at=CLOCK.now() + timedelta(hours=1))
    assert await db.read(lambda conn: repository.due(conn, 10, worker="wrk_other", held=())) == []

    assert await db.write(lambda conn: wake(conn, run_id))

    assert [row[0] for row in await db.read(lambda conn: repository.due(conn, 10, worker="wrk_other", held=()))] == [run_id]


async def test_racing_facts_and_parks_never_lose_a_wake_up(db: Database, journal: Journal) -> None:
    """Whatever the order, the run ends either unparked or due."""
    for _ in range(25):
        run_id = await new_run(db)
        run = await journal.claim(run_id, "wrk_a")
        assert run is not None

        parked, _ = await asyncio.gather(
            journal.park(run, seen=run.wake_seq, wake_at=None),
            db.write(lambda conn, key=run_id: wake(conn, key)),  # type: ignore[misc]
        )

        is_due = run_id in [row[0] for row in await db.read(lambda conn: repository.due(conn, 1000, worker="wrk_other", held=()))]
        assert is_due or not parked


async def test_a_stale_worker_cannot_append_or_write(db: Database, journal: Journal) -> None:
    run_id = await new_run(db)
    await journal.heartbeat("wrk_dead", "wrk_dead", -1)
    old = await journal.claim(run_id, "wrk_dead")
    assert old is not None
    await db.write(lambda conn: suspects.take_from_dead(conn, "wrk_new"))
    new = await journal.claim(run_id, "wrk_new", even_suspect=True)
    assert new is not None
    record = StepRecord(key="a", attempt=1, state=StepState.COMPLETED, type="t", started_at=CLOCK.now(), output={})

    with pytest.raises(StaleEpoch):
        await journal.append(old, journal.started(old, record, Effect.PURE, "x"))
    with pytest.raises(StaleEpoch):
        await journal.write(old, lambda conn: None)

    await journal.append(new, journal.started(new, record, Effect.PURE, "x"))
    assert list(await db.read(lambda conn: repository.get_records(conn, run_id))) == ["a"]


async def test_a_stale_append_in_a_group_harms_no_other_run(db: Database, journal: Journal) -> None:
    fresh = [await journal.claim(await new_run(db), "wrk_a") for _ in range(20)]
    record = StepRecord(key="a", attempt=1, state=StepState.COMPLETED, type="t", started_at=CLOCK.now(), output={})
    good = [run for run in fresh if run is not None]
    stale = Append(items=tuple(journal.started(good[0], record, Effect.PURE, "x")), fences=(Fence(good[0].id, 99),))

    results = await asyncio.gather(
        db.append(stale), *(journal.append(run, journal.started(run, record, Effect.PURE, "x")) for run in good[1:]), return_exceptions=True
    )

    assert isinstance(results[0], StaleEpoch)
    assert results[1:] == [None] * 19


async def test_a_fact_of_a_run_that_is_over_is_refused(db: Database) -> None:
    run_id = await new_run(db)
    await db.write(lambda conn: add_items(conn, repository.end_run(run_id, RunState.COMPLETED, output={}, error=None)))

    with pytest.raises(RunEnded):
        await db.write(lambda conn: record_fact(conn, run_id))
    with pytest.raises(UnknownRun):
        await db.write(lambda conn: record_fact(conn, RunId("run_nobody")))
    assert issubclass(RunEnded, Conflict)
    assert await db.write(lambda conn: wake(conn, run_id)) is False


async def test_a_deadlock_is_retried_as_a_whole(db: Database) -> None:
    first, second = await new_run(db), await new_run(db)

    def cross(one: RunId, other: RunId):  # type: ignore[no-untyped-def]
        def write(conn: Connection) -> None:
            for run_id in (one, other):
                conn.execute(update(runs).where(runs.c.id == run_id).values(crashes=runs.c.crashes + 1))

        return write

    await asyncio.gather(*(db.write(cross(first, second) if number % 2 else cross(second, first)) for number in range(16)))

    found = [await db.read(lambda conn, key=key: repository.get_run(conn, key)) for key in (first, second)]  # type: ignore[misc]
    assert [run.crashes for run in found if run is not None] == [16, 16]
