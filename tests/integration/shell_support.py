"""A runtime that may start scripts, and people who answer what it asks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.integration.workflow_support import ACTOR, look

from bcce.approvals.model import Approval, ApprovalState, Decision
from bcce.execution.executor import Executor
from bcce.execution.model import Dispatch, Probe, Script, Target
from bcce.kit.clock import SystemClock
from bcce.kit.ids import RunId
from bcce.runtime.runtime import Overrides, Runtime, open_runtime
from bcce.runtime.settings import Settings
from bcce.security.actor import role_actor
from bcce.security.authz import Role
from bcce.security.crypto import StateKeys
from bcce.storage.doors import Database
from bcce.testing.executor import Ending, RecordingExecutor
from bcce.workflows.model import StepRecord

ANN = role_actor(Role.APPROVER, id="user:ann", name="Ann", kind="user")
BOB = role_actor(Role.APPROVER, id="user:bob", name="Bob", kind="user")
#: Appends a line to the file $MARK, which is nothing that the validator knows to be harmless.
MARKS = 'echo started >> "$MARK"'


@asynccontextmanager
async def shell_runtime(
    home: Path,
    *,
    executor: Executor | None = None,
    wrap: Callable[[Database], Database] | None = None,
    works: bool = True,
    **sections: Any,
) -> AsyncIterator[Runtime]:
    """A runtime in which approved scripts are started; `sections` of the settings join what that needs."""
    base: dict[str, Any] = {
        "remediation": {"enabled": True},
        "workflows": {"sweep_s": 0.05},
        "execution": {"stop_grace_s": 1},
    }
    merged = {name: {**base.get(name, {}), **sections.get(name, {})} for name in {*base, *sections}}
    overrides = Overrides(executors={"local": executor} if executor is not None else None, database=wrap)
    async with open_runtime(Settings.model_validate(merged), home=home, overrides=overrides, works=works) as runtime:
        yield runtime


def recording(home: Path, ending: Callable[[Script], Ending | None] = lambda _: Ending()) -> RecordingExecutor:
    """An executor that starts nothing, in place of the local one."""
    keys = StateKeys.load_or_create(home / "keys")
    return RecordingExecutor(clock=SystemClock(), verifier=keys.signer.verifier(), name="local", ending=ending)


class Probing(RecordingExecutor):
    """Starts nothing, and looks at a target as long as the test wants."""

    def __init__(self, home: Path, ending: Callable[[Script], Ending | None] = lambda _: Ending()) -> None:
        keys = StateKeys.load_or_create(home / "keys")
        super().__init__(clock=SystemClock(), verifier=keys.signer.verifier(), name="local", ending=ending)
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def probe(self, target: Target) -> Probe:
        self.begun.set()
        await self.go_on.wait()
        return await super().probe(target)


def shell(script: str, *, extra: str = "", step: str = "clean") -> str:
    """A workflow of one shell step."""
    lines = "".join(f"      {line}\n" for line in script.splitlines())
    head = f'version: "1.0"\nname: test\ninputs: {{mark: {{default: ""}}}}\nsteps:\n  - id: {step}\n    type: shell\n{extra}'
    return f"{head}    script: |\n{lines}"


async def asked(runtime: Runtime, *, seconds: float = 20) -> Approval:
    """The approval that somebody is asked for now."""
    async with asyncio.timeout(seconds):
        while True:
            pending = await runtime.approvals.list(ACTOR, state=ApprovalState.PENDING)
            if pending:
                return pending[0]
            await asyncio.sleep(0.01)


async def answer(runtime: Runtime, decision: Decision = Decision.APPROVE, *, by: Any = ANN) -> Approval:
    """Waits for a question and answers it."""
    question = await asked(runtime)
    decided = await runtime.approvals.submit_decision(by, question.id, decision, comment="", digest_seen=question.digest)
    runtime.ring(decided.run_id)
    return decided


async def only(runtime: Runtime, run_id: RunId, key: str = "clean") -> StepRecord:
    """The latest attempt of a step."""
    _, records = await look(runtime, run_id)
    return records[key]


async def dispatches(runtime: Runtime) -> list[Dispatch]:
    """All dispatches, the oldest first."""
    return list(reversed(await runtime.dispatches.list(ACTOR, limit=100)))
