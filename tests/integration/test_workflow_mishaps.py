"""Runs whose surroundings fail: a database that is away for a moment, a definition that nobody can read, a bug, a stop at a bad time."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, func, select, update
from tests.integration.random_workflows import Maker
from tests.integration.workflow_support import ACTOR, Work, events, finished, look, open_gates, runtime_at, start, until

from bcce.kit.ids import RunId
from bcce.storage.doors import Append, Database
from bcce.storage.errors import CommitUnknown, DatabaseBusy
from bcce.workflows import planner
from bcce.workflows.errors import NotRepeatable
from bcce.workflows.filters import RunFilter
from bcce.workflows.journal import add_items, wake
from bcce.workflows.model import RunState, StepState
from bcce.workflows.repository import end_run
from bcce.workflows.tables import definitions, runs, steps

T = TypeVar("T")
LIMIT = 2
CHILD = 'version: "1.0"\nname: child\nsteps:\n  - {id: c, type: emit, event: child}\n'


class Flaky:
    """A database of which some writes fail, stored or not, and which lives on."""

    def __init__(self, real: Database, chance: random.Random, share: float) -> None:
        self._real = real
        self._chance = chance
        self._share = share
        self.failed = 0
        self.is_on = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def append(self, op: Append) -> None:
        await self._guarded(lambda: self._real.append(op))

    async def write(self, fn: Callable[[Connection], T]) -> T:
        return await self._guarded(lambda: self._real.write(fn))  # type: ignore[no-any-return]

    async def _guarded(self, call: Callable[[], Any]) -> Any:
        # The first one always fails, so that no round is without.
        fails = self.is_on and self.failed < 40 and (self.failed == 0 or self._chance.random() < self._share)
        self.failed += fails
        is_stored = not fails or self._chance.random() < 0.5
        result = await call() if is_stored else None
        if fails and is_stored:
            raise CommitUnknown("the connection was lost")
        if fails:
            raise DatabaseBusy("too many writes are waiting")
        return result


@pytest.mark.parametrize("seed", range(5))
async def test_a_database_that_fails_now_and_then_changes_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    text = Maker(chance, with_events=False).text()
    found, failures = [], 0
    for share in (0.0, 0.3):
        flaky: list[Flaky] = []

        def wrap(real: Database, made: list[Flaky] = flaky, share: float = share) -> Database:
            made.append(Flaky(real, chance, share or 1.0))
            return made[-1]  # type: ignore[return-value]

        home = tmp_path / str(share)
        home.mkdir(mode=0o700)
        async with runtime_at(home, wrap=wrap) as (runtime, _):
            await runtime.workflows.register(ACTOR, CHILD, "child.yaml")
            flaky[0].is_on = share > 0
            run_id = await _start_anyhow(runtime, text)
            run, states = await finished(runtime, run_id, 60)
            flaky[0].is_on = False
            own = sorted(str(data["event"]) for kind, data in await events(runtime, run_id) if kind == "workflow.event")
            assert await open_gates(runtime, run_id) == 0
        found.append((run.state, states, own))
        failures += flaky[0].failed

    assert found[1] == found[0], text
    assert failures > 0


async def _start_anyhow(runtime: Any, text: str) -> RunId:
    """A run of the text; one whose start is not known to be stored is not waited for."""
    while True:
        try:
            return await start(runtime, text)
        except (DatabaseBusy, CommitUnknown):
            continue


async def test_a_definition_that_can_no_longer_be_read_ends_the_run(tmp_path: Path) -> None:
    work = Work()
    async with runtime_at(tmp_path, work=work) as (runtime, _):
        run_id = await start(runtime, "name: t\nsteps:\n  - {id: a, type: wait, event: go}\n")
        await until(runtime, run_id, lambda _, records: "a" in records)
        broken = update(definitions).where(definitions.c.name == "t").values(source="name: t\nsteps: 7\n")
        await runtime.db.write(lambda conn: conn.execute(broken))
    async with runtime_at(tmp_path, work=work) as (runtime, _):
        await runtime.workflows.signal(ACTOR, run_id, "go", {})
        runtime.ring(run_id)
        run, _ = await finished(runtime, run_id)

        assert (run.state, (run.error or {})["code"]) == (RunState.FAILED, "invalid-workflow")
        assert await open_gates(runtime, run_id) == 0


async def test_a_run_that_breaks_the_engine_again_and_again_is_dead(tmp_path: Path) -> None:
    class Broken(Flaky):
        async def append(self, op: Append) -> None:
            # Each time it is advanced: the step's end, and that the step is broken.
            if any(fence.run_id == culprit for fence in op.fences) and self.failed < 2 * (LIMIT + 1):
                self.failed += 1
                raise RuntimeError("a bug")
            await self._real.append(op)

    culprit: RunId | None = None
    async with runtime_at(tmp_path, crash_limit=LIMIT, wrap=lambda real: Broken(real, random.Random(), 1.0)) as (runtime, _):  # type: ignore[arg-type,return-value]  # noqa: S311
        await runtime.pipeline.stop()
        stored = await runtime.workflows.register(ACTOR, "name: t\nsteps:\n  - {id: a, type: work}\n  - {id: b, type: work}\n", "t.yaml")
        begin = runtime.workflows.start

        def write(conn: Connection) -> RunId:
            return begin(ACTOR, conn, workflow=stored.name, inputs={}, correlation_id="cor_test")

        culprit = await runtime.db.write(write)
        healthy = await runtime.db.write(write)
        run, _ = await finished(runtime, culprit)
        other, _ = await finished(runtime, healthy)

    assert (run.state, (run.error or {})["code"]) == (RunState.DEAD, "run-dead")
    assert other.state is RunState.COMPLETED


async def test_a_failure_beside_a_step_that_waits_ends_the_run(tmp_path: Path) -> None:
    steps_ = (
        "  - id: p\n    type: parallel\n    steps:\n      - {id: gate, type: wait, event: never}\n"
        "      - {id: f, type: work, seconds: 0.2, fails: -1, retryable: false}\n"
    )
    async with runtime_at(tmp_path) as (runtime, _):
        run, states = await finished(runtime, await start(runtime, f"name: t\nsteps:\n{steps_}"))

        assert (run.state, states) == (RunState.FAILED, {"p": "failed", "gate": "cancelled", "f": "failed"})
        assert await open_gates(runtime, run.id) == 0


@pytest.mark.parametrize("kind", ["work", "marked"])
async def test_a_cancel_does_not_wait_for_a_next_try(tmp_path: Path, kind: str) -> None:
    retry = "fails: -1, retry: {attempts: 5, base: 60s, jitter: 0}"
    async with runtime_at(tmp_path) as (runtime, _):
        run_id = await start(runtime, f"name: t\nsteps:\n  - {{id: a, type: {kind}, {retry}}}\n")
        await until(runtime, run_id, lambda _, records: "a" in records and records["a"].state is StepState.RETRYING)

        await runtime.runs.cancel(ACTOR, run_id)
        runtime.ring(run_id)
        run, states = await finished(runtime, run_id, 10)
        _, records = await look(runtime, run_id)

    assert (run.state, states) == (RunState.CANCELLED, {"a": "cancelled"})
    # It was not begun once more to be stopped.
    assert records["a"].attempt == 1


async def test_what_failed_inside_a_scope_undoes_what_was_done(tmp_path: Path) -> None:
    steps_ = (
        "  - {id: a, type: work, compensate: {type: work, value: undo}}\n"
        "  - id: outer\n    type: group\n    steps:\n      - id: inner\n        type: parallel\n        steps:\n"
        "          - {id: f, type: work, fails: -1, retryable: false, on_failure: compensate}\n"
    )
    async with runtime_at(tmp_path) as (runtime, work):
        run, states = await finished(runtime, await start(runtime, f"name: t\nsteps:\n{steps_}"))

    assert (run.state, states["a.compensate"]) == (RunState.FAILED, "completed")
    assert work.calls == ["a", "f", "a.compensate"]


async def test_a_scope_that_ended_well_at_the_last_moment_is_not_late(tmp_path: Path) -> None:
    """The deadline passes while the last step's end is being written."""

    class Slow(Flaky):
        async def append(self, op: Append) -> None:
            await self._real.append(op)
            if any(row.get("step_key") == "a" for _, row in op.items):
                await asyncio.sleep(2.5)

    text = "name: t\nsteps:\n  - id: g\n    type: group\n    timeout: 2\n    steps:\n      - {id: a, type: work}\n"
    async with runtime_at(tmp_path, wrap=lambda real: Slow(real, random.Random(), 1.0)) as (runtime, _):  # type: ignore[arg-type,return-value]  # noqa: S311
        run, states = await finished(runtime, await start(runtime, text))

    assert (run.state, states) == (RunState.COMPLETED, {"g": "completed", "a": "completed"})


