"""A runtime with step types that tests can steer, and what they want to know of a run."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, select

from bcce.kit.errors import BcceError, Unavailable
from bcce.kit.ids import RunId
from bcce.runtime.runtime import Overrides, Runtime, open_runtime
from bcce.runtime.settings import Settings
from bcce.security.actor import Actor, system_actor
from bcce.storage.doors import Database
from bcce.storage.outbox import read_after
from bcce.workflows.model import Effect, Run, RunState, StepRecord, completed
from bcce.workflows.step_type import Done, Park, StepContext, StepOutcome
from bcce.workflows.tables import gates

ACTOR: Actor = system_actor("test")
OVER = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED, RunState.DEAD})


class WorkParams(BaseModel):
    model_config = ConfigDict(extra="forbid")

    value: Any = None
    seconds: float = 0.0
    #: Fails on so many first tries; -1 fails always.
    fails: int = 0
    code: str = "unavailable"
    retryable: bool = True


class Work:
    """Takes some time, then fails or gives `value` back; remembers every call."""

    name = "work"
    effect = Effect.PURE
    params: type[BaseModel] = WorkParams

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.most = 0
        self._now = 0

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        assert isinstance(params, WorkParams)
        self.calls.append(context.key)
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await asyncio.sleep(params.seconds)
        finally:
            self._now -= 1
        if params.fails < 0 or context.attempt <= params.fails:
            error: BcceError = Unavailable("it fails as it was told") if params.retryable else BcceError("it fails for good")
            raise error
        return Done(result=completed({"value": params.value}))


class Watch(Work):
    """Waits for a while by looking again and again, as a gate that polls does."""

    name = "watch"

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        assert isinstance(params, WorkParams)
        if not context.is_waiting:
            return Park(waiting_for="time", kind="timer", name="t", wake_after=timedelta(seconds=params.seconds or 0.01))
        return await super().run(context, WorkParams(value=params.value))


class Marked(Work):
    """Acts on the world and cannot be stopped."""

    name = "marked"
    effect = Effect.MARKED


@asynccontextmanager
async def runtime_at(
    home: Path, *, work: Work | None = None, wrap: Callable[[Database], Database] | None = None, **settings: Any
) -> AsyncIterator[tuple[Runtime, Work]]:
    """A runtime whose `work`, `watch` and `marked` steps are the test's."""
    work = work or Work()
    chosen = Settings.model_validate({"workflows": {"sweep_s": 0.05, **settings}})
    types = {"work": work, "watch": Watch(), "marked": Marked()}
    async with open_runtime(chosen, home=home, overrides=Overrides(step_types=types, database=wrap)) as runtime:
        yield runtime, work


async def start(runtime: Runtime, text: str, **inputs: object) -> RunId:
    """Registers the text and starts a run of it."""
    stored = await runtime.workflows.register(ACTOR, text, "test.yaml")

    def begin(conn: Connection) -> RunId:
        return runtime.workflows.start(ACTOR, conn, workflow=stored.name, inputs=inputs, correlation_id="cor_test")

    run_id = await runtime.db.write(begin)
    runtime.ring(run_id)
    return run_id


async def look(runtime: Runtime, run_id: RunId) -> tuple[Run, dict[str, StepRecord]]:
    """The run and the latest attempt of each of its steps."""
    run, attempts = await runtime.workflows.run(ACTOR, run_id)
    return run, {record.key: record for record in sorted(attempts, key=lambda record: record.attempt)}


async def until(runtime: Runtime, run_id: RunId, holds: Callable[[Run, dict[str, StepRecord]], bool], seconds: float = 30) -> None:
    """Waits until something holds of the run."""
    async with asyncio.timeout(seconds):
        while not holds(*await look(runtime, run_id)):  # noqa: ASYNC110 - the state is in a database
            await asyncio.sleep(0.01)


async def finished(runtime: Runtime, run_id: RunId, seconds: float = 30) -> tuple[Run, dict[str, str]]:
    """The run when it is over, and the state of each step by key."""
    await until(runtime, run_id, lambda run, _: run.state in OVER, seconds)
    run, records = await look(runtime, run_id)
    return run, {key: str(record.state) for key, record in records.items()}


async def events(runtime: Runtime, run_id: RunId) -> list[tuple[str, Any]]:
    """Type and data of every event of the run, in order."""
    rows = await runtime.db.read(lambda conn: read_after(conn, 0, 100_000, tenant_id=None))
    return [(row.type, dict(row.data)) for row in rows if row.data.get("workflowId") == run_id]


async def open_gates(runtime: Runtime, run_id: RunId) -> int:
    """How many gates of the run are open."""
    return len(
        await runtime.db.read(lambda conn: conn.execute(select(gates.c.id).where(gates.c.run_id == run_id, gates.c.state == "open")).all())
    )
