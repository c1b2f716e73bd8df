"""Workflows with `concurrency`: at most so many runs of a group at a time, in order, and what frees a place."""

import asyncio
import contextlib
import itertools
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Connection, select
from tests.integration.test_workflow_crashes import Mortal
from tests.integration.workflow_support import ACTOR, events, finished, look, runtime_at, start, until

from bcce.kit.errors import InvalidInput
from bcce.kit.ids import RunId
from bcce.runtime.runtime import Runtime
from bcce.security.audit.tables import audit
from bcce.storage.doors import Database
from bcce.storage.errors import DatabaseUnavailable
from bcce.workflows.concurrency.tables import places
from bcce.workflows.errors import RunQueued
from bcce.workflows.filters import RunFilter
from bcce.workflows.model import RunState
from bcce.workflows.tables import runs

HOLD = "  - {id: hold, type: wait, event: go}\n"


def text(steps: str = HOLD, *, name: str = "grouped", concurrency: str = "group: all", head: str = "") -> str:
    return f"name: {name}\nconcurrency: {{{concurrency}}}\n{head}steps:\n{steps}"


async def is_in(runtime: Runtime, run_id: RunId, state: RunState) -> None:
    await until(runtime, run_id, lambda run, _: run.state is state)


async def holds(runtime: Runtime, run_id: RunId) -> None:
    """Waits until the run waits for its signal."""
    await until(runtime, run_id, lambda run, records: run.state is RunState.ACTIVE and "hold" in records)


async def let_go(runtime: Runtime, run_id: RunId) -> None:
    await runtime.workflows.signal(ACTOR, run_id, "go", {})
    runtime.ring(run_id)


async def states(runtime: Runtime, *run_ids: RunId) -> list[str]:
    return [str((await look(runtime, run_id))[0].state) for run_id in run_ids]