async def test_a_run_is_not_run_again_behind_a_step_that_failed(tmp_path: Path) -> None:
    steps_ = (
        "  - {id: a, type: work, fails: -1, retryable: false}\n  - {id: b, type: work, depends_on: [a]}\n"
        "  - {id: l, type: work, depends_on: [], fails: -1, retryable: false, on_failure: continue}\n"
        "  - {id: c, type: work, depends_on: [l]}\n"
    )
    async with runtime_at(tmp_path) as (runtime, _):
        run_id = await start(runtime, f"name: t\nsteps:\n{steps_}")
        await finished(runtime, run_id)

        with pytest.raises(NotRepeatable, match="'a', which failed"):
            await runtime.runs.rerun(ACTOR, run_id, step="b", inputs={})
        again = await runtime.runs.rerun(ACTOR, run_id, step="c", inputs={})
        runtime.ring(again)
        run, states = await finished(runtime, again)

    # The new run does what has not been done, which is `a`, too.
    assert (run.state, states["c"]) == (RunState.FAILED, "completed")


async def test_what_is_only_just_being_entered_is_not_over(tmp_path: Path) -> None:
    """A condition beside other steps: while its decision is being written, nobody may take it for an empty branch."""

    class Slow(Flaky):
        async def append(self, op: Append) -> None:
            await asyncio.sleep(0.05 * self._chance.random())
            await self._real.append(op)

    decided = "".join(
        f"      - id: c{n}\n        type: condition\n        condition: '{{{{ 1 == 1 }}}}'\n        then: [{{id: t{n}, type: work}}]\n"
        f"      - id: l{n}\n        type: foreach\n        items: [1, 2]\n        steps: [{{id: i{n}, type: work}}]\n"
        for n in range(6)
    )
    async with runtime_at(tmp_path, wrap=lambda real: Slow(real, random.Random(3), 1.0)) as (runtime, _):  # type: ignore[arg-type,return-value]  # noqa: S311
        run_id = await start(runtime, f"name: t\nsteps:\n  - id: p\n    type: parallel\n    steps:\n{decided}")
        run, _ = await finished(runtime, run_id)
        count = await runtime.db.read(
            lambda conn: conn.execute(select(func.count()).where(steps.c.run_id == run_id, steps.c.type == "work")).scalar()
        )

    assert run.state is RunState.COMPLETED
    assert count == 6 * 3


