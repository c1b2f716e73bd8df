"""A shell step whose worker dies at any write, and one that is stopped: the script starts at most once, and what is left is known."""

import asyncio
import contextlib
import os
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update
from tests.integration.shell_support import MARKS, answer, asked, dispatches, only, recording, shell, shell_runtime
from tests.integration.test_workflow_crashes import Mortal
from tests.integration.workflow_support import ACTOR, OVER, finished, look, start, until

from bcce.approvals.model import ApprovalState, Decision
from bcce.execution import repository
from bcce.execution.errors import ClearanceRefused, ExecutorUnavailable, InvalidScript, NotStarted, TargetNotReady
from bcce.execution.model import DispatchState, JobPhase, JobStatus, OutputChunk, StopResult, Target
from bcce.execution.tables import dispatches as dispatch_rows
from bcce.kit.clock import SystemClock
from bcce.kit.errors import BcceError
from bcce.kit.ids import RunId
from bcce.remediation.dispatches import NotIndeterminate
from bcce.remediation.errors import UnknownTarget
from bcce.remediation.tables import plans
from bcce.runtime.runtime import Runtime
from bcce.security.actor import role_actor
from bcce.security.audit.tables import audit
from bcce.security.authz import Role
from bcce.security.crypto import StateKeys
from bcce.security.errors import SecretUnavailable
from bcce.storage.doors import Database
from bcce.storage.errors import DatabaseUnavailable
from bcce.testing.executor import Ending, RecordingExecutor
from bcce.workflows.model import RunState, StepState

ENV = '    env: {MARK: "{{ inputs.mark }}"}\n'
#: More writes than the story has; from the one on that it does not reach, it ends without a crash.
WRITES = 24
SLOW = '{ trap "" HUP; } 2>/dev/null\necho started >> "$MARK"\nsleep 60\n'
BOSS = role_actor(Role.APPROVER, id="user:boss", name="Boss", kind="user")


async def _answer_all(runtime: Runtime, run_id: RunId) -> None:
    """Agrees to whatever is asked until the run is over; gives up when the database has died."""
    with contextlib.suppress(DatabaseUnavailable):
        while True:
            for question in await runtime.approvals.list(ACTOR, state=ApprovalState.PENDING):
                await runtime.approvals.submit_decision(BOSS, question.id, Decision.APPROVE, comment="", digest_seen=question.digest)
                runtime.ring(run_id)
            run, _ = await look(runtime, run_id)
            if run.state in OVER:
                return
            await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("dies_at", range(1, WRITES + 1))
async def test_a_death_at_any_write_starts_the_script_once(tmp_path: Path, dies_at: int, is_after: bool) -> None:
    home, mark = tmp_path / "home", tmp_path / "mark"
    text = shell(MARKS + "\nsleep 0.2\n", extra=ENV)
    async with shell_runtime(home, works=False) as runtime:
        run_id = await start(runtime, text, mark=str(mark))
    mortal: list[Mortal] = []

    def wrap(real: Database) -> Database:
        mortal.append(Mortal(real, 1_000_000))
        return mortal[0]  # type: ignore[return-value]

    with contextlib.suppress(DatabaseUnavailable, ExceptionGroup):
        async with shell_runtime(home, wrap=wrap) as runtime:
            mortal[0]._left, mortal[0]._is_after = dies_at, is_after
            async with asyncio.timeout(20):
                await _answer_all(runtime, run_id)
    async with shell_runtime(home) as runtime:
        runtime.ring(run_id)
        async with asyncio.timeout(30):
            await _answer_all(runtime, run_id)
        run, states = await finished(runtime, run_id)
        made = await dispatches(runtime)

    assert (run.state, states) == (RunState.COMPLETED, {"clean": "completed"})
    assert mark.read_text() == "started\n"
    assert [item.state for item in made if item.state is not DispatchState.ABANDONED] == [DispatchState.SUCCEEDED]


