"""A worker that dies at any write, or a process that is killed, while people are asked: one question, one answer, and the run goes on."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.shell_support import ANN, BOB, shell_runtime
from tests.integration.test_cli import Shell, free_port
from tests.integration.test_workflow_crashes import Mortal
from tests.integration.workflow_support import ACTOR, OVER, events, finished, look, open_gates, start

from bcce.approvals.model import ApprovalState, Decision
from bcce.kit.errors import Conflict
from bcce.kit.ids import RunId
from bcce.runtime.runtime import Runtime
from bcce.storage.doors import Database
from bcce.storage.errors import DatabaseUnavailable
from bcce.workflows.model import RunState

#: More writes than the story has; from the one on that it does not reach, it ends without a crash.
WRITES = 16
TEXT = """version: "1.0"
name: test
steps:
  - {id: gate, type: approval, message: Go on?, required: 2}
  - {id: go, type: emit, event: went}
"""


async def _answer_all(runtime: Runtime, run_id: RunId, decision: Decision) -> None:
    """Both people answer whatever is asked until the run is over; gives up when the database has died."""
    with contextlib.suppress(DatabaseUnavailable):
        while (await look(runtime, run_id))[0].state not in OVER:
            for question in await runtime.approvals.list(ACTOR, state=ApprovalState.PENDING):
                for person in (ANN, BOB):
                    with contextlib.suppress(Conflict):
                        await runtime.approvals.submit_decision(person, question.id, decision, comment="ok", digest_seen=question.digest)
                        runtime.ring(run_id)
            await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("dies_at", range(1, WRITES + 1))
@pytest.mark.parametrize("decision", list(Decision))
async def test_a_death_at_any_write_asks_and_answers_once(tmp_path: Path, dies_at: int, is_after: bool, decision: Decision) -> None:
    async with shell_runtime(tmp_path, works=False) as runtime:
        run_id = await start(runtime, TEXT)
    mortal: list[Mortal] = []

    def wrap(real: Database) -> Database:
        mortal.append(Mortal(real, 1_000_000))
        return mortal[0]  # type: ignore[return-value]

    with contextlib.suppress(DatabaseUnavailable, ExceptionGroup):
        async with shell_runtime(tmp_path, wrap=wrap) as runtime:
            mortal[0]._left, mortal[0]._is_after = dies_at, is_after
            async with asyncio.timeout(20):
                await _answer_all(runtime, run_id, decision)
    async with shell_runtime(tmp_path) as runtime:
        runtime.ring(run_id)
        async with asyncio.timeout(30):
            await _answer_all(runtime, run_id, decision)
        run, states = await finished(runtime, run_id)
        (question,) = await runtime.approvals.list(ACTOR)
        told = [(kind, data.get("state")) for kind, data in await events(runtime, run_id) if kind.startswith("approval.")]
        went = [data["event"] for kind, data in await events(runtime, run_id) if kind == "workflow.event"]
        gates = await open_gates(runtime, run_id)

    decided = ("approval.decided", str(question.state))
    if decision is Decision.APPROVE:
        assert (run.state, states, question.state, went) == (
            RunState.COMPLETED,
            {"gate": "completed", "go": "completed"},
            "approved",
            ["went"],
        )
        assert told == [("approval.requested", "pending"), ("approval.decided", "pending"), decided]
    else:
        assert (run.state, states, question.state, went) == (RunState.FAILED, {"gate": "failed"}, "rejected", [])
        assert told == [("approval.requested", "pending"), decided]
    assert gates == 0


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["cancel", "timeout"])
@pytest.mark.parametrize("dies_at", range(1, 9))
async def test_a_death_while_a_question_is_closed_leaves_none_open(tmp_path: Path, dies_at: int, ends: str) -> None:
    text = TEXT.replace("required: 2", "timeout: 1s") if ends == "timeout" else TEXT
    async with shell_runtime(tmp_path) as runtime:
        run_id = await start(runtime, text)
        async with asyncio.timeout(20):
            while not await runtime.approvals.list(ACTOR):  # noqa: ASYNC110 - the state is in a database
                await asyncio.sleep(0.01)
    mortal: list[Mortal] = []

    def wrap(real: Database) -> Database:
        mortal.append(Mortal(real, 1_000_000))
        return mortal[0]  # type: ignore[return-value]

    with contextlib.suppress(DatabaseUnavailable, ExceptionGroup):
        async with shell_runtime(tmp_path, wrap=wrap) as runtime:
            mortal[0]._left = dies_at
            if ends == "cancel":
                await runtime.runs.cancel(ACTOR, run_id)
            runtime.ring(run_id)
            await finished(runtime, run_id, 10)
    async with shell_runtime(tmp_path) as runtime:
        if ends == "cancel":
            with contextlib.suppress(Conflict):
                await runtime.runs.cancel(ACTOR, run_id)
        runtime.ring(run_id)
        run, _ = await finished(runtime, run_id)
        (question,) = await runtime.approvals.list(ACTOR)
        gates = await open_gates(runtime, run_id)

    expected = (RunState.CANCELLED, "revoked") if ends == "cancel" else (RunState.FAILED, "expired")
    assert (run.state, question.state, gates) == (*expected, 0)


def _kill(shell: Shell) -> None:
    assert shell.server is not None
    shell.server.kill()
    shell.server.communicate(timeout=30)


def _until(look: Callable[[], Any]) -> Any:
    """What `look` says as soon as that is something."""
    deadline = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


@pytest.mark.slow
def test_a_killed_server_goes_on_where_it_was(tmp_path: Path) -> None:
    """Asked, killed, shown by the next server, answered there, killed again, and ended by the one after it."""
    shell = Shell(tmp_path)
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "test.yaml").write_text(TEXT.replace(", required: 2", "") + "outputs: {by: '{{ steps.gate.output.by }}'}\n")
    (tmp_path / "bcce.config.yaml").write_text('version: "1.0"\napprovals: {allowSelfApproval: true}\nworkflows: {directory: flows}\n')
    try:
        shell.server = shell.start(free_port())
        run_id = shell.json("workflow", "run", "test", "--detach")["runId"]  # type: ignore[index, call-overload]
        listed = _until(lambda: shell.json("approval", "list", "--state", "pending")["items"])  # type: ignore[index, call-overload]
        _kill(shell)
        shell.server = shell.start(free_port())
        assert "Go on?" in shell.ok("approval", "show", listed[0]["id"])
        shell.ok("approval", "approve", listed[0]["id"], "--yes", "--comment", "after the crash")
        _kill(shell)
        shell.server = shell.start(free_port())
        run = _until(lambda: (found := shell.json("run", "show", run_id))["state"] == "completed" and found)  # type: ignore[index, call-overload]
        assert len(run["output"]["by"]) == 1
    finally:
        shell.stop()
