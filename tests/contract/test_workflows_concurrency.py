"""The rules of concurrency groups on every database, with many who start, end, cancel, pause and admit at the same time."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, select

from bcce.kit.clock import SystemClock
from bcce.kit.errors import Conflict
from bcce.kit.ids import DEFAULT_TENANT, Ids, RunId, TenantId
from bcce.runtime.tables import metadata
from bcce.security.actor import system_actor
from bcce.security.audit import AuditLog
from bcce.security.audit.tables import audit as audit_table
from bcce.security.crypto import StateKeys
from bcce.storage.doors import Database, Hooks, open_database
from bcce.workflows import repository
from bcce.workflows.artifacts.model import ArtifactLimits
from bcce.workflows.artifacts.service import ArtifactStore
from bcce.workflows.concurrency.admission import Admission
from bcce.workflows.concurrency.repository import KEEPS_PLACE, movable, newest_canceller
from bcce.workflows.concurrency.tables import groups, places
from bcce.workflows.control import RunControl
from bcce.workflows.errors import ConcurrencyDeadlock
from bcce.workflows.expressions import Expressions
from bcce.workflows.journal import add_items
from bcce.workflows.model import Child, RunState
from bcce.workflows.repository import CHILD_GATE
from bcce.workflows.service import WorkflowService
from bcce.workflows.step_types.data import SetStep
from bcce.workflows.tables import runs, steps

CLOCK = SystemClock()
IDS = Ids(CLOCK)
ACTOR = system_actor("test")
WORKFLOW = "name: {name}\nconcurrency: {{group: '{{{{ inputs.group }}}}', limit: {limit}, cancel_in_progress: {cancels}}}\n"
WORKFLOW += "inputs: {{group: string}}\nsteps: [{{id: a, type: set}}]\n"


class Crossing:
    """Runs that start others, as the step type `workflow` does, and wait for them."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._number = 0

    async def call(self, parent: RunId, workflow: str, group: str) -> RunId:
        """Starts a run that `parent` waits for."""
        self._number += 1
        child = RunId(IDS.new("run"))

        def write(conn: Connection) -> RunId:
            repository.bump(conn, parent)
            made = Child(id=child, parent_id=parent, parent_key="call", is_awaited=True)
            inputs = {"group": group}
            run_id = self._process.workflows.start(ACTOR, conn, workflow=workflow, inputs=inputs, correlation_id="cor_test", child=made)
            gate = {"id": IDS.new("gate"), "tenant_id": DEFAULT_TENANT, "run_id": parent, "step_key": "call", "kind": CHILD_GATE}
            add_items(conn, [repository.open_gate({**gate, "name": child, "state": "open", "opened_at": CLOCK.now(), "closed_at": None})])
            return run_id

        return await self._process.db.write(write)


class Process:
    """One process: its own connections, its own admission."""

    def __init__(self, db: Database, audit: AuditLog) -> None:
        self.db = db
        self.workflows = WorkflowService(
            db=db, clock=CLOCK, ids=IDS, step_types={"set": SetStep()}, expressions=Expressions(), connectors={}
        )
        store = ArtifactStore(db, CLOCK, IDS, ArtifactLimits(artifact_bytes=1_000, run_bytes=1_000))
        self.control = RunControl(db=db, clock=CLOCK, ids=IDS, audit=audit, workflows=self.workflows, artifacts=store)
        self.admission = Admission(db=db, clock=CLOCK, ids=IDS, control=self.control)

    async def start(self, workflow: str, group: str) -> RunId:
        def write(conn: Connection) -> RunId:
            return self.workflows.start(ACTOR, conn, workflow=workflow, inputs={"group": group}, correlation_id="cor_test")

        return await self.db.write(write)

    async def end(self, run_id: RunId, state: RunState) -> None:
        """What a worker does at a run's end: one commit of the run's own row."""

        def write(conn: Connection) -> None:
            run = repository.get_run(conn, run_id)
            assert run is not None
            if repository.lock_run(conn, run_id, run.epoch):
                add_items(conn, repository.end_run(run_id, state, output=None, error=None))

        await self.db.write(write)

    async def active(self) -> list[RunId]:
        query = select(runs.c.id).where(runs.c.state == RunState.ACTIVE)
        return [RunId(found) for found in await self.db.read(lambda conn: conn.execute(query).scalars().all())]