async def test_a_cancelled_run_ends_its_script_and_proves_it(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with shell_runtime(tmp_path / "home") as runtime:
        run_id = await start(runtime, shell(SLOW, extra=ENV), mark=str(mark))
        await answer(runtime)
        await until(runtime, run_id, lambda *_: mark.exists())
        await runtime.runs.cancel(ACTOR, run_id)
        runtime.ring(run_id)
        run, states = await finished(runtime, run_id)

        assert (run.state, states) == (RunState.CANCELLED, {"clean": "cancelled"})
        output = (await only(runtime, run_id)).output
        assert output is not None
        assert output["state"] == "stopped"
        assert isinstance(output["stop"], dict)
        assert output["stop"]["proven"] is True
        (dispatch,) = await dispatches(runtime)
        assert (dispatch.state, dispatch.exit_code) == (DispatchState.STOPPED, 143)
        # The target is free again.
        run, _ = await finished(runtime, await start(runtime, shell("uname")))
        assert run.state is RunState.COMPLETED


async def test_a_step_whose_time_is_over_ends_its_script(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with shell_runtime(tmp_path / "home") as runtime:
        run_id = await start(runtime, shell(SLOW, extra=f"{ENV}    timeout: 4s\n"), mark=str(mark))
        await answer(runtime)
        run, _ = await finished(runtime, run_id)

        assert (run.state, run.error and run.error["code"]) == (RunState.FAILED, "step-timed-out")
        assert [item.state for item in await dispatches(runtime)] == [DispatchState.STOPPED]


async def test_a_script_that_takes_longer_than_it_may_is_ended_on_its_target(tmp_path: Path) -> None:
    async with shell_runtime(tmp_path / "home") as runtime:
        run_id = await start(runtime, shell("sleep 60", extra="    with: {timeout: 1s}\n"))
        async with asyncio.timeout(20):
            await _answer_all(runtime, run_id)
        run, _ = await finished(runtime, run_id)

        assert (run.error and run.error["code"]) == "script-failed"
        assert "its time ran out" in str(run.error and run.error["message"])


class Unstoppable(RecordingExecutor):
    """Cannot show that it stopped anything, or cannot be reached when it is asked to."""

    is_away = False

    async def stop(self, key: str, target: Target) -> StopResult:
        if self.is_away:
            raise ExecutorUnavailable("nobody answers")
        return StopResult(proven=False, detail="processes of its session are left")


@pytest.mark.parametrize("is_away", [False, True])
async def test_a_stop_that_cannot_be_shown_keeps_the_target_locked(tmp_path: Path, is_away: bool) -> None:
    executor = recording(tmp_path, lambda _: None)
    executor.__class__ = Unstoppable
    executor.is_away = is_away  # type: ignore[attr-defined]
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run_id = await start(runtime, shell("uname"))
        await until(runtime, run_id, lambda *_: bool(executor.starts))
        await runtime.runs.cancel(ACTOR, run_id)
        runtime.ring(run_id)
        run, states = await finished(runtime, run_id)

        assert (run.state, states) == (RunState.CANCELLED, {"clean": "cancelled"})
        record = await only(runtime, run_id)
        assert record.output is not None
        assert record.output["state"] == "indeterminate"
        assert isinstance(record.output["stop"], dict)
        assert record.output["stop"]["proven"] is False
        assert [item.state for item in await dispatches(runtime)] == [DispatchState.INDETERMINATE]
        run, _ = await finished(runtime, await start(runtime, shell("uname")))
        assert (run.error and run.error["code"]) == "not-cleared"


async def test_a_run_that_is_cancelled_before_its_script_was_started_never_starts_it(tmp_path: Path) -> None:
    executor = recording(tmp_path)
    executor.fail_next_start(ExecutorUnavailable("nobody answers"))
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run_id = await start(runtime, shell("uname"))
        await until(runtime, run_id, lambda _, records: "clean" in records and records["clean"].state is StepState.WAITING)
        await runtime.runs.cancel(ACTOR, run_id)
        runtime.ring(run_id)
        run, _ = await finished(runtime, run_id)

        assert run.state in (RunState.CANCELLED, RunState.COMPLETED)
        assert len(executor.starts) == (run.state is RunState.COMPLETED)


class Silent(RecordingExecutor):
    """Starts, and then does not answer for a while."""

    silent_for = 0
    error: BcceError = ExecutorUnavailable("nobody answers")

    async def status(self, key: str, target: Target, **options: object) -> object:  # type: ignore[override]
        if self.silent_for > 0:
            self.silent_for -= 1
            raise self.error
        return await super().status(key, target)


NO_ANSWERS = [ExecutorUnavailable("nobody answers"), TargetNotReady("a folder above is open"), UnknownTarget("the executor is gone")]


@pytest.mark.parametrize("error", NO_ANSWERS, ids=lambda error: error.code)
async def test_a_target_that_does_not_answer_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BcceError) -> None:
    monkeypatch.setattr("bcce.remediation.jobs._SILENT_PAUSE", timedelta(milliseconds=50))
    executor = recording(tmp_path)
    executor.__class__ = Silent
    executor.silent_for = 3  # type: ignore[attr-defined]
    executor.error = error  # type: ignore[attr-defined]
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run, _ = await finished(runtime, await start(runtime, shell("uname")))

    assert run.state is RunState.COMPLETED


async def test_a_target_that_never_answers_again_leaves_an_outcome_that_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bcce.remediation.jobs._SILENT_LIMIT", timedelta(0))
    monkeypatch.setattr("bcce.remediation.jobs._SILENT_PAUSE", timedelta(milliseconds=50))
    executor = recording(tmp_path)
    executor.__class__ = Silent
    executor.silent_for = 1_000_000  # type: ignore[attr-defined]
    async with shell_runtime(tmp_path, executor=executor, remediation={"enabled": True, "script_timeout_s": 1}) as runtime:
        run, _ = await finished(runtime, await start(runtime, shell("uname")))

        assert (run.error and run.error["code"]) == "outcome-unknown"
        assert [item.state for item in await dispatches(runtime)] == [DispatchState.INDETERMINATE]


class Mute(RecordingExecutor):
    """Tells how a script ended, but not what it wrote."""

    async def output(self, key: str, target: Target, offset: int) -> OutputChunk:
        raise ExecutorUnavailable("the disk is broken")


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_an_end_that_is_known_counts_although_the_output_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_cancelled: bool
) -> None:
    monkeypatch.setattr("bcce.remediation.jobs._SILENT_LIMIT", timedelta(0))
    monkeypatch.setattr("bcce.remediation.jobs._SILENT_PAUSE", timedelta(milliseconds=50))
    executor = recording(tmp_path, (lambda _: None) if is_cancelled else lambda _: Ending())
    executor.__class__ = Mute
    async with shell_runtime(tmp_path, executor=executor, remediation={"enabled": True, "script_timeout_s": 1}) as runtime:
        run_id = await start(runtime, shell("uname"))
        if is_cancelled:
            await until(runtime, run_id, lambda *_: bool(executor.starts))
            await runtime.runs.cancel(ACTOR, run_id)
            runtime.ring(run_id)
        await finished(runtime, run_id)
        output = (await only(runtime, run_id)).output
        (dispatch,) = await dispatches(runtime)

    assert dispatch.state is (DispatchState.STOPPED if is_cancelled else DispatchState.SUCCEEDED)
    assert output is not None
    assert output["output"] == "what the script wrote could not be read: the disk is broken"


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_script_whose_plan_can_no_longer_be_read_is_followed_and_stopped(tmp_path: Path, is_cancelled: bool) -> None:
    executor = recording(tmp_path, lambda _: None)
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run_id = await start(runtime, shell("uname"))
        await until(runtime, run_id, lambda *_: bool(executor.starts))
        await runtime.db.write(lambda conn: conn.execute(update(plans).values(digest="sha256:other")))
        if is_cancelled:
            await runtime.runs.cancel(ACTOR, run_id)
        else:
            executor.finish(executor.starts[0].key, output=b"a secret")
        runtime.ring(run_id)
        run, _ = await finished(runtime, run_id)
        output = (await only(runtime, run_id)).output
        (dispatch,) = await dispatches(runtime)

    assert run.state is (RunState.CANCELLED if is_cancelled else RunState.COMPLETED)
    assert dispatch.state is (DispatchState.STOPPED if is_cancelled else DispatchState.SUCCEEDED)
    assert "a secret" not in str(output)


