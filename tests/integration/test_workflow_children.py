"""Runs that other runs start: they begin at once, pause and go on together, and what they did counts."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from tests.integration.workflow_support import ACTOR, events, finished, runtime_at, start, until

from bcce.kit.ids import RunId
from bcce.runtime.runtime import Runtime
from bcce.workflows.filters import RunFilter
from bcce.workflows.model import Run, RunState, StepState
from bcce.workflows.step_type import StepContext, StepOutcome
from bcce.workflows.step_types.workflow import WorkflowStep


def text(steps: str, *, name: str) -> str:
    return f'version: "1.0"\nname: {name}\nsteps:\n{steps}'


CALL = "  - {id: call, type: workflow, workflow: below, compensate: {type: emit, event: undone}}\n"
BELOW = "  - {id: first, type: wait, event: go}\n  - {id: second, type: work}\n"


async def begun(runtime: Runtime, below: str, above: str = CALL) -> tuple[RunId, RunId]:
    """A run of `above` and the one that it waits for, which waits at its first step."""
    await runtime.workflows.register(ACTOR, text(below, name="below"), "below.yaml")
    run_id = await start(runtime, text(above, name="above"))
    await until(runtime, run_id, lambda _, records: "call" in records and records["call"].state is StepState.WAITING)
    child = (await runtime.workflows.runs(ACTOR, RunFilter(workflow="below")))[0]
    await until(runtime, child.id, lambda _, records: "first" in records and records["first"].state is StepState.WAITING)
    return run_id, child.id


async def act(runtime: Runtime, run_id: RunId, what: str) -> Run:
    changed: Run = await getattr(runtime.runs, what)(ACTOR, run_id)
    runtime.ring(run_id)
    return changed


async def state(runtime: Runtime, run_id: RunId) -> RunState | None:
    return await runtime.workflows.state(ACTOR, run_id)


@pytest.mark.parametrize("waits", ["true", "false"])
async def test_a_run_that_another_one_starts_begins_at_once(tmp_path: Path, waits: str) -> None:
    async with runtime_at(tmp_path, sweep_s=60) as (runtime, _):
        await runtime.workflows.register(ACTOR, text("  - {id: a, type: work}\n", name="below"), "below.yaml")
        run_id = await start(runtime, text(f"  - {{id: call, type: workflow, workflow: below, wait: {waits}}}\n", name="above"))
        await finished(runtime, run_id, seconds=10)
        (child,) = await runtime.workflows.runs(ACTOR, RunFilter(workflow="below"))
        await finished(runtime, child.id, seconds=10)


async def test_a_cancel_reaches_what_was_started_at_once(tmp_path: Path) -> None:
    async with runtime_at(tmp_path, sweep_s=60) as (runtime, _):
        run_id, child_id = await begun(runtime, BELOW)
        await act(runtime, run_id, "cancel")
        run, _ = await finished(runtime, run_id, seconds=10)

        assert (run.state, await state(runtime, child_id)) == (RunState.CANCELLED, RunState.CANCELLED)


async def test_what_a_paused_run_waits_for_is_paused_too_and_goes_on_with_it(tmp_path: Path) -> None:
    lowest = "  - {id: deep, type: wait, event: go}\n  - {id: last, type: work}\n"
    async with runtime_at(tmp_path) as (runtime, work):
        await runtime.workflows.register(ACTOR, text(lowest, name="lowest"), "lowest.yaml")
        await runtime.workflows.register(ACTOR, text("  - {id: first, type: workflow, workflow: lowest}\n", name="below"), "below.yaml")
        run_id, child_id = await begun(runtime, "  - {id: first, type: workflow, workflow: lowest}\n")
        (deep,) = await runtime.workflows.runs(ACTOR, RunFilter(workflow="lowest"))
        await until(runtime, deep.id, lambda _, records: "deep" in records and records["deep"].state is StepState.WAITING)

        await act(runtime, run_id, "pause")
        await runtime.workflows.signal(ACTOR, deep.id, "go", {})
        runtime.ring(deep.id)
        states = [await state(runtime, each) for each in (run_id, child_id, deep.id)]
        assert (states, work.calls) == ([RunState.PAUSED] * 3, [])
        assert ("workflow.paused", run_id) == _last(await events(runtime, deep.id), "with")

        await act(runtime, run_id, "resume")
        run, _ = await finished(runtime, run_id)
        assert (run.state, work.calls) == (RunState.COMPLETED, ["last"])


def _last(told: list[tuple[str, Any]], fact: str) -> tuple[str, object]:
    kind, data = told[-1]
    return kind, data.get(fact)


async def test_a_run_that_has_ended_or_stops_is_not_paused_with_the_one_that_waits_for_it(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        run_id, child_id = await begun(runtime, BELOW)
        await runtime.runs.cancel(ACTOR, child_id)
        await act(runtime, run_id, "pause")
        runtime.ring(child_id)
        child, _ = await finished(runtime, child_id)

        assert child.state is RunState.CANCELLED


async def test_what_was_started_and_ended_well_is_undone_by_a_cancel(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        run_id, child_id = await begun(runtime, BELOW)
        await act(runtime, run_id, "pause")
        await act(runtime, child_id, "resume")
        await runtime.workflows.signal(ACTOR, child_id, "go", {})
        runtime.ring(child_id)
        await finished(runtime, child_id)
        assert await state(runtime, run_id) is RunState.PAUSED

        await act(runtime, run_id, "cancel")
        run, states = await finished(runtime, run_id)
        assert (run.state, states) == (RunState.CANCELLED, {"call": "completed", "call.compensate": "completed"})


async def test_the_reason_of_the_innermost_run_is_told_once(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        failing = "  - {id: bad, type: work, fails: -1, retryable: false}\n"
        await runtime.workflows.register(ACTOR, text(failing, name="w0"), "w0.yaml")
        for depth in range(1, 4):
            call = f"  - {{id: call, type: workflow, workflow: w{depth - 1}}}\n"
            await runtime.workflows.register(ACTOR, text(call, name=f"w{depth}"), f"w{depth}.yaml")
        run, _ = await finished(runtime, await start(runtime, text("  - {id: call, type: workflow, workflow: w3}\n", name="top")))

        (below,) = await runtime.workflows.runs(ACTOR, RunFilter(workflow="w3"))
        assert run.error is not None
        assert run.error["message"] == f"the run {below.id} of w3 did not end well: it fails for good"


LIMITED = """version: "1.0"
name: below
concurrency: {group: deploy, limit: 1}
inputs: {waits: {type: boolean, default: false}}
steps:
  - {id: first, type: wait, event: go, when: "{{ inputs.waits }}"}
  - {id: second, type: work}