@pytest.fixture
async def processes(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Process]]:
    """Two processes on a server, one on an embedded database, which can have no other."""
    keys = StateKeys.load_or_create(tmp_path_factory.mktemp("keys") / "keys")
    async with AsyncExitStack() as stack:
        opened: list[Process] = []
        for _ in range(1 if database_url.startswith("sqlite") else 2):
            audit = AuditLog(keys.audit, CLOCK, IDS)
            hooks = Hooks(cipher=keys.cipher)
            db = await stack.enter_async_context(open_database(database_url, clock=CLOCK, ids=IDS, fence_table=runs, hooks=hooks))
            if not opened:
                await db.migrate(metadata.create_all)
            opened.append(Process(db, audit))
        for name, limit, cancels in (("one", 1, "false"), ("three", 3, "false"), ("newest", 1, "true")):
            await opened[0].workflows.register(ACTOR, WORKFLOW.format(name=name, limit=limit, cancels=cancels), "test.yaml")
        yield opened


async def count(db: Database, *states: RunState) -> int:
    return await db.read(lambda conn: conn.execute(select(func.count()).select_from(runs).where(runs.c.state.in_(states))).scalar_one())


async def test_turns_are_given_in_order_of_creation(processes: list[Process]) -> None:
    process = processes[0]
    started = [await process.start("one", "g") for _ in range(4)]
    turns: list[RunId] = []
    for _ in started:
        await process.admission.sweep()
        (active,) = await process.active()
        turns.append(active)
        await process.end(active, RunState.COMPLETED)

    assert turns == started


async def test_two_processes_never_give_more_turns_than_there_are(processes: list[Process]) -> None:
    for _ in range(10):
        await processes[0].start("three", "g")
    await asyncio.gather(*(process.admission.admit(DEFAULT_TENANT, "g") for process in processes for _ in range(6)))

    assert await count(processes[0].db, RunState.ACTIVE) == 3


async def test_a_run_of_another_release_keeps_its_place(processes: list[Process]) -> None:
    process = processes[0]
    first, _ = await process.start("one", "g"), await process.start("one", "g")
    await process.admission.sweep()
    await process.db.write(lambda conn: conn.execute(runs.update().where(runs.c.id == first).values(state=RunState.NEEDS_UPGRADE)))

    assert await process.admission.sweep() == []
    assert await count(process.db, RunState.QUEUED) == 1


async def test_the_newest_waits_until_those_before_it_have_ended(processes: list[Process]) -> None:
    process = processes[0]
    first, second = [await process.start("three", "g") for _ in range(2)]
    await process.admission.sweep()
    newest = await process.start("newest", "g")
    await process.admission.sweep()
    cancelled = select(runs.c.id).where(runs.c.cancel_at.is_not(None))
    assert set(await process.db.read(lambda conn: conn.execute(cancelled).scalars().all())) == {first, second}
    assert await process.admission.sweep() == []

    for run_id in (first, second):
        await process.end(run_id, RunState.CANCELLED)
    assert await process.admission.sweep() == [newest]


@pytest.mark.parametrize("kind", ["one", "newest"])
async def test_a_run_that_waits_once_more_is_undone_in_its_turn(processes: list[Process], kind: str) -> None:
    process = processes[0]
    first = await process.start(kind, "g")
    await process.admission.sweep()
    row = {"run_id": first, "step_key": "a", "attempt": 1, "tenant_id": DEFAULT_TENANT, "type": "set", "effect": "pure"}
    await process.db.write(
        lambda conn: conn.execute(steps.insert(), [{**row, "state": "failed", "input_digest": "", "started_at": CLOCK.now()}]) and None
    )
    await process.end(first, RunState.FAILED)
    second = await process.start("one", "g")
    assert await process.admission.sweep() == [second]
    await process.control.retry(ACTOR, first)

    cancelled = await process.control.cancel(ACTOR, first)
    assert (cancelled.state, cancelled.cancel_at is not None) == (RunState.QUEUED, True)
    third = await process.start("one", "g")
    assert await process.admission.sweep() == []
    assert await process.active() == [second]
    still = await process.db.read(lambda conn: repository.get_run(conn, second))
    assert still is not None
    assert still.cancel_at is None

    await process.end(second, RunState.COMPLETED)
    assert await process.admission.sweep() == [first]
    await process.end(first, RunState.CANCELLED)
    assert await process.admission.sweep() == [third]


async def test_a_run_that_has_begun_nothing_is_cancelled_at_once(processes: list[Process]) -> None:
    process = processes[0]
    await process.start("one", "g")
    second = await process.start("one", "g")
    await process.admission.sweep()

    assert (await process.control.cancel(ACTOR, second)).state is RunState.ACTIVE


