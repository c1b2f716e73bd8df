"""`set` and `transform`: values made from inputs and earlier outputs; `emit`: an event for whoever listens."""

from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from bcce.kit.clock import Clock
from bcce.kit.events import Event
from bcce.kit.ids import Ids
from bcce.plugins import Services
from bcce.storage.doors import run
from bcce.storage.outbox import event_item
from bcce.workflows.model import Effect, StepResult, completed
from bcce.workflows.step_type import Commit, Done, StepContext, StepOutcome


class SetParams(BaseModel):
    """Parameters of `set`: any names with any values."""

    model_config = ConfigDict(extra="allow", frozen=True)


class SetStep:
    """Names values. Output: the parameters, with their expressions evaluated."""

    name = "set"
    is_instant = True
    effect = Effect.PURE
    params: type[BaseModel] = SetParams

    @classmethod
    def build(cls, services: Services) -> "SetStep":
        """Wires the step."""
        return cls()

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Gives the values back."""
        return Done(result=completed(params.model_dump(mode="json")))


class TransformParams(BaseModel):
    """Parameters of `transform`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: Any = Field(description="What to make, usually one expression over earlier outputs.")


class TransformStep:
    """Makes one value. Output: `{"value": <it>}`."""

    name = "transform"
    is_instant = True
    effect = Effect.PURE
    params: type[BaseModel] = TransformParams

    @classmethod
    def build(cls, services: Services) -> "TransformStep":
        """Wires the step."""
        return cls()

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Gives the value back."""
        return Done(result=completed({"value": cast(TransformParams, params).value}))


class EmitParams(BaseModel):
    """Parameters of `emit`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: str = Field(min_length=1, max_length=100, pattern=r"[A-Za-z0-9_.:-]+", description="The event's own name.")
    data: dict[str, Any] = Field(default_factory=dict, description="What it tells.")


class EmitStep:
    """Publishes `workflow.event` with `{stepId, workflowId, event, data}`. Output: `{"event": <name>}`."""

    name = "emit"
    is_instant = True
    effect = Effect.LOCAL
    params: type[BaseModel] = EmitParams

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids

    @classmethod
    def build(cls, services: Services) -> "EmitStep":
        """Wires the step."""
        return cls(services.get(Clock), services.get(Ids))  # type: ignore[type-abstract]  # a Protocol is the key

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Puts the event into the outbox, in one transaction with the step's own record."""
        given = cast(EmitParams, params)
        data = {"stepId": context.key, "workflowId": context.run_id, "event": given.event, "data": given.data}
        event = Event(type="workflow.event", timestamp=self._clock.now(), source="workflows", tenant_id=context.tenant_id, data=data)
        item = event_item(self._ids, event, correlation_id=context.correlation_id)

        def write(conn: Connection) -> StepResult:
            run(conn, [item])
            return completed({"event": given.event})

        return Commit(write=write)