@pytest.mark.parametrize("state", [DispatchState.CLEARED, DispatchState.STARTED])
async def test_what_an_ended_step_left_behind_is_named_and_can_be_settled(tmp_path: Path, state: DispatchState) -> None:
    executor = recording(tmp_path)
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        await finished(runtime, await start(runtime, shell("uname")))
        (left,) = await dispatches(runtime)

        def leave(conn: Connection) -> None:
            conn.execute(update(dispatch_rows).values(state=state, ended_at=None))
            repository.lock_target(conn, left.tenant_id, left.target, left.id, left.created_at)

        await runtime.db.write(leave)
        run, _ = await finished(runtime, await start(runtime, shell("uname")))
        assert (run.error and run.error["code"]) == "not-cleared"
        assert f"dispatch {left.id} nobody follows" in str(run.error and run.error["message"])

        settled = await runtime.dispatches.settle(BOSS, left.id, "succeeded", reason="I looked")
        assert settled.state is DispatchState.SUCCEEDED
        with pytest.raises(NotIndeterminate):
            await runtime.dispatches.settle(BOSS, left.id, "failed", reason="again")
        run, _ = await finished(runtime, await start(runtime, shell("uname")))
        assert run.state is RunState.COMPLETED


async def test_a_script_waits_for_one_that_runs_under_another_name_of_the_machine(tmp_path: Path) -> None:
    executor = recording(tmp_path, ending=lambda _: None)
    targets = {"targets": {"one": {"address": "web-1"}, "other": {"address": "root@web-1:22", "login": "root"}}}
    async with shell_runtime(tmp_path, executor=executor, execution=targets) as runtime:
        first = await start(runtime, shell("uname", extra="    target: one\n"))
        await until(runtime, first, lambda *_: bool(executor.starts))
        second = await start(runtime, shell("uname", extra="    target: other\n"))
        await until(runtime, second, lambda _, records: "another script runs" in str([item.waiting_for for item in records.values()]))
        waiting = (await only(runtime, second)).waiting_for
        started = len(executor.starts)
        executor.finish(executor.starts[0].key)
        await until(runtime, second, lambda *_: len(executor.starts) == 2)
        executor.finish(executor.starts[1].key)
        run, _ = await finished(runtime, second)
        (one, other) = await dispatches(runtime)

    assert f"on the machine of target 'other', as its target 'one': dispatch {one.id}" in str(waiting)
    assert (started, run.state, one.target.name, other.target.name) == (1, RunState.COMPLETED, "one", "other")