def plan_of(conn: Connection, ask: Callable[[Connection], object]) -> str:
    """How SQLite does the one query of `ask`."""
    said: list[tuple[str, Any]] = []

    def listen(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        said.append((statement, parameters))

    event.listen(conn, "before_cursor_execute", listen)
    ask(conn)
    event.remove(conn, "before_cursor_execute", listen)
    return "\n".join(str(row) for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {said[-1][0]}", said[-1][1]))


async def test_who_waits_is_not_counted_to_find_who_cancels(processes: list[Process]) -> None:
    """However many wait, the one that cancels those before it is looked up in an index that has all that is asked for."""
    # Servers choose by statistics, which an empty table has none of.
    if processes[0].db.dialect == "sqlite":
        found = await processes[0].db.read(lambda conn: plan_of(conn, lambda conn: newest_canceller(conn, DEFAULT_TENANT, "g")))
        assert "ix_concurrency_places_cancels (tenant_id=? AND group_name=? AND has_turn=? AND cancels=?)" in found


async def test_who_waits_is_not_counted_to_find_where_something_can_change(processes: list[Process]) -> None:
    if processes[0].db.dialect == "sqlite":
        found = await processes[0].db.read(lambda conn: plan_of(conn, movable))
        # The one scan is for the first name of all, and reads one row.
        assert found.count("SCAN concurrency_places") == 1
        assert "COVERING INDEX ix_concurrency_places_group (tenant_id=? AND group_name>?)" in found
        assert "ix_concurrency_places_cancels (tenant_id=? AND group_name=? AND has_turn=? AND cancels=?)" in found
        assert "ix_runs_state_wake" not in found
        assert "TEMP B-TREE" not in found


async def test_only_groups_in_which_something_can_change_are_looked_at(processes: list[Process]) -> None:
    process = processes[0]
    other = TenantId("other")
    for group in ("full", "gone", "room", "cancelled"):
        await process.start("one", group)
        await process.admission.admit(DEFAULT_TENANT, group)
        if group != "room":
            waits = [await process.start("one", group) for _ in range(3)]
        if group == "gone":
            await process.end(waits[0], RunState.CANCELLED)
    await process.start("newest", "cancelled")
    free = [await process.start("one", name) for name in ("a", "zz")]
    await process.start("three", "three")
    await process.admission.admit(DEFAULT_TENANT, "three")
    await process.start("three", "three")
    await process.db.write(lambda conn: conn.execute(places.update().where(places.c.run_id == free[1]).values(tenant_id=other)))

    found = await process.db.read(movable)

    expected = [(DEFAULT_TENANT, name) for name in ("a", "cancelled", "gone", "three")]
    assert sorted(found) == sorted([*expected, (other, "zz")])


async def test_a_dead_process_leaves_nothing_that_another_cannot_finish(processes: list[Process]) -> None:
    """Every order of a death in the middle of cancelling is a state between two transactions, of which each is looked at again."""
    process = processes[0]
    before = [await process.start("three", "g") for _ in range(3)]
    await process.admission.sweep()
    newest = await process.start("newest", "g")
    # The process died after the first of three cancellations.
    await process.control.supersede(system_actor("concurrency"), before[0], by=newest, group="g")

    await processes[-1].admission.sweep()
    query = select(runs.c.id).where(runs.c.cancel_at.is_not(None))
    assert set(await process.db.read(lambda conn: conn.execute(query).scalars().all())) == set(before)
    told = select(func.count()).select_from(audit_table).where(audit_table.c.action == "run.cancelled")
    assert await process.db.read(lambda conn: conn.execute(told).scalar_one()) == 3


@pytest.mark.parametrize("seed", range(2))
async def test_no_order_breaks_the_limit_or_forgets_a_run(processes: list[Process], seed: int) -> None:
    """Random starts, ends, cancels, pauses, second tries and looks, all at once, until every run is over."""
    chance = random.Random(seed)  # noqa: S311 - a reproducible test, no secret
    names = ["a", "b"]
    started: list[RunId] = []
    worst = {"one": 0, "three": 0}
    left = 30

    async def watch() -> None:
        """As of one moment: no more turns than the group's limit."""
        query = select(places.c.group_name, func.count()).join(runs, runs.c.id == places.c.run_id)
        query = query.where(places.c.has_turn, runs.c.state.in_(KEEPS_PLACE)).group_by(places.c.group_name)
        for name, taken in await processes[0].db.read(lambda conn: [tuple(row) for row in conn.execute(query)]):
            kind = name.partition(" ")[0]
            worst[kind] = max(worst[kind], taken)

    async def act(process: Process) -> None:
        nonlocal left
        what = chance.random()
        if what < 0.35 and left > 0:
            left -= 1
            kind = chance.choice(["one", "three", "newest"])
            group = f"{'three' if kind == 'three' else 'one'} {chance.choice(names)}"
            started.append(await process.start(kind, group))
        elif what < 0.7:
            active = await process.active()
            if active:
                await process.end(chance.choice(active), chance.choice([RunState.COMPLETED, RunState.FAILED, RunState.DEAD]))
        elif started:
            change = chance.choice([process.control.cancel, process.control.pause, process.control.resume, process.control.retry])
            with contextlib.suppress(Conflict):
                await change(ACTOR, chance.choice(started))
        await process.admission.sweep()
        await watch()

    for _ in range(25):
        await asyncio.gather(*(act(chance.choice(processes)) for _ in range(4)))
    assert len(started) > 15

    for _ in range(200):
        if not await count(processes[0].db, *repository.LIVE):
            break
        for run_id in started:
            with contextlib.suppress(Conflict):
                await processes[0].control.resume(ACTOR, run_id)
        for run_id in await processes[0].active():
            await processes[0].end(run_id, RunState.COMPLETED)
        await processes[-1].admission.sweep()
    assert await count(processes[0].db, *repository.LIVE) == 0
    assert worst["one"] == 1
    assert 1 <= worst["three"] <= 3
    for kind in ("one", "three"):
        for name in names:
            await processes[0].admission.admit(DEFAULT_TENANT, f"{kind} {name}")
    assert await processes[0].db.read(lambda conn: conn.execute(select(places.c.run_id)).all()) == []
    assert len(await processes[0].db.read(lambda conn: conn.execute(select(groups.c.name)).all())) <= 4


async def active_in(process: Process, group: str, *, workflow: str = "one") -> RunId:
    run_id = await process.start(workflow, group)
    await process.admission.sweep()
    assert run_id in await process.active()
    return run_id


async def test_of_two_calls_that_cross_one_is_refused(processes: list[Process]) -> None:
    """At the same moment, many times: never both, and never none."""
    for turn in range(10):
        x, y = f"x{turn}", f"y{turn}"
        first, second = await active_in(processes[0], x), await active_in(processes[-1], y)
        calls = [(Crossing(processes[0]), first, y), (Crossing(processes[-1]), second, x)]
        calls = calls if turn % 2 else calls[::-1]
        ended = await asyncio.gather(*(who.call(run_id, "one", group) for who, run_id, group in calls), return_exceptions=True)

        refused = [item for item in ended if isinstance(item, ConcurrencyDeadlock)]
        assert len(refused) == 1, ended
        assert refused[0].details["group"] in (x, y)


async def test_a_circle_of_three_groups_is_refused_where_it_closes(processes: list[Process]) -> None:
    process = processes[0]
    a, b, c = [await active_in(process, group) for group in "abc"]
    who = Crossing(process)
    await who.call(a, "one", "b")
    await who.call(b, "one", "c")
    with pytest.raises(ConcurrencyDeadlock) as caught:
        await who.call(c, "one", "a")
    assert caught.value.details == {"group": "a", "runIds": [a]}
    # Elsewhere it may wait as long as it likes.
    await active_in(process, "d")
    await who.call(c, "one", "d")


async def test_a_circle_is_seen_through_runs_without_a_group(processes: list[Process]) -> None:
    process = processes[0]
    await process.workflows.register(ACTOR, "name: free\ninputs: {group: string}\nsteps: [{id: a, type: set}]\n", "test.yaml")
    who = Crossing(process)
    a, b = await active_in(process, "a"), await active_in(process, "b")
    below_a, below_b = await who.call(a, "free", ""), await who.call(b, "free", "")
    await who.call(below_a, "one", "b")
    with pytest.raises(ConcurrencyDeadlock):
        await who.call(below_b, "one", "a")


async def test_who_may_get_a_turn_in_another_way_is_not_refused(processes: list[Process]) -> None:
    process, who = processes[0], Crossing(processes[0])
    a, b = await active_in(process, "a"), await active_in(process, "b", workflow="three")
    others = [await active_in(process, "b", workflow="three") for _ in range(2)]
    # Two of the three that are in the way wait for nothing, so one of them ends some day.
    await who.call(b, "one", "a")
    waits = await who.call(a, "three", "b")
    for other in others[:1]:
        await who.call(other, "one", "a")
    # The last of them must not wait for `a` as well.
    with pytest.raises(ConcurrencyDeadlock):
        await who.call(others[1], "one", "a")

    # One that is being cancelled ends, whatever it waits for; so what waits for it may.
    await process.control.cancel(ACTOR, b)
    await who.call(others[1], "one", "a")
    assert await process.workflows.state(ACTOR, waits) is RunState.QUEUED


async def test_who_cancels_others_waits_for_nobody(processes: list[Process]) -> None:
    process, who = processes[0], Crossing(processes[0])
    a, b = await active_in(process, "a"), await active_in(process, "b")
    await who.call(a, "one", "b")
    await who.call(b, "newest", "a")
