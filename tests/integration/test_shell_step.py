"""`shell`: judged, approved, cleared and started like a repair, in a run without an incident."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.integration.shell_support import ANN, BOB, MARKS, Probing, answer, asked, dispatches, only, recording, shell, shell_runtime
from tests.integration.workflow_support import ACTOR, finished, open_gates, start, until

from bcce.approvals.errors import MayNotApprove
from bcce.approvals.model import ApprovalState, Decision
from bcce.execution.model import DispatchState
from bcce.kit.ids import RunId
from bcce.runtime.runtime import Runtime
from bcce.testing.executor import Ending
from bcce.workflows.errors import InvalidWorkflow
from bcce.workflows.model import RunState, StepState

ENV = '    env: {MARK: "{{ inputs.mark }}"}\n'


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    async with shell_runtime(tmp_path / "home") as opened:
        yield opened


async def test_a_script_that_only_reads_runs_without_asking(runtime: Runtime) -> None:
    run, _ = await finished(runtime, await start(runtime, shell("echo hello\nuname -s")))

    output = (await only(runtime, run.id)).output
    assert run.state is RunState.COMPLETED
    assert output is not None
    assert (output["state"], output["exitCode"], output["output"]) == ("succeeded", 0, "hello\nLinux\n")
    (dispatch,) = await dispatches(runtime)
    assert (dispatch.key, dispatch.state, dispatch.incident_id) == (output["dispatch"], DispatchState.SUCCEEDED, None)
    assert await runtime.approvals.list(ACTOR) == ()


async def test_anything_else_waits_for_a_person_and_gets_its_values_as_data(runtime: Runtime, tmp_path: Path) -> None:
    mark = tmp_path / "a mark; $(touch never)"
    run_id = await start(runtime, shell(MARKS, extra=ENV), mark=str(mark))

    question = await asked(runtime)
    assert (question.run_id, question.incident_id, question.shown["script"]) == (run_id, None, MARKS + "\n")
    assert question.shown["parameters"] == {"MARK": str(mark)}
    assert "the incident is critical" not in question.reasons
    assert await open_gates(runtime, run_id) == 1
    assert (await only(runtime, run_id)).state is StepState.WAITING
    assert not mark.exists()

    await answer(runtime)
    run, _ = await finished(runtime, run_id)

    assert run.state is RunState.COMPLETED
    assert mark.read_text() == "started\n"
    (dispatch,) = await dispatches(runtime)
    assert dispatch.approval_digest == question.digest


@pytest.mark.parametrize("way", ["reject", "revoke", "expire"])
async def test_without_agreement_nothing_starts(tmp_path: Path, way: str) -> None:
    executor = recording(tmp_path)
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run_id = await start(runtime, shell(MARKS, extra=ENV), mark="/nowhere")
        question = await asked(runtime)
        if way == "reject":
            await answer(runtime, Decision.REJECT)
        elif way == "revoke":
            await runtime.db.write(lambda conn: runtime.approvals.revoke(ANN, conn, question.id, reason="no"))
        else:
            await runtime.db.write(lambda conn: runtime.approvals.expire(conn, question.expires_at))
        runtime.ring(run_id)
        run, _ = await finished(runtime, run_id)

        assert (run.state, run.error and run.error["code"]) == (RunState.FAILED, "not-approved")
        assert executor.starts == []
        assert await dispatches(runtime) == []


async def test_nobody_agrees_to_a_script_of_their_own_run(tmp_path: Path) -> None:
    executor = recording(tmp_path)
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        stored = await runtime.workflows.register(ACTOR, shell(MARKS, extra=ENV), "test.yaml")
        outer = 'version: "1.0"\nname: outer\nsteps:\n  - {id: call, type: workflow, workflow: test}\n'
        await runtime.workflows.register(ACTOR, outer, "outer.yaml")

        async def begin(name: str) -> RunId:
            run_id = await runtime.db.write(
                lambda conn: runtime.workflows.start(ANN, conn, workflow=name, inputs={}, correlation_id="cor_test")
            )
            runtime.ring(run_id)
            return run_id

        for name in (stored.name, "outer"):
            run_id = await begin(name)
            with pytest.raises(MayNotApprove):
                await answer(runtime, by=ANN)
            await answer(runtime, by=BOB)
            run, _ = await finished(runtime, run_id)
            assert run.state is RunState.COMPLETED
    assert len(executor.starts) == 2


async def test_the_workflow_can_ask_for_more_people_and_less_time(tmp_path: Path) -> None:
    executor = recording(tmp_path)
    extra = "    approval: {count: 2, reason: It is Friday.}\n    with: {timeout: 30s}\n"
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run_id = await start(runtime, shell("df -h /", extra=extra))
        question = await asked(runtime)
        assert (question.required_count, question.shown["why"]) == (2, "It is Friday.")
        await answer(runtime, by=ANN)
        await asyncio.sleep(0.1)
        assert executor.starts == []
        await answer(runtime, by=BOB)
        run, _ = await finished(runtime, run_id)

    assert run.state is RunState.COMPLETED
    assert [item.clearance.timeout_s for item in executor.starts] == [30]


async def test_the_operators_switch_and_limit_hold(tmp_path: Path) -> None:
    executor = recording(tmp_path)
    async with shell_runtime(tmp_path, executor=executor, remediation={"enabled": False}) as runtime:
        run, _ = await finished(runtime, await start(runtime, shell("df -h /")))
        assert (run.state, run.error and run.error["code"]) == (RunState.FAILED, "not-cleared")
    async with shell_runtime(tmp_path, executor=executor, remediation={"enabled": True, "script_timeout_s": 5}) as runtime:
        await finished(runtime, await start(runtime, shell("df -h /", extra="    with: {timeout: 1h}\n")))

    assert [item.clearance.timeout_s for item in executor.starts] == [5]


async def test_a_script_waits_while_the_lease_of_its_worker_is_nearly_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bcce.remediation.jobs._BUSY_PAUSE", timedelta(milliseconds=50))
    monkeypatch.setattr("bcce.remediation.gate.MIN_LEASE_S", 1e9)
    executor = recording(tmp_path)
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run_id = await start(runtime, shell("df -h /"))
        await until(runtime, run_id, lambda _, records: "clean" in records and records["clean"].state is StepState.WAITING)
        record = await only(runtime, run_id)
        assert "lease is nearly over" in (record.waiting_for or "")
        assert executor.starts == []
        monkeypatch.undo()
        run, _ = await finished(runtime, run_id)

    assert run.state is RunState.COMPLETED


async def test_a_policy_that_blocks_fails_the_step(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text('version: "1"\nname: ops\nrules:\n  - {id: no, decision: forbid, commands: ["df **"]}\n')
    executor = recording(tmp_path)
    async with shell_runtime(tmp_path, executor=executor, safety={"policy": str(policy)}) as runtime:
        run, _ = await finished(runtime, await start(runtime, shell("df -h /")))

    assert (run.state, run.error and run.error["code"]) == (RunState.FAILED, "script-blocked")
    assert executor.starts == []


async def test_another_exit_code_fails_the_step_and_is_told(runtime: Runtime) -> None:
    steps = shell("echo oh no\nexit 3", extra="    on_failure: continue\n")
    steps += "  - {id: after, type: transform, value: '{{ steps.clean.output.exitCode }}'}\n"
    run, _ = await finished(runtime, await start(runtime, steps))

    record = await only(runtime, run.id)
    assert (record.state, record.error and record.error["code"]) == (StepState.FAILED, "script-failed")
    assert record.output is not None
    assert (record.output["exitCode"], record.output["output"], record.output["state"]) == (3, "oh no\n", "failed")
    assert (await only(runtime, run.id, "after")).output == {"value": 3}


async def test_a_retry_is_a_dispatch_that_is_decided_anew(tmp_path: Path) -> None:
    executor = recording(tmp_path, lambda _: Ending(exit_code=1))
    extra = ENV + "    retry: {attempts: 2, backoff: fixed, base: 10ms, on: [script-failed]}\n"
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run_id = await start(runtime, shell(MARKS, extra=extra), mark="/nowhere")
        first = await answer(runtime)
        second = await answer(runtime)
        run, _ = await finished(runtime, run_id)

        assert run.state is RunState.FAILED
        assert first.id != second.id
        assert len({item.key for item in executor.starts}) == 2
        assert [item.state for item in await dispatches(runtime)] == [DispatchState.FAILED] * 2


async def test_without_a_retry_it_is_tried_once(tmp_path: Path) -> None:
    executor = recording(tmp_path, lambda _: Ending(exit_code=1))
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        await finished(runtime, await start(runtime, shell("df -h /", extra="    retry: {attempts: 3, base: 10ms}\n")))

    assert len(executor.starts) == 1


async def test_what_cannot_be_known_is_never_started_again(tmp_path: Path) -> None:
    executor = recording(tmp_path, lambda _: None)
    extra = "    retry: {attempts: 3, base: 10ms, on: [outcome-unknown]}\n"
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run_id = await start(runtime, shell("df -h /", extra=extra))
        await until(runtime, run_id, lambda _, records: "clean" in records and bool(executor.starts))
        executor.lose(executor.starts[0].key)
        run, _ = await finished(runtime, run_id)
        assert (run.state, run.error and run.error["code"]) == (RunState.FAILED, "outcome-unknown")

        await runtime.runs.retry(ACTOR, run_id)
        runtime.ring(run_id)
        run, _ = await finished(runtime, run_id)
        assert (run.state, run.error and run.error["code"]) == (RunState.FAILED, "outcome-unknown")
        assert [item.state for item in await dispatches(runtime)] == [DispatchState.INDETERMINATE]

        await runtime.dispatches.settle(ANN, executor.starts[0].key, "failed", reason="I looked")
        await runtime.runs.retry(ACTOR, run_id)
        runtime.ring(run_id)
        await until(runtime, run_id, lambda *_: len(executor.starts) == 2)

    assert len(executor.starts) == 2


async def test_what_is_blocked_is_not_even_registered(runtime: Runtime) -> None:
    text = shell("echo going\nrm -rf /")
    _, findings = runtime.workflows.validate(ACTOR, text)

    assert [(item.rule_id, item.line) for item in findings] == [("workflow.blocked-script", 7)]
    assert "line 2 of the script" in findings[0].message
    with pytest.raises(InvalidWorkflow):
        await start(runtime, text)


@pytest.mark.parametrize(
    ("script", "extra", "rule", "said"),
    [
        ("echo {{ inputs.mark }}", "", "workflow.wrong-parameter", "takes no expression"),
        ("df", "    env: {PATH: x}\n", "workflow.wrong-parameter", "'PATH' cannot be set"),
        ("df", "    env: {LD_PRELOAD: '{{ inputs.mark }}'}\n", "workflow.wrong-parameter", "'LD_PRELOAD' cannot be set"),
        ("df", "    shell: zsh\n", "workflow.wrong-parameter", "bash"),
        ("df", "    target: moon\n", "workflow.unknown-target", "no target 'moon' is configured"),
        ("df", "    with: {timeout: 200ms}\n", "workflow.wrong-parameter", "at least one second"),
    ],
)
async def test_what_is_wrong_with_a_step_is_said_before_it_runs(runtime: Runtime, script: str, extra: str, rule: str, said: str) -> None:
    _, findings = runtime.workflows.validate(ACTOR, shell(script, extra=extra))

    assert [item.rule_id for item in findings] == [rule]
    assert said in findings[0].message


async def test_action_is_the_same(runtime: Runtime) -> None:
    run, _ = await finished(runtime, await start(runtime, shell("df -h /").replace("type: shell", "type: action")))

    assert run.state is RunState.COMPLETED


async def test_turns_of_a_loop_wait_for_each_other_on_one_target(tmp_path: Path) -> None:
    executor = recording(tmp_path)
    loop = (
        'version: "1.0"\nname: test\nsteps:\n  - id: each\n    type: foreach\n    items: [1, 2, 3]\n    steps:\n'
        '      - id: look\n        type: shell\n        env: {NUMBER: "{{ item }}"}\n        script: df -h /\n'
    )
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run, _ = await finished(runtime, await start(runtime, loop))

    assert run.state is RunState.COMPLETED
    assert sorted(item.script.parameters["NUMBER"] for item in executor.starts) == ["1", "2", "3"]


async def test_a_compensation_can_be_a_script(tmp_path: Path) -> None:
    executor = recording(tmp_path, lambda script: Ending(exit_code=1 if "uname" in script.text else 0))
    steps = shell("df -h /", extra="    compensate: {type: shell, script: uptime}\n")
    steps += "  - {id: bad, type: shell, script: uname, on_failure: compensate}\n"
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run, states = await finished(runtime, await start(runtime, steps))

    assert (run.state, states["clean.compensate"]) == (RunState.FAILED, "completed")
    assert [item.script.text.strip() for item in executor.starts] == ["df -h /", "uname", "uptime"]


async def test_a_cancelled_run_takes_its_question_back(tmp_path: Path) -> None:
    executor = recording(tmp_path)
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run_id = await start(runtime, shell(MARKS, extra=ENV), mark="/nowhere")
        question = await asked(runtime)
        await runtime.runs.cancel(ACTOR, run_id)
        runtime.ring(run_id)
        run, states = await finished(runtime, run_id)

        assert (run.state, states) == (RunState.CANCELLED, {"clean": "cancelled"})
        assert (await runtime.approvals.get(ACTOR, question.id)).approval.state is ApprovalState.REVOKED
    assert executor.starts == []


async def test_nothing_starts_after_a_cancel_although_the_step_was_about_to(tmp_path: Path) -> None:
    executor = Probing(tmp_path)
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run_id = await start(runtime, shell("df -h /"))
        await executor.begun.wait()
        await runtime.runs.cancel(ACTOR, run_id)
        executor.go_on.set()
        run, states = await finished(runtime, run_id)

        assert (run.state, states) == (RunState.CANCELLED, {"clean": "cancelled"})
        assert (executor.starts, await dispatches(runtime)) == ([], [])


async def test_nothing_starts_in_a_paused_run_until_it_goes_on(tmp_path: Path) -> None:
    executor = Probing(tmp_path)
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run_id = await start(runtime, shell("df -h /"))
        await executor.begun.wait()
        await runtime.runs.pause(ACTOR, run_id)
        executor.go_on.set()
        await until(runtime, run_id, lambda _, records: "clean" in records and records["clean"].waiting_for == "the run is paused")
        assert (executor.starts, await dispatches(runtime)) == ([], [])

        await runtime.runs.resume(ACTOR, run_id)
        runtime.ring(run_id)
        run, _ = await finished(runtime, run_id)

    assert (run.state, len(executor.starts)) == (RunState.COMPLETED, 1)


async def test_a_compensation_runs_in_a_run_that_is_cancelled(tmp_path: Path) -> None:
    executor = recording(tmp_path)
    steps = shell("df -h /", extra="    compensate: {type: shell, script: uptime}\n") + "  - {id: idle, type: wait, duration: 1h}\n"
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run_id = await start(runtime, steps)
        await until(runtime, run_id, lambda _, records: "idle" in records)
        await runtime.runs.cancel(ACTOR, run_id)
        runtime.ring(run_id)
        run, states = await finished(runtime, run_id)

    assert (run.state, states["clean.compensate"]) == (RunState.CANCELLED, "completed")
    assert [item.script.text.strip() for item in executor.starts] == ["df -h /", "uptime"]


async def test_a_script_is_stopped_although_its_step_waits_for_a_turn(tmp_path: Path) -> None:
    executor = Probing(tmp_path, lambda _: None)
    executor.go_on.set()
    async with shell_runtime(tmp_path, executor=executor, workflows={"type_limits": {"shell": 1}}) as runtime:
        first = await start(runtime, shell("df -h /"))
        await until(runtime, first, lambda *_: bool(executor.starts))
        executor.begun.clear()
        executor.go_on.clear()
        second = await start(runtime, shell("uptime").replace("name: test", "name: holds"))
        await executor.begun.wait()
        await asyncio.sleep(0.5)  # by now the first run asks for its turn, to look at its script
        await runtime.runs.cancel(ACTOR, first)
        runtime.ring(first)
        run, states = await finished(runtime, first)

        assert (run.state, states) == (RunState.CANCELLED, {"clean": "cancelled"})
        assert [item.state for item in await dispatches(runtime)] == [DispatchState.STOPPED]
        await runtime.runs.cancel(ACTOR, second)
        executor.go_on.set()
        await finished(runtime, second)
        assert len(executor.starts) == 1


async def test_a_script_that_had_ended_well_before_the_cancel_is_undone(tmp_path: Path) -> None:
    executor = recording(tmp_path, lambda script: Ending() if "uptime" in script.text else None)
    steps = shell("df -h /", extra="    compensate: {type: shell, script: uptime}\n")
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run_id = await start(runtime, steps)
        await until(runtime, run_id, lambda _, records: bool(executor.starts) and records["clean"].waiting_for == "the script to end")
        await runtime.runs.pause(ACTOR, run_id)
        await asyncio.sleep(0.3)
        executor.finish(executor.starts[0].key)
        await runtime.runs.cancel(ACTOR, run_id)
        runtime.ring(run_id)
        run, states = await finished(runtime, run_id)

        assert (run.state, states) == (RunState.CANCELLED, {"clean": "completed", "clean.compensate": "completed"})
        assert {item.state for item in await dispatches(runtime)} == {DispatchState.SUCCEEDED}
