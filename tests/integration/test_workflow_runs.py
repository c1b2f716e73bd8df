"""Runs from their text to their end: order, scopes, failures, loops, timers, and what people do to them."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.workflow_support import ACTOR, Work, events, finished, look, open_gates, runtime_at, start, until

from bcce.kit.errors import InvalidInput
from bcce.runtime.runtime import Runtime
from bcce.workflows.errors import NotRepeatable, RunEnded
from bcce.workflows.filters import RunFilter
from bcce.workflows.model import RunState, StepState


def text(steps: str, *, name: str = "test", head: str = "") -> str:
    return f'version: "1.0"\nname: {name}\n{head}steps:\n{steps}'


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[tuple[Runtime, Work]]:
    async with runtime_at(tmp_path) as pair:
        yield pair


async def test_a_list_runs_from_top_to_bottom(opened: tuple[Runtime, Work]) -> None:
    runtime, work = opened
    steps = "  - {id: a, type: work, value: 1}\n  - {id: b, type: work, value: '{{ steps.a.output.value + 1 }}'}\n"
    run_id = await start(runtime, text(steps, head='outputs: {b: "{{ steps.b.output.value }}"}\n'))

    run, states = await finished(runtime, run_id)

    assert (run.state, run.output, work.calls) == (RunState.COMPLETED, {"b": 2}, ["a", "b"])
    assert states == {"a": "completed", "b": "completed"}


async def test_steps_that_wait_for_nothing_run_at_once(opened: tuple[Runtime, Work]) -> None:
    runtime, work = opened
    steps = "".join(f"  - {{id: s{n}, type: work, seconds: 0.1, depends_on: []}}\n" for n in range(5))
    last = "  - {id: end, type: work, depends_on: [s0, s1, s2, s3, s4]}\n"

    run, _ = await finished(runtime, await start(runtime, text(steps + last)))

    assert run.state is RunState.COMPLETED
    assert work.most == 5
    assert work.calls[-1] == "end"


async def test_a_parallel_block_has_its_limit(tmp_path: Path) -> None:
    inner = "".join(f"      - {{id: s{n}, type: work, seconds: 0.05}}\n" for n in range(6))
    async with runtime_at(tmp_path, max_parallel_steps=3) as (runtime, work):
        run, _ = await finished(runtime, await start(runtime, text(f"  - id: p\n    type: parallel\n    steps:\n{inner}")))

    assert run.state is RunState.COMPLETED
    assert work.most == 3


async def test_a_type_has_its_limit(tmp_path: Path) -> None:
    steps = "".join(f"  - {{id: s{n}, type: work, seconds: 0.03, depends_on: []}}\n" for n in range(4))
    async with runtime_at(tmp_path, type_limits={"work": 1}) as (runtime, work):
        await finished(runtime, await start(runtime, text(steps)))

    assert work.most == 1


async def test_a_step_that_waits_for_a_turn_of_its_type_never_begins_after_a_cancel(tmp_path: Path) -> None:
    steps = "".join(f"  - {{id: s{n}, type: marked, seconds: 0.5, depends_on: []}}\n" for n in range(2))
    async with runtime_at(tmp_path, type_limits={"marked": 1}) as (runtime, _):
        run_id = await start(runtime, text(steps))
        await until(runtime, run_id, lambda _, records: len(records) == 1)
        await runtime.runs.cancel(ACTOR, run_id)
        runtime.ring(run_id)
        run, states = await finished(runtime, run_id)

    assert (run.state, states) == (RunState.CANCELLED, {"s0": "completed", "s1": "cancelled"})


async def test_a_loop_takes_some_at_a_time_and_collects_results(opened: tuple[Runtime, Work]) -> None:
    runtime, work = opened
    loop = (
        '  - id: each\n    type: foreach\n    items: "{{ inputs.hosts }}"\n    concurrency: 2\n    steps:\n'
        '      - {id: first, type: work, seconds: 0.05, value: "{{ item }}"}\n'
        '      - {id: second, type: work, value: "{{ steps.first.output.value }}{{ index }}"}\n'
    )
    run_id = await start(runtime, text(loop, head="inputs: {hosts: array}\n"), hosts=["a", "b", "c"])

    run, _ = await finished(runtime, run_id)
    _, records = await look(runtime, run_id)

    assert run.state is RunState.COMPLETED
    assert work.most == 2
    assert records["each"].output is not None
    assert records["each"].output["results"] == [{"value": "a0"}, {"value": "b1"}, {"value": "c2"}]
    assert records["second[1]"].state is StepState.COMPLETED


@pytest.mark.parametrize(
    ("strategy", "ended", "state", "failed"),
    [
        ("abort", {"w": "cancelled"}, "failed", True),
        ("wait-all", {"w": "completed"}, "failed", True),
        ("continue", {"w": "completed"}, "completed", False),
    ],
)
async def test_what_a_failure_does_to_its_siblings(
    opened: tuple[Runtime, Work], strategy: str, ended: dict[str, str], state: str, failed: bool
) -> None:
    runtime, _ = opened
    steps = (
        f"  - id: p\n    type: parallel\n    failure_strategy: {strategy}\n    steps:\n"
        "      - {id: f, type: work, fails: -1, retryable: false}\n      - {id: w, type: work, seconds: 0.3}\n"
    )

    run, states = await finished(runtime, await start(runtime, text(steps)))

    assert (states["w"], states["p"]) == (ended["w"], state)
    assert (run.state is RunState.FAILED) is failed


async def test_a_failed_step_is_tried_again_then_its_fallback(opened: tuple[Runtime, Work]) -> None:
    runtime, work = opened
    steps = (
        "  - id: a\n    type: work\n    fails: -1\n    retry: {attempts: 3, base: 10ms, jitter: 0}\n"
        "    fallback: {type: work, value: instead}\n"
        "  - {id: b, type: work, value: '{{ steps.a.output.value }}'}\n"
    )
    run_id = await start(runtime, text(steps, head='outputs: {b: "{{ steps.b.output.value }}"}\n'))

    run, _ = await finished(runtime, run_id)

    assert (run.state, run.output) == (RunState.COMPLETED, {"b": "instead"})
    assert work.calls == ["a", "a", "a", "a.fallback", "b"]
    assert [kind for kind, _ in await events(runtime, run_id)].count("step.retried") == 2


async def test_a_failure_may_be_left_behind(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    steps = (
        "  - {id: a, type: work, fails: -1, retryable: false, on_failure: continue}\n"
        "  - {id: b, type: work, value: '{{ steps.a.status }}'}\n"
    )

    run, states = await finished(runtime, await start(runtime, text(steps)))

    assert (run.state, states) == (RunState.COMPLETED, {"a": "failed", "b": "completed"})


async def test_what_was_done_is_undone_the_latest_first(opened: tuple[Runtime, Work]) -> None:
    runtime, work = opened
    steps = (
        "  - {id: a, type: work, compensate: {type: work, value: undo a}}\n"
        "  - {id: b, type: work, compensate: {type: work, value: undo b}}\n"
        "  - {id: c, type: work, fails: -1, retryable: false, on_failure: compensate}\n"
        "  - {id: d, type: work}\n"
    )

    run, _ = await finished(runtime, await start(runtime, text(steps)))

    assert run.state is RunState.FAILED
    assert run.error is not None
    assert run.error["step"] == "c"
    assert work.calls == ["a", "b", "c", "b.compensate", "a.compensate"]


async def test_what_a_fallback_made_good_is_undone_too(opened: tuple[Runtime, Work]) -> None:
    runtime, work = opened
    steps = "  - {id: a, type: work, compensate: {type: work}}\n"
    steps += "  - {id: b, type: work, fails: -1, retryable: false, fallback: {type: work}, compensate: {type: work}}\n"
    steps += "  - {id: c, type: work, compensate: {type: work}}\n"
    steps += "  - {id: d, type: work, fails: -1, retryable: false, fallback: {type: work, fails: -1, retryable: false}, "
    steps += "compensate: {type: work}, on_failure: compensate}\n"

    run, _ = await finished(runtime, await start(runtime, text(steps)))

    assert run.state is RunState.FAILED
    assert work.calls[-3:] == ["c.compensate", "b.compensate", "a.compensate"]


async def test_a_step_that_takes_too_long_fails_and_so_does_a_scope(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    one, states = await finished(runtime, await start(runtime, text("  - {id: a, type: work, seconds: 5, timeout: 50ms}\n")))
    group = "  - id: g\n    type: group\n    timeout: 1s\n    steps:\n      - {id: a, type: watch, seconds: 20}\n"
    other, inner = await finished(runtime, await start(runtime, text(group, name="other")))

    assert (one.state, states) == (RunState.FAILED, {"a": "failed"})
    assert other.error is not None
    assert (other.state, other.error["code"], inner) == (RunState.FAILED, "step-timed-out", {"g": "failed", "a": "cancelled"})


async def test_only_one_branch_runs_and_skipped_steps_count_as_done(opened: tuple[Runtime, Work]) -> None:
    runtime, work = opened
    steps = (
        '  - id: c\n    type: condition\n    condition: "{{ inputs.n > 1 }}"\n    then: {id: t, type: work}\n'
        "    else: {id: e, type: work}\n"
        '  - {id: s, type: work, when: "{{ inputs.n == 0 }}"}\n  - {id: z, type: work}\n'
    )

    run, states = await finished(runtime, await start(runtime, text(steps, head="inputs: {n: integer}\n"), n=2))

    assert (run.state, states) == (RunState.COMPLETED, {"c": "completed", "t": "completed", "s": "skipped", "z": "completed"})
    assert work.calls == ["t", "z"]


async def test_a_cancelled_run_stops_what_runs_and_undoes_what_was_done(opened: tuple[Runtime, Work]) -> None:
    runtime, work = opened
    steps = (
        "  - {id: a, type: work, compensate: {type: work, value: undo}}\n"
        "  - id: p\n    type: parallel\n    steps:\n      - {id: busy, type: work, seconds: 20}\n"
        "      - {id: gate, type: wait, event: never}\n"
    )
    run_id = await start(runtime, text(steps))
    await until(runtime, run_id, lambda _, records: "gate" in records and records["gate"].state is StepState.WAITING)

    await runtime.runs.cancel(ACTOR, run_id)
    runtime.ring(run_id)
    run, states = await finished(runtime, run_id)

    assert run.state is RunState.CANCELLED
    assert states == {"a": "completed", "p": "cancelled", "busy": "cancelled", "gate": "cancelled", "a.compensate": "completed"}
    assert work.calls == ["a", "busy", "a.compensate"]
    assert await open_gates(runtime, run_id) == 0
    with pytest.raises(RunEnded):
        await runtime.runs.cancel(ACTOR, run_id)


async def test_a_cancel_that_nobody_rings_for_is_noticed(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    run_id = await start(runtime, text("  - {id: busy, type: work, seconds: 20}\n"))
    await until(runtime, run_id, lambda run, _: run.lease_owner is not None)

    await runtime.runs.cancel(ACTOR, run_id)

    run, _ = await finished(runtime, run_id)
    assert run.state is RunState.CANCELLED


async def test_what_cannot_be_stopped_is_followed_to_its_end(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    run_id = await start(runtime, text("  - {id: m, type: marked, seconds: 0.4}\n  - {id: b, type: work}\n"))
    await until(runtime, run_id, lambda _, records: "m" in records)

    await runtime.runs.cancel(ACTOR, run_id)
    runtime.ring(run_id)

    run, states = await finished(runtime, run_id)
    assert (run.state, states) == (RunState.CANCELLED, {"m": "completed"})


async def test_a_paused_run_begins_nothing_until_it_is_resumed(opened: tuple[Runtime, Work]) -> None:
    runtime, work = opened
    run_id = await start(runtime, text("  - {id: a, type: work, seconds: 0.2}\n  - {id: b, type: work}\n"))
    await until(runtime, run_id, lambda run, _: run.lease_owner is not None)
    await runtime.runs.pause(ACTOR, run_id)
    runtime.ring(run_id)
    await until(runtime, run_id, lambda run, records: "a" in records and run.lease_owner is None)
    await asyncio.sleep(0.2)
    assert work.calls == ["a"]

    await runtime.runs.resume(ACTOR, run_id)
    runtime.ring(run_id)

    run, _ = await finished(runtime, run_id)
    assert (run.state, work.calls) == (RunState.COMPLETED, ["a", "b"])


async def test_a_failed_run_is_tried_again_from_where_it_failed(opened: tuple[Runtime, Work]) -> None:
    runtime, work = opened
    steps = (
        "  - {id: a, type: work}\n"
        "  - id: p\n    type: parallel\n    steps:\n      - {id: x, type: work, fails: 1, retryable: false}\n      - {id: y, type: work}\n"
    )
    run_id = await start(runtime, text(steps))
    failed, _ = await finished(runtime, run_id)
    assert failed.state is RunState.FAILED

    await runtime.runs.retry(ACTOR, run_id)
    runtime.ring(run_id)

    run, states = await finished(runtime, run_id)
    assert (run.state, run.error) == (RunState.COMPLETED, None)
    assert (states["p"], states["x"], work.calls.count("a")) == ("completed", "completed", 1)
    with pytest.raises(NotRepeatable):
        await runtime.runs.retry(ACTOR, run_id)


async def test_a_run_is_run_again_from_a_step_with_other_inputs(opened: tuple[Runtime, Work]) -> None:
    runtime, work = opened
    steps = (
        "  - {id: a, type: work, value: kept}\n"
        '  - id: c\n    type: condition\n    condition: "{{ inputs.n > 0 }}"\n    then:\n'
        '      - {id: b, type: work, value: "{{ steps.a.output.value }} {{ inputs.n }}"}\n'
        '      - {id: d, type: work, value: "{{ steps.b.output.value }}"}\n'
    )
    run_id = await start(runtime, text(steps, head="inputs: {n: integer}\n"), n=1)
    await finished(runtime, run_id)
    work.calls.clear()

    new_id = await runtime.runs.rerun(ACTOR, run_id, step="b", inputs={"n": 7})
    runtime.ring(new_id)

    run, _ = await finished(runtime, new_id)
    _, records = await look(runtime, new_id)
    assert (run.state, work.calls) == (RunState.COMPLETED, ["b", "d"])
    assert records["d"].output == {"value": "kept 7"}
    with pytest.raises(InvalidInput):
        await runtime.runs.rerun(ACTOR, run_id, step="zz", inputs={})


async def test_a_run_without_its_optional_inputs_can_begin_anew_at_a_step(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    head = "inputs: {n: {type: integer, required: false}, p: {required: false, secret: true}}\n"
    run_id = await start(runtime, text('  - {id: a, type: work}\n  - {id: b, type: work, value: "{{ inputs.n }}"}\n', head=head))
    await finished(runtime, run_id)

    new_id = await runtime.runs.rerun(ACTOR, run_id, step="b", inputs={})
    runtime.ring(new_id)

    run, _ = await finished(runtime, new_id)
    assert (run.state, run.inputs) == (RunState.COMPLETED, {"n": None, "p": None})


async def test_a_workflow_is_a_step_of_another(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    child = text(
        '  - {id: c, type: work, value: "{{ inputs.n * 2 }}"}\n',
        name="child",
        head='inputs: {n: integer}\noutputs: {r: "{{ steps.c.output.value }}"}\n',
    )
    await runtime.workflows.register(ACTOR, child, "child.yaml")
    parent = '  - id: w\n    type: workflow\n    workflow: child\n    inputs: {n: "{{ inputs.n }}"}\n'
    parent += '  - {id: z, type: work, value: "{{ steps.w.output.r }}"}\n'

    run_id = await start(runtime, text(parent, name="parent", head="inputs: {n: integer}\n"), n=21)

    run, _ = await finished(runtime, run_id)
    _, records = await look(runtime, run_id)
    assert run.state is RunState.COMPLETED
    assert records["z"].output == {"value": 42}


async def test_a_child_that_fails_fails_its_step_and_a_cancel_reaches_it(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    await runtime.workflows.register(ACTOR, text("  - {id: c, type: work, fails: -1, retryable: false}\n", name="bad"), "bad.yaml")
    await runtime.workflows.register(ACTOR, text("  - {id: c, type: wait, event: never}\n", name="long"), "long.yaml")
    failed, _ = await finished(runtime, await start(runtime, text("  - {id: w, type: workflow, workflow: bad}\n", name="one")))
    assert failed.error is not None
    assert failed.error["code"] == "child-run-failed"
    run_id = await start(runtime, text("  - {id: w, type: workflow, workflow: long}\n", name="two"))
    await until(runtime, run_id, lambda _, records: "w" in records and records["w"].state is StepState.WAITING)

    await runtime.runs.cancel(ACTOR, run_id)
    runtime.ring(run_id)

    run, _ = await finished(runtime, run_id)
    children = [item for item in await runtime.workflows.runs(ACTOR, RunFilter(workflow="long"))]
    assert (run.state, [child.state for child in children]) == (RunState.CANCELLED, [RunState.CANCELLED])


async def test_gates_inside_loops_open_apart_and_a_signal_closes_one(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    loop = '  - id: each\n    type: foreach\n    items: [x, y]\n    steps:\n      - {id: g, type: wait, event: "go-{{ item }}"}\n'
    run_id = await start(runtime, text(loop))
    await until(runtime, run_id, lambda _, records: {"g[0]", "g[1]"} <= records.keys())
    assert await open_gates(runtime, run_id) == 2

    await runtime.workflows.signal(ACTOR, run_id, "go-y", {"ok": True})
    runtime.ring(run_id)
    await until(runtime, run_id, lambda _, records: records["g[1]"].state is StepState.COMPLETED)
    assert await open_gates(runtime, run_id) == 1
    await runtime.workflows.signal(ACTOR, run_id, "go-x", {})
    runtime.ring(run_id)

    run, _ = await finished(runtime, run_id)
    assert run.state is RunState.COMPLETED


async def test_a_timer_outlives_a_restart(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        run_id = await start(runtime, text("  - {id: t, type: wait, duration: 700ms}\n"))
        await until(runtime, run_id, lambda _, records: "t" in records)
    await asyncio.sleep(0.7)
    async with runtime_at(tmp_path) as (runtime, _):
        run, states = await finished(runtime, run_id)

    assert (run.state, states) == (RunState.COMPLETED, {"t": "completed"})


async def test_a_workflow_publishes_events_of_its_own(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    run_id = await start(runtime, text("  - {id: e, type: emit, event: deploy.done, data: {n: 1}}\n"))
    await finished(runtime, run_id)

    told = await events(runtime, run_id)
    own = [data for kind, data in told if kind == "workflow.event"]
    assert own == [{"stepId": "e", "workflowId": run_id, "event": "deploy.done", "data": {"n": 1}}]
    assert [kind for kind, _ in told] == ["workflow.started", "step.started", "workflow.event", "step.completed", "workflow.completed"]


async def test_the_events_of_a_run_come_in_order(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    run_id = await start(runtime, text("  - {id: a, type: work}\n  - {id: b, type: work, fails: -1, retryable: false}\n"))
    await finished(runtime, run_id)

    kinds = [kind for kind, _ in await events(runtime, run_id)]
    assert kinds == ["workflow.started", "step.started", "step.completed", "step.started", "step.failed", "workflow.failed"]
    lasted = [kind for kind, data in await events(runtime, run_id) if "duration" in data]
    assert lasted == ["step.completed", "step.failed", "workflow.failed"]


async def test_a_cancel_at_any_moment_ends_the_run(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    steps = (
        "  - {id: a, type: work, seconds: 0.01, compensate: {type: work}}\n"
        "  - id: p\n    type: parallel\n    steps:\n      - {id: x, type: work, seconds: 0.02}\n"
        "      - {id: y, type: watch, seconds: 0.01}\n"
        "      - {id: z, type: work, fails: -1, retry: {attempts: 9, base: 5ms}}\n"
        "  - {id: g, type: wait, event: never}\n"
    )
    chance = random.Random(11)  # noqa: S311 - no secret

    async def one() -> RunState:
        run_id = await start(runtime, text(steps))
        await asyncio.sleep(chance.random() * 0.15)
        with contextlib.suppress(RunEnded):
            if chance.random() < 0.3:
                await runtime.runs.pause(ACTOR, run_id)
                runtime.ring(run_id)
                await runtime.runs.resume(ACTOR, run_id)
                runtime.ring(run_id)
            await runtime.runs.cancel(ACTOR, run_id)
        if chance.random() < 0.7:
            runtime.ring(run_id)
        run, _ = await finished(runtime, run_id)
        assert await open_gates(runtime, run_id) == 0
        return run.state

    states = await asyncio.gather(*(one() for _ in range(40)))

    assert set(states) <= {RunState.CANCELLED, RunState.FAILED}
    assert RunState.CANCELLED in states


async def test_a_call_that_was_told_of_while_it_ran_is_cut_off(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    run_id = await start(runtime, text("  - {id: busy, type: work, seconds: 20}\n"))
    await until(runtime, run_id, lambda _, records: "busy" in records and records["busy"].state is StepState.STARTED)

    await runtime.runs.cancel(ACTOR, run_id)
    runtime.ring(run_id)

    run, states = await finished(runtime, run_id, seconds=10)
    assert (run.state, states) == (RunState.CANCELLED, {"busy": "cancelled"})
    kinds = [kind for kind, _ in await events(runtime, run_id)]
    assert kinds == ["workflow.started", "step.started", "workflow.cancelling", "step.cancelled", "workflow.cancelled"]


async def test_a_retry_does_not_do_again_what_is_settled(opened: tuple[Runtime, Work]) -> None:
    runtime, work = opened
    broken = "type: work, fails: 1, retryable: false"
    steps = (
        f"  - {{id: x, {broken}, fallback: {{type: work}}}}\n"
        f"  - id: each\n    type: foreach\n    items: [1, 2]\n    failure_strategy: continue\n    steps: [{{id: i, {broken}}}]\n"
        f"  - id: g\n    type: group\n    failure_strategy: continue\n    steps: [{{id: k, {broken}}}, {{id: l, type: work}}]\n"
        f"  - id: c\n    type: condition\n    condition: '{{{{ 1 == 1 }}}}'\n    then: [{{id: t, {broken}}}]\n"
        f"  - id: h\n    type: foreach\n    items: [1]\n    steps: [{{id: z, {broken}}}]\n"
        "  - {id: end, type: wait, duration: 100ms}\n"
    )
    run_id = await start(runtime, text(steps))
    calls = []
    for _ in range(3):
        run, states = await finished(runtime, run_id)
        calls.append(list(work.calls))
        work.calls.clear()
        if run.state is RunState.FAILED:
            await runtime.runs.retry(ACTOR, run_id)
            runtime.ring(run_id)

    assert run.state is RunState.COMPLETED
    assert calls == [["x", "x.fallback", "i[0]", "i[1]", "k", "l", "t"], ["t", "z[0]"], ["z[0]"]]
    assert (states["x"], states["i[0]"], states["k"]) == ("failed", "failed", "failed")


@pytest.mark.parametrize("fails", [1, 2])
async def test_a_retry_tries_the_step_first_and_then_its_fallback(opened: tuple[Runtime, Work], fails: int) -> None:
    runtime, work = opened
    steps = (
        f"  - {{id: x, type: work, fails: {fails}, retryable: false, fallback: {{type: work, fails: 1, retryable: false}}}}\n"
        "  - id: g\n    type: group\n    steps: [{id: end, type: wait, duration: 100ms}]\n"
    )
    run_id = await start(runtime, text(steps))
    await finished(runtime, run_id)
    work.calls.clear()

    await runtime.runs.retry(ACTOR, run_id)
    runtime.ring(run_id)
    run, states = await finished(runtime, run_id)

    assert run.state is RunState.COMPLETED
    assert work.calls == ["x", "x.fallback"][:fails]
    assert (states["x"], states["x.fallback"]) == (("completed", "cancelled") if fails == 1 else ("failed", "completed"))
