"""Nobody agrees to a script that they asked for, by whatever way their wish reached the run."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.integration.shell_support import ANN, BOB, MARKS, answer, asked, recording, shell, shell_runtime
from tests.integration.workflow_support import ACTOR, finished, start, until

from bcce.approvals.errors import MayNotApprove
from bcce.approvals.model import Decision
from bcce.kit.ids import RunId
from bcce.runtime.runtime import Runtime
from bcce.security.actor import Actor
from bcce.workflows.filters import RunFilter
from bcce.workflows.model import RunState, StepState

ENV = "    env: {MARK: /nowhere}\n"
WAITING = shell(MARKS, extra=ENV).replace("steps:\n", "steps:\n  - {id: go, type: wait, event: go}\n")
OUTER = 'version: "1.0"\nname: outer\nsteps:\n  - {id: go, type: wait, event: go}\n  - {id: call, type: workflow, workflow: test}\n'


async def cannot(runtime: Runtime, who: Actor) -> None:
    """It is not for `who` to agree to what is asked now."""
    with pytest.raises(MayNotApprove):
        await answer(runtime, by=who)


async def begin(runtime: Runtime, who: Actor, name: str = "test") -> RunId:
    """A run of a registered workflow that `who` starts."""

    def write(conn: Connection) -> RunId:
        return runtime.workflows.start(who, conn, workflow=name, inputs={}, correlation_id=f"cor_{name}")

    run_id = await runtime.db.write(write)
    runtime.ring(run_id)
    return run_id


async def test_who_signals_a_run_asks_for_what_it_does_then(tmp_path: Path) -> None:
    executor = recording(tmp_path)
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run_id = await start(runtime, WAITING)
        assert [await runtime.workflows.signal(who, run_id, "go", {}) for who in (ANN, BOB)] == [True, False]
        runtime.ring(run_id)
        await cannot(runtime, ANN)
        await answer(runtime, by=BOB)
        run, _ = await finished(runtime, run_id)

    assert (run.state, len(executor.starts)) == (RunState.COMPLETED, 1)


async def test_who_signals_a_run_asks_for_what_the_runs_do_that_it_starts(tmp_path: Path) -> None:
    async with shell_runtime(tmp_path, executor=recording(tmp_path)) as runtime:
        await runtime.workflows.register(ACTOR, shell(MARKS, extra=ENV), "test.yaml")
        run_id = await start(runtime, OUTER)
        await runtime.workflows.signal(ANN, run_id, "go", {})
        runtime.ring(run_id)
        await cannot(runtime, ANN)
        await answer(runtime, by=BOB)
        run, _ = await finished(runtime, run_id)

    assert run.state is RunState.COMPLETED


async def test_who_signals_an_inner_run_asks_for_what_the_outer_one_does(tmp_path: Path) -> None:
    inner = 'version: "1.0"\nname: inner\nsteps:\n  - {id: go, type: wait, event: go}\n'
    async with shell_runtime(tmp_path, executor=recording(tmp_path)) as runtime:
        await runtime.workflows.register(ACTOR, inner, "inner.yaml")
        outer = shell(MARKS, extra=ENV).replace("steps:\n", "steps:\n  - {id: call, type: workflow, workflow: inner}\n")
        run_id = await start(runtime, outer)
        while not (found := await runtime.workflows.runs(ACTOR, RunFilter(workflow="inner"))):  # noqa: ASYNC110 - the state is in a database
            await asyncio.sleep(0.01)
        await runtime.workflows.signal(ANN, found[0].id, "go", {})
        runtime.ring(found[0].id)
        await cannot(runtime, ANN)
        await answer(runtime, by=BOB)
        run, _ = await finished(runtime, run_id)

    assert run.state is RunState.COMPLETED


async def test_a_run_that_is_run_again_is_still_the_wish_of_who_wanted_the_first(tmp_path: Path) -> None:
    async with shell_runtime(tmp_path, executor=recording(tmp_path)) as runtime:
        await runtime.workflows.register(ACTOR, WAITING, "test.yaml")
        first = await begin(runtime, ACTOR)
        await runtime.workflows.signal(ANN, first, "go", {})
        runtime.ring(first)
        await answer(runtime, by=BOB)
        await finished(runtime, first)

        again = await runtime.runs.rerun(BOB, first, step="clean", inputs={})
        runtime.ring(again)
        for who in (ANN, BOB):
            await cannot(runtime, who)
        assert {"user:ann", "user:bob"} <= set((await asked(runtime)).asked_by)


async def test_who_tries_a_run_again_may_agree_to_it_unless_somebody_had_said_no(tmp_path: Path) -> None:
    executor = recording(tmp_path)
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run_id = await start(runtime, shell(MARKS, extra=ENV))
        question = await asked(runtime)
        await runtime.db.write(lambda conn: runtime.approvals.expire(conn, question.expires_at))
        runtime.ring(run_id)
        await finished(runtime, run_id)

        await runtime.runs.retry(ANN, run_id)
        runtime.ring(run_id)
        assert "user:ann" not in (await asked(runtime)).asked_by
        await answer(runtime, Decision.REJECT, by=BOB)
        await finished(runtime, run_id)

        await runtime.runs.retry(ANN, run_id)
        runtime.ring(run_id)
        await cannot(runtime, ANN)
        await answer(runtime, by=BOB)
        run, _ = await finished(runtime, run_id)

    assert (run.state, len(executor.starts)) == (RunState.COMPLETED, 1)


async def test_a_cancel_before_anybody_was_asked_is_a_no_as_well(tmp_path: Path) -> None:
    """Who tries the run again asks for it; who had cancelled it may agree."""
    executor = recording(tmp_path)
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        run_id = await start(runtime, WAITING)
        await until(runtime, run_id, lambda _, records: "go" in records and records["go"].state is StepState.WAITING)
        await runtime.runs.cancel(BOB, run_id)
        runtime.ring(run_id)
        await finished(runtime, run_id)

        await runtime.runs.retry(ANN, run_id)
        await runtime.workflows.signal(ACTOR, run_id, "go", {})
        runtime.ring(run_id)
        await cannot(runtime, ANN)
        assert "user:bob" not in (await asked(runtime)).asked_by
        await answer(runtime, by=BOB)
        run, _ = await finished(runtime, run_id)

    assert (run.state, len(executor.starts)) == (RunState.COMPLETED, 1)