@pytest.mark.parametrize("is_busy", [False, True])
async def test_what_is_due_but_held_back_is_not_looked_at_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_busy: bool
) -> None:
    """After a retry the first step waits, or takes long, and the one behind it is due but may not begin yet."""
    plans = 0

    def counted(*args: Any, **options: Any) -> planner.Plan:
        nonlocal plans
        plans += 1
        return planner.plan(*args, **options)

    first = "type: work, fails: 1, retryable: false, seconds: 0.8" if is_busy else "type: wait, event: go, timeout: 0.8"
    steps_ = f"  - {{id: a, {first}, on_failure: continue}}\n  - {{id: b, type: work, fails: 1, retryable: false}}\n"
    monkeypatch.setattr("bcce.workflows.segment.plan", counted)
    async with runtime_at(tmp_path) as (runtime, work):
        run_id = await start(runtime, f"name: t\nsteps:\n{steps_}")
        await finished(runtime, run_id)
        before, plans = (await look(runtime, run_id))[0].epoch, 0
        await runtime.runs.retry(ACTOR, run_id)
        runtime.ring(run_id)
        run, states = await finished(runtime, run_id)

    assert (run.state, states) == (RunState.COMPLETED, {"a": "completed" if is_busy else "failed", "b": "completed"})
    assert work.calls[-1] == "b"
    assert run.epoch - before < 10
    assert plans < 20