async def test_runs_of_a_group_go_one_after_the_other_in_order(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        first = await start(runtime, text())
        await holds(runtime, first)
        second, third = [await start(runtime, text()) for _ in range(2)]
        await asyncio.sleep(0.3)
        assert await states(runtime, first, second, third) == ["active", "queued", "queued"]
        waiting = await runtime.groups.standing(ACTOR, third)
        assert waiting is not None
        assert (waiting.group, waiting.limit, waiting.has_turn, waiting.ahead) == ("all", 1, False, 2)

        await let_go(runtime, first)
        await holds(runtime, second)
        assert await states(runtime, first, second, third) == ["completed", "active", "queued"]
        await let_go(runtime, second)
        await let_go(runtime, third)
        await finished(runtime, third)

        assert [kind for kind, _ in await events(runtime, third)][:2] == ["workflow.waiting", "workflow.started"]
        assert (await events(runtime, third))[0][1]["group"] == "all"
        # Its place is forgotten just after its end.
        async with asyncio.timeout(10):
            while await runtime.db.read(lambda conn: conn.execute(select(places)).all()):  # noqa: ASYNC110 - in a database
                await asyncio.sleep(0.02)


async def test_the_end_of_a_run_lets_the_next_go_at_once(tmp_path: Path) -> None:
    """The sweep, which would find it too, comes too late for this test."""
    async with runtime_at(tmp_path, sweep_s=50) as (runtime, _):
        first = await start(runtime, text())
        await holds(runtime, first)
        second = await start(runtime, text())
        await let_go(runtime, first)

        await until(runtime, second, lambda run, records: "hold" in records, seconds=10)


async def test_a_lost_ring_is_found_by_the_sweep(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        await runtime.workflows.register(ACTOR, text(), "test.yaml")

        def begin(conn: Connection) -> RunId:
            return runtime.workflows.start(ACTOR, conn, workflow="grouped", inputs={}, correlation_id="cor_test")

        await holds(runtime, await runtime.db.write(begin))


async def test_a_group_for_each_value_and_a_limit(tmp_path: Path) -> None:
    grouped = text(concurrency='group: "on {{ inputs.host }}", limit: 2', head="inputs: {host: string}\n")
    async with runtime_at(tmp_path) as (runtime, _):
        started = [await start(runtime, grouped, host=host) for host in ("a", "a", "a", "b")]
        for run_id in (started[0], started[1], started[3]):
            await holds(runtime, run_id)

        assert await states(runtime, *started) == ["active", "active", "queued", "active"]


async def test_a_group_without_a_name_is_refused(tmp_path: Path) -> None:
    grouped = text(concurrency='group: "{{ inputs.host }}"', head="inputs: {host: string}\n")
    async with runtime_at(tmp_path) as (runtime, _):
        for name in ("", "  ", "x" * 256, "two\nlines"):
            with pytest.raises(InvalidInput, match="gets no name"):
                await start(runtime, grouped, host=name)


async def test_the_newest_cancels_those_before_it(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        grouped = text(concurrency="group: all, cancel_in_progress: true")
        first = await start(runtime, text())
        await holds(runtime, first)
        waiting = await start(runtime, text())
        await is_in(runtime, waiting, RunState.QUEUED)
        newest = await start(runtime, grouped)

        await holds(runtime, newest)
        assert await states(runtime, first, waiting, newest) == ["cancelled", "cancelled", "active"]
        assert (await look(runtime, waiting))[1] == {}
        rows = await runtime.db.read(
            lambda conn: conn.execute(select(audit.c.actor, audit.c.body).where(audit.c.action == "run.cancelled")).all()
        )
        assert len(rows) == 2
        assert all("concurrency" in str(row.actor) and newest in str(row.body) for row in rows)


async def test_what_was_cancelled_is_undone_before_the_newest_begins(tmp_path: Path) -> None:
    undone = "  - {id: did, type: work, compensate: {type: work, seconds: 0.3, value: undone}}\n" + HOLD
    async with runtime_at(tmp_path) as (runtime, _):
        first = await start(runtime, text(undone, concurrency="group: all, cancel-in-progress: true"))
        await holds(runtime, first)
        second = await start(runtime, text(undone, concurrency="group: all, cancel-in-progress: true"))
        await holds(runtime, second)

        run, records = await look(runtime, first)
        _, later = await look(runtime, second)
        assert run.state is RunState.CANCELLED
        assert run.ended_at is not None
        assert records["did.compensate"].ended_at is not None
        assert later["did"].started_at >= run.ended_at >= records["did.compensate"].ended_at


@pytest.mark.parametrize("how", ["failed", "cancelled"])
async def test_a_run_that_ends_badly_frees_its_place(tmp_path: Path, how: str) -> None:
    steps = "  - {id: hold, type: wait, event: go}\n  - {id: bad, type: work, fails: -1}\n"
    async with runtime_at(tmp_path) as (runtime, _):
        first = await start(runtime, text(steps))
        await holds(runtime, first)
        second = await start(runtime, text(steps))
        if how == "failed":
            await let_go(runtime, first)
        else:
            runtime.ring((await runtime.runs.cancel(ACTOR, first)).id)

        await holds(runtime, second)
        assert await states(runtime, first) == [how]


async def test_a_dead_run_frees_its_place(tmp_path: Path) -> None:
    async with runtime_at(tmp_path, crash_limit=1) as (runtime, _):
        first = await start(runtime, text())
        await holds(runtime, first)
        second = await start(runtime, text())

        def crash(conn: Connection) -> None:
            conn.execute(runs.update().where(runs.c.id == first).values(crashes=5, suspect=True))

        await runtime.db.write(crash)
        await let_go(runtime, first)
        await holds(runtime, second)
        assert await states(runtime, first) == ["dead"]


async def test_a_paused_run_keeps_its_place(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        first = await start(runtime, text())
        await holds(runtime, first)
        second = await start(runtime, text())
        await runtime.runs.pause(ACTOR, first)
        await asyncio.sleep(0.3)
        assert await states(runtime, first, second) == ["paused", "queued"]

        for change in (runtime.runs.pause, runtime.runs.resume):
            with pytest.raises(RunQueued):
                await change(ACTOR, second)
        await runtime.runs.resume(ACTOR, first)
        await let_go(runtime, first)
        await holds(runtime, second)


async def test_a_waiting_run_is_cancelled_without_having_begun(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        first = await start(runtime, text())
        await holds(runtime, first)
        second, third = [await start(runtime, text()) for _ in range(2)]
        runtime.ring((await runtime.runs.cancel(ACTOR, second)).id)
        run, steps = await finished(runtime, second)
        assert (run.state, steps) == (RunState.CANCELLED, {})
        assert await states(runtime, first, third) == ["active", "queued"]

        await let_go(runtime, first)
        await holds(runtime, third)


async def test_a_run_that_is_tried_again_waits_for_its_turn_again(tmp_path: Path) -> None:
    steps = "  - {id: once, type: work, fails: 1}\n  - {id: hold, type: wait, event: go}\n"
    async with runtime_at(tmp_path) as (runtime, _):
        first = await start(runtime, text(steps))
        await finished(runtime, first)
        second = await start(runtime, text())
        await holds(runtime, second)
        await runtime.runs.retry(ACTOR, first)
        again = await runtime.runs.rerun(ACTOR, first, step="once", inputs={})
        await asyncio.sleep(0.3)
        assert await states(runtime, first, second, again) == ["queued", "active", "queued"]

        await let_go(runtime, second)
        await holds(runtime, first)
        assert await states(runtime, again) == ["queued"]
        kinds = [kind for kind, _ in await events(runtime, first) if kind.startswith("workflow.")]
        assert kinds == ["workflow.waiting", "workflow.started", "workflow.failed", "workflow.waiting", "workflow.resumed"]


async def test_a_sub_workflow_waits_for_its_turn(tmp_path: Path) -> None:
    call = "  - {id: call, type: workflow, workflow: grouped}\n"
    async with runtime_at(tmp_path) as (runtime, _):
        first = await start(runtime, text())
        await holds(runtime, first)
        parent = await start(runtime, f"name: caller\nsteps:\n{call}")
        await until(runtime, parent, lambda _, records: "call" in records)
        (child,) = await runtime.workflows.runs(ACTOR, RunFilter(states=("queued",)))
        assert child.parent_id == parent

        await let_go(runtime, first)
        await holds(runtime, child.id)
        await let_go(runtime, child.id)
        run, _ = await finished(runtime, parent)
        assert run.state is RunState.COMPLETED


async def test_a_sub_workflow_that_waits_is_cancelled_with_its_caller(tmp_path: Path) -> None:
    call = "  - {id: call, type: workflow, workflow: grouped}\n"
    async with runtime_at(tmp_path) as (runtime, _):
        first = await start(runtime, text())
        await holds(runtime, first)
        parent = await start(runtime, f"name: caller\nsteps:\n{call}")
        await until(runtime, parent, lambda _, records: "call" in records)
        (child,) = await runtime.workflows.runs(ACTOR, RunFilter(states=("queued",)))
        runtime.ring((await runtime.runs.cancel(ACTOR, parent)).id)

        run, _ = await finished(runtime, parent)
        assert (run.state, await states(runtime, child.id, first)) == (RunState.CANCELLED, ["cancelled", "active"])


async def test_a_sub_workflow_in_the_group_of_its_caller_is_refused(tmp_path: Path) -> None:
    inner = text(name="inner")
    middle = "name: middle\nsteps:\n  - {id: call, type: workflow, workflow: inner}\n"
    outer = text("  - {id: call, type: workflow, workflow: middle}\n", name="outer")
    apart = text("  - {id: call, type: workflow, workflow: inner, wait: false}\n", name="apart")
    async with runtime_at(tmp_path) as (runtime, _):
        for each in (inner, middle):
            await runtime.workflows.register(ACTOR, each, "test.yaml")
        run, _ = await finished(runtime, await start(runtime, outer))
        assert run.state is RunState.FAILED
        assert "would wait for a run of the same group" in str(run.error)

        run, _ = await finished(runtime, await start(runtime, apart))
        assert run.state is RunState.COMPLETED


async def test_calls_that_cross_end_one_of_the_two_runs_and_not_both(tmp_path: Path) -> None:
    def caller(name: str, other: str) -> str:
        call = f"  - {{id: call, type: workflow, workflow: inner, inputs: {{group: {other}}}}}\n"
        return text(HOLD + call, name=name, concurrency=f"group: {name}")

    inner = text("  - {id: a, type: set}\n", name="inner", concurrency='group: "{{ inputs.group }}"', head="inputs: {group: string}\n")
    async with runtime_at(tmp_path) as (runtime, _):
        await runtime.workflows.register(ACTOR, inner, "test.yaml")
        first, second = await start(runtime, caller("x", "y")), await start(runtime, caller("y", "x"))
        for run_id in (first, second):
            await holds(runtime, run_id)
        await let_go(runtime, first)
        await until(runtime, first, lambda _, records: "call" in records)
        await let_go(runtime, second)

        run, _ = await finished(runtime, second)
        assert (run.error and (run.error["step"], run.error["code"])) == ("call", "concurrency-deadlock")
        run, _ = await finished(runtime, first)
        assert run.state is RunState.COMPLETED


@pytest.mark.parametrize("dies_at", [3, 8, 14, 21, 29])
async def test_a_death_at_any_write_loses_no_turn(tmp_path: Path, dies_at: int) -> None:
    grouped = text("  - {id: a, type: work, seconds: 0.02}\n  - {id: b, type: work}\n")
    mortal: list[Mortal] = []

    def wrap(real: Database) -> Database:
        mortal.append(Mortal(real, dies_at=10_000))
        return cast(Database, mortal[0])

    # Closing what has died fails, as it should.
    with contextlib.suppress(DatabaseUnavailable):
        async with runtime_at(tmp_path, wrap=wrap) as (runtime, _):
            started = [await start(runtime, grouped) for _ in range(3)]
            mortal[0].die_after(dies_at)
            for _ in range(300):
                if mortal[0].is_dead:
                    break
                await asyncio.sleep(0.01)
    async with runtime_at(tmp_path) as (runtime, work):
        for run_id in started:
            run, _ = await finished(runtime, run_id)
            assert run.state is RunState.COMPLETED
        assert work.most <= 1
        times = [(await look(runtime, run_id))[0] for run_id in started]
        for before, after in itertools.pairwise(times):
            assert before.ended_at is not None
            assert after.started_at is not None
            assert before.ended_at <= after.started_at