async def test_a_start_that_is_surely_refused_fails_the_step_and_frees_the_target(tmp_path: Path) -> None:
    """The real executor, whose base folder goes away while people are asked."""
    mark = tmp_path / "mark"
    async with shell_runtime(tmp_path / "home") as runtime:
        run_id = await start(runtime, shell(MARKS, extra=ENV), mark=str(mark))
        question = await asked(runtime)
        plan = await runtime.db.read(lambda conn: conn.execute(select(plans.c.body)).scalar_one())
        os.rename(plan["actions"][0]["target"]["base_dir"], tmp_path / "aside")  # noqa: PTH104 - of no path that this function made
        await answer(runtime)
        run, _ = await finished(runtime, run_id)
        (left,) = await dispatches(runtime)
        audited = await runtime.db.read(lambda conn: conn.execute(select(audit.c.action).where(audit.c.subject == left.id)).scalars().all())

        assert (run.error and run.error["code"], left.state) == ("target-not-ready", DispatchState.ABANDONED)
        assert (question.run_id, mark.exists(), list(audited)) == (run_id, False, ["dispatch.cleared", "dispatch.finished"])
        assert await runtime.db.read(lambda conn: repository.lock_holders(conn, left.tenant_id, left.target)) == frozenset()

        await runtime.runs.retry(ACTOR, run_id)
        runtime.ring(run_id)
        await answer(runtime)
        run, _ = await finished(runtime, run_id)
        assert (run.state, mark.read_text()) == (RunState.COMPLETED, "started\n")


REFUSALS = [
    (ClearanceRefused("the clearance is over"), 1, None),
    (NotStarted("the target could not store the script"), 2, None),
    (NotStarted("the target could not store the script"), 3, "dispatch-failed"),
    (TargetNotReady("the base folder does not exist"), 1, "target-not-ready"),
    (SecretUnavailable("nobody knows it"), 1, "secret-unavailable"),
    (InvalidScript("a value holds a NUL"), 1, "invalid-script"),
]


@pytest.mark.parametrize(("error", "times", "code"), REFUSALS, ids=lambda item: getattr(item, "code", str(item)))
async def test_what_a_start_says_for_sure_needs_nobody_to_settle_it(tmp_path: Path, error: BcceError, times: int, code: str | None) -> None:
    executor = Deaf(tmp_path)
    for _ in range(times):
        executor.fail_next_start(error)
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run, _ = await finished(runtime, await start(runtime, shell("uname")))
        states = [item.state for item in await dispatches(runtime)]

    assert (run.error and run.error["code"], len(executor.starts)) == (code, int(code is None))
    assert states == [DispatchState.ABANDONED] * times + [DispatchState.SUCCEEDED] * (code is None)


class Deaf(RecordingExecutor):
    """A target of which nobody can say anything before something was started there."""

    def __init__(self, home: Path) -> None:
        super().__init__(clock=SystemClock(), verifier=StateKeys.load_or_create(home / "keys").signer.verifier(), name="local")

    async def status(self, key: str, target: Target, **options: object) -> JobStatus:  # type: ignore[override]
        if not self.starts:
            return JobStatus(phase=JobPhase.UNKNOWN, detail="the target's base folder is gone")
        return await super().status(key, target)