@pytest.mark.parametrize("is_late", ["scope", "step"])
async def test_a_child_that_takes_long_to_stop_is_asked_once(tmp_path: Path, is_late: str) -> None:
    inner = "{id: w, type: workflow, workflow: slow" + (", timeout: 0.4}" if is_late == "step" else "}")
    timeout = "    timeout: 0.4\n" if is_late == "scope" else ""
    async with runtime_at(tmp_path) as (runtime, _):
        await runtime.workflows.register(
            ACTOR, "name: slow\nsteps:\n  - {id: m, type: marked, seconds: 1.5}\n  - {id: n, type: work}\n", "slow.yaml"
        )
        run_id = await start(runtime, f"name: t\nsteps:\n  - id: g\n    type: group\n{timeout}    steps: [{inner}]\n")
        await until(runtime, run_id, lambda _, records: "w" in records and records["w"].state is StepState.WAITING)
        if is_late == "step":
            # Its own time is over while it is being stopped.
            await runtime.runs.cancel(ACTOR, run_id)
            runtime.ring(run_id)
        run, states = await finished(runtime, run_id)
        (child,) = await runtime.workflows.runs(ACTOR, RunFilter(workflow="slow"))

    assert states == {"g": "failed" if is_late == "scope" else "cancelled", "w": "cancelled"}
    assert child.state is RunState.CANCELLED
    assert (run.epoch < 15, child.wake_seq < 10) == (True, True), (run.epoch, child.wake_seq)


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_child_that_needs_an_upgrade_has_not_ended(tmp_path: Path, is_cancelled: bool) -> None:
    child_text = "name: long\nsteps:\n  - {id: c, type: wait, event: go}\n"
    async with runtime_at(tmp_path) as (runtime, _):
        await runtime.workflows.register(ACTOR, child_text, "long.yaml")
        run_id = await start(runtime, "name: t\nsteps:\n  - {id: w, type: workflow, workflow: long}\n")
        await until(runtime, run_id, lambda _, records: "w" in records and records["w"].state is StepState.WAITING)
        (child,) = await runtime.workflows.runs(ACTOR, RunFilter(workflow="long"))
        await until(runtime, child.id, lambda run, records: "c" in records and run.lease_owner is None)

        async def now(state: RunState, number: int) -> None:
            changed = update(runs).where(runs.c.id == child.id).values(state=state, definition_format=number)
            await runtime.db.write(lambda conn: conn.execute(changed))

        await now(RunState.NEEDS_UPGRADE, 99)
        if is_cancelled:
            await runtime.runs.cancel(ACTOR, run_id)
        else:
            await runtime.db.write(lambda conn: wake(conn, run_id))
        runtime.ring(run_id)
        seen = (await look(runtime, run_id))[0].wake_seq
        await until(runtime, run_id, lambda run, _: run.seen_seq >= seen or run.state is not RunState.ACTIVE)
        run, records = await look(runtime, run_id)
        assert (run.state, records["w"].state) == (RunState.ACTIVE, StepState.WAITING)
        assert (await look(runtime, child.id))[0].state is RunState.NEEDS_UPGRADE

        # A release that knows its format takes it up.
        await now(RunState.ACTIVE, child.definition_format)
        if not is_cancelled:
            await runtime.workflows.signal(ACTOR, child.id, "go", {})
        runtime.ring(child.id)
        for each in (child.id, run_id):
            ended, _ = await finished(runtime, each)
            assert ended.state is (RunState.CANCELLED if is_cancelled else RunState.COMPLETED)


async def test_the_gates_of_a_dead_run_open_again_when_it_is_tried_again(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        run_id = await start(runtime, "name: t\nsteps:\n  - {id: a, type: wait, event: go}\n  - {id: b, type: wait, event: on}\n")
        await runtime.workflows.signal(ACTOR, run_id, "go", {})
        runtime.ring(run_id)
        await until(runtime, run_id, lambda run, records: "b" in records and run.lease_owner is None)
        await runtime.db.write(lambda conn: add_items(conn, end_run(run_id, RunState.DEAD, output=None, error=None)))
        assert await open_gates(runtime, run_id) == 0

        await runtime.runs.retry(ACTOR, run_id)
        runtime.ring(run_id)
        assert await open_gates(runtime, run_id) == 1
        await runtime.workflows.signal(ACTOR, run_id, "on", {})
        runtime.ring(run_id)
        run, _ = await finished(runtime, run_id)

        assert run.state is RunState.COMPLETED
        assert await open_gates(runtime, run_id) == 0


async def test_a_run_whose_last_step_ends_during_a_look_ends_once(tmp_path: Path) -> None:
    """The look read the run's row before the end was committed, and comes back after it."""

    class Late(Flaky):
        is_late = False

        async def read(self, fn: Callable[[Connection], T]) -> T:
            result = await self._real.read(fn)
            if self.is_late:
                await asyncio.sleep(0.2)
            return result

    made: list[Late] = []

    def wrap(real: Database) -> Database:
        made.append(Late(real, random.Random(), 1.0))  # noqa: S311 - no secret
        return made[-1]  # type: ignore[return-value]

    async with runtime_at(tmp_path, wrap=wrap) as (runtime, _):
        run_id = await start(runtime, "name: t\nsteps:\n  - {id: a, type: work, seconds: 1}\n  - {id: b, type: work, depends_on: []}\n")
        await until(runtime, run_id, lambda _, records: "b" in records)
        made[0].is_late = True
        for _ in range(80):
            runtime.ring(run_id)
            await asyncio.sleep(0.02)
        made[0].is_late = False
        await finished(runtime, run_id)
        ends = [kind for kind, _ in await events(runtime, run_id) if kind == "workflow.completed"]

    assert ends == ["workflow.completed"]
