"""Logs on every database: lines under the events they were stored with, read in the order of positions, of one run only."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.contract.test_workflows_journal import new_run

from bcce.kit.clock import SystemClock
from bcce.kit.ids import Ids, RunId
from bcce.runtime.tables import metadata
from bcce.security.actor import Actor, system_actor
from bcce.storage.doors import Database, Item, open_database
from bcce.storage.errors import StaleEpoch
from bcce.workflows.errors import UnknownRun
from bcce.workflows.expressions import Expressions
from bcce.workflows.journal import Journal
from bcce.workflows.logs import repository
from bcce.workflows.logs.logbook import Logbook
from bcce.workflows.logs.model import LogLimits, LogLine, StepLog
from bcce.workflows.logs.service import RunLogs
from bcce.workflows.model import Run, StepRecord, StepState
from bcce.workflows.service import WorkflowService
from bcce.workflows.tables import runs

CLOCK = SystemClock()
IDS = Ids(CLOCK)
ACTOR: Actor = system_actor("test")
LIMITS = LogLimits(lines=5, bytes=10_000)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, clock=CLOCK, ids=IDS, fence_table=runs) as opened:
        await opened.migrate(metadata.create_all)
        yield opened


def logs_of(db: Database) -> RunLogs:
    return RunLogs(db, WorkflowService(db=db, clock=CLOCK, ids=IDS, step_types={}, expressions=Expressions(), connectors={}))


async def claimed(db: Database) -> Run:
    run = await Journal(db, CLOCK, IDS).claim(await new_run(db), "wrk_a")
    assert run is not None
    return run


def record(key: str, state: StepState = StepState.STARTED) -> StepRecord:
    now = CLOCK.now()
    return StepRecord(key=key, attempt=1, state=state, type="t", started_at=now, ended_at=now if state is StepState.COMPLETED else None)


async def lines_of(db: Database, run_id: RunId, count: int, *, limit: int = 500) -> list[LogLine]:
    """All lines, as soon as there are `count`: on a server the leader gives positions a moment later."""
    found: list[LogLine] = []
    for _ in range(500):
        found, cursor = [], None
        while True:
            page = await logs_of(db).page(ACTOR, run_id, after=cursor, limit=limit)
            found += page.lines
            cursor = page.next
            if cursor is None:
                break
        if len(found) >= count:
            break
        await asyncio.sleep(0.02)
    return found


async def test_lines_are_read_before_the_event_they_were_stored_with(db: Database) -> None:
    run, journal = await claimed(db), Journal(db, CLOCK, IDS)
    logbook = Logbook(journal, CLOCK, LIMITS)
    log = logbook.say(None, "info", "grün\n\U0001f600", {"status": 200}, is_continued=False)
    ended = record("a", StepState.COMPLETED)
    items: list[Item] = [journal.step_event(run, ended, "step.completed", at=CLOCK.now())]
    batch = logbook.add(items, run, ended, log)
    await journal.append(run, items)
    logbook.stored(log, batch)

    lines = await lines_of(db, run.id, 3)

    assert [(line.step, line.message.partition(" after ")[0]) for line in lines] == [("a", "grün"), ("a", "\U0001f600"), ("a", "completed")]
    assert lines[0].facts == {"status": 200}
    assert not log.is_waiting


async def test_runs_do_not_hear_each_other_and_pages_of_any_size_join(db: Database) -> None:
    first, second = await claimed(db), await claimed(db)
    logbook = Logbook(Journal(db, CLOCK, IDS), CLOCK, LIMITS)
    for number in range(4):
        for run, name in ((first, "first"), (second, "second")):
            log = logbook.say(None, "info", f"{name} {number}\nmore", None, is_continued=False)
            await logbook.store(run, record(f"s{number}"), log)

    for limit in (1, 3, 500):
        lines = await lines_of(db, first.id, 8, limit=limit)
        assert [line.message for line in lines] == [text for n in range(4) for text in (f"first {n}", "more")]
        assert len({line.seq for line in lines}) == 8


async def test_a_continued_attempt_stores_what_its_limit_leaves(db: Database) -> None:
    run = await claimed(db)
    logbook = Logbook(Journal(db, CLOCK, IDS), CLOCK, LIMITS)
    for _ in range(4):
        log: StepLog = logbook.say(None, "info", "one\ntwo", None, is_continued=True)
        await logbook.store(run, record("a"), log)

    stored = await db.read(lambda conn: repository.stored(conn, run.id, "a", 1))

    assert stored[0] == 5
    assert await db.read(lambda conn: repository.stored(conn, run.id, "b", 1)) == (0, 0)


async def test_a_write_that_is_refused_leaves_no_lines_and_loses_none(db: Database) -> None:
    run = await claimed(db)
    logbook = Logbook(Journal(db, CLOCK, IDS), CLOCK, LIMITS)
    log = logbook.say(None, "info", "said", None, is_continued=False)
    stale = Run(**{name: getattr(run, name) for name in Run.__slots__ if name != "epoch"}, epoch=99)

    with pytest.raises(StaleEpoch):
        await logbook.store(stale, record("a"), log)

    assert await db.read(lambda conn: repository.stored(conn, run.id, "a", 1)) == (0, 0)
    await logbook.store(run, record("a"), log)
    assert [line.message for line in await lines_of(db, run.id, 1)] == ["said"]


async def test_there_is_no_log_of_no_run(db: Database) -> None:
    with pytest.raises(UnknownRun):
        await logs_of(db).page(ACTOR, RunId("run_none"))
