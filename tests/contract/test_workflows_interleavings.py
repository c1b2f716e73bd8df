"""No order of facts, claims and parks loses a wake-up: every order there is, one after the other, with the engine's own statements."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Connection, select

from bcce.kit.clock import SystemClock
from bcce.kit.ids import DEFAULT_TENANT, Ids, RunId
from bcce.runtime.tables import metadata
from bcce.storage.doors import Database, open_database
from bcce.workflows import repository
from bcce.workflows.model import DEFINITION_FORMAT
from bcce.workflows.suspects import repository as suspects
from bcce.workflows.tables import definitions, runs, workers

CLOCK = SystemClock()
IDS = Ids(CLOCK)
DEFINITION = "def_interleavings"


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, clock=CLOCK, ids=IDS, fence_table=runs) as opened:
        await opened.migrate(metadata.create_all)
        yield opened


@dataclass
class Worker:
    """A worker with a run: it claims it, looks at what is recorded, and parks it, looking again when the park fails."""

    name: str
    epoch: int | None = None
    seen: int | None = None
    has_seen: set[str] = field(default_factory=set)

    def claim(self, conn: Connection, run_id: RunId, facts: list[str]) -> None:
        # Neither has a heartbeat, so each takes over from the other.
        suspects.take_from_dead(conn, self.name)
        claimed = repository.claim(conn, [run_id], self.name, [run_id]).get(run_id)
        self.epoch = claimed.epoch if claimed is not None else None

    def look(self, conn: Connection, run_id: RunId, facts: list[str]) -> None:
        run = repository.get_run(conn, run_id)
        if self.epoch is not None and run is not None:
            self.seen = run.wake_seq
            self.has_seen = set(facts)

    def park(self, conn: Connection, run_id: RunId, facts: list[str]) -> None:
        while self.epoch is not None and self.seen is not None:
            if repository.park(conn, run_id, epoch=self.epoch, seen=self.seen, wake_at=None):
                self.epoch = None
                return
            run = repository.get_run(conn, run_id)
            if run is None or run.epoch != self.epoch:
                self.epoch = None
                return
            self.look(conn, run_id, facts)


def orders(remaining: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Every order in which actors with so many steps each can take turns."""
    if not any(remaining):
        yield ()
    for actor, left in enumerate(remaining):
        if left:
            rest = tuple(number - (place == actor) for place, number in enumerate(remaining))
            for following in orders(rest):
                yield (actor, *following)


def play(conn: Connection, number: int, order: tuple[int, ...]) -> str | None:
    """What is wrong at the end of one order; None when nothing is."""
    run_id = RunId(f"run_{number:05d}")
    now = CLOCK.now()
    zero = {"wake_at": now, "wake_seq": 1, "seen_seq": 0, "epoch": 0, "suspect": False, "crashes": 0, "correlation_id": "cor_x"}
    about = {"definition_format": DEFINITION_FORMAT, "workflow": "w", "queue": "default", "priority": 100, "state": "active", "inputs": {}}
    conn.execute(
        runs.insert(), [{"id": run_id, "tenant_id": DEFAULT_TENANT, "definition_id": DEFINITION, "created_at": now, **about, **zero}]
    )
    both = (Worker("wrk_a"), Worker("wrk_b"))
    facts: list[str] = []
    turns = [0, 0, 0, 0]
    for actor in order:
        turn, turns[actor] = turns[actor], turns[actor] + 1
        if actor >= len(both):
            repository.bump(conn, run_id)
            facts.append(f"fact {actor}")
        else:
            (both[actor].claim, both[actor].look, both[actor].park)[turn](conn, run_id, facts)
    row = conn.execute(select(runs.c.wake_at, runs.c.lease_owner, runs.c.wake_seq, runs.c.seen_seq).where(runs.c.id == run_id)).one()
    seen = set().union(*(worker.has_seen for worker in both))
    owned = row.lease_owner is not None
    is_due = row.wake_at is not None and not owned
    if set(facts) - seen and not is_due and not owned:
        return f"{order}: {sorted(set(facts) - seen)} will never be seen"
    if owned and all(worker.epoch is None for worker in both):
        return f"{order}: owned by somebody who has let go"
    return None


async def test_no_order_loses_a_fact(db: Database) -> None:
    def every(conn: Connection) -> list[str]:
        now = CLOCK.now()
        about = {"name": "w", "digest": "d", "format": DEFINITION_FORMAT, "source": "s", "origin": "o", "is_current": True}
        conn.execute(definitions.insert(), [{"tenant_id": DEFAULT_TENANT, "created_at": now, **about, "id": DEFINITION}])
        for name in ("wrk_a", "wrk_b"):
            values = {"id": name, "incarnation": name, "started_at": now, "lease_until": CLOCK.now().replace(year=now.year + 1)}
            conn.execute(workers.insert(), [values])
        # On servers with one fact less: each statement there is a round trip.
        is_embedded = conn.dialect.name == "sqlite"
        played = [play(conn, number, order) for number, order in enumerate(orders((3, 3, 1, 1 if is_embedded else 0)))]
        assert len(played) == (1120 if is_embedded else 140)
        return [problem for problem in played if problem is not None]

    assert await db.write(every) == []