"""


async def test_one_that_waits_for_its_turn_is_paused_when_it_gets_it(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, work):
        holder = await start(runtime, LIMITED, waits=True)
        await until(runtime, holder, lambda _, records: "first" in records and records["first"].state is StepState.WAITING)
        run_id = await start(runtime, text(CALL, name="above"))
        await until(runtime, run_id, lambda _, records: "call" in records and records["call"].state is StepState.WAITING)
        child = (await runtime.workflows.runs(ACTOR, RunFilter(parent=run_id)))[0]
        assert child.state is RunState.QUEUED

        await act(runtime, run_id, "pause")
        await runtime.workflows.signal(ACTOR, holder, "go", {})
        runtime.ring(holder)
        await finished(runtime, holder)
        await until(runtime, child.id, lambda run, _: run.state is RunState.PAUSED)
        assert work.calls == ["second"]
        await act(runtime, run_id, "resume")
        run, _ = await finished(runtime, run_id)
        assert (run.state, work.calls) == (RunState.COMPLETED, ["second", "second"])


async def test_one_whose_start_was_under_way_during_the_pause_begins_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on, real = asyncio.Event(), asyncio.Event(), WorkflowStep.run

    async def slow(self: WorkflowStep, context: StepContext, params: BaseModel) -> StepOutcome:
        outcome = await real(self, context, params)
        begun.set()
        await go_on.wait()
        return outcome

    monkeypatch.setattr(WorkflowStep, "run", slow)
    async with runtime_at(tmp_path) as (runtime, work):
        await runtime.workflows.register(ACTOR, text("  - {id: second, type: work}\n", name="below"), "below.yaml")
        run_id = await start(runtime, text(CALL, name="above"))
        await begun.wait()
        await act(runtime, run_id, "pause")
        go_on.set()
        await until(runtime, run_id, lambda _, records: "call" in records and records["call"].state is StepState.WAITING)
        (child,) = await runtime.workflows.runs(ACTOR, RunFilter(parent=run_id))
        assert (child.state, child.paused_with, work.calls) == (RunState.PAUSED, run_id, [])

        await act(runtime, run_id, "resume")
        runtime.ring(child.id)
        run, _ = await finished(runtime, run_id)
        assert (run.state, work.calls) == (RunState.COMPLETED, ["second"])


@pytest.mark.parametrize("is_paused", [True, False])
async def test_what_somebody_paused_apart_stays_paused(tmp_path: Path, is_paused: bool) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        run_id, child_id = await begun(runtime, BELOW)
        await act(runtime, child_id, "pause")
        if is_paused:
            await act(runtime, run_id, "pause")
        await act(runtime, run_id, "resume")

        assert (await state(runtime, run_id), await state(runtime, child_id)) == (RunState.ACTIVE, RunState.PAUSED)


async def test_what_is_paused_twice_goes_on_with_the_nearer_one(tmp_path: Path) -> None:
    lowest = "  - {id: deep, type: wait, event: go}\n"
    async with runtime_at(tmp_path) as (runtime, _):
        await runtime.workflows.register(ACTOR, text(lowest, name="lowest"), "lowest.yaml")
        run_id, child_id = await begun(runtime, "  - {id: first, type: workflow, workflow: lowest}\n")
        (deep,) = await runtime.workflows.runs(ACTOR, RunFilter(parent=child_id))
        await act(runtime, run_id, "pause")
        await act(runtime, child_id, "pause")

        await act(runtime, run_id, "resume")
        assert [await state(runtime, each) for each in (run_id, child_id, deep.id)] == [RunState.ACTIVE, RunState.PAUSED, RunState.PAUSED]
        await act(runtime, child_id, "resume")
        assert [await state(runtime, each) for each in (child_id, deep.id)] == [RunState.ACTIVE, RunState.ACTIVE]
