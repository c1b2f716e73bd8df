"""`wait`: until a signal of a given name comes, or until some time has passed."""

from datetime import timedelta
from typing import cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bcce.kit.clock import Clock
from bcce.plugins import Services
from bcce.storage.doors import Database
from bcce.workflows import repository
from bcce.workflows.durations import parse_duration_s
from bcce.workflows.model import Effect, StepResult, completed
from bcce.workflows.step_type import Done, Park, StepContext, StepOutcome


class WaitParams(BaseModel):
    """Parameters of `wait`; `event`, `duration`, or both: then whichever comes first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: str | None = Field(default=None, min_length=1, max_length=200, description="Name of the signal to wait for.")
    duration: str | float | None = Field(default=None, description="How long to wait at most, such as 30s, 5m or 2h.")

    @field_validator("duration")
    @classmethod
    def _is_duration(cls, value: str | float | None) -> str | float | None:
        if value is not None:
            parse_duration_s(value)
        return value

    @model_validator(mode="after")
    def _has_an_end(self) -> "WaitParams":
        if self.event is None and self.duration is None:
            raise ValueError("give `event`, `duration` or both")
        return self


class WaitStep:
    """Waits for a signal or a moment. Output: `{"event": <name or null>, "payload": {...}, "timed_out": bool}`."""

    name = "wait"
    effect = Effect.PURE
    params: type[BaseModel] = WaitParams

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    @classmethod
    def build(cls, services: Services) -> "WaitStep":
        """Wires the step."""
        return cls(services.get(Database), services.get(Clock))  # type: ignore[type-abstract]  # Protocols are the keys

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Looks whether the signal is there or the time is up."""
        given = cast(WaitParams, params)
        if given.event is not None:
            name = given.event
            payload = await self._db.read(lambda conn: repository.get_signal(conn, context.run_id, name))
            if payload is not None:
                context.log(f"the event {name} came")
                return Done(result=completed({"event": name, "payload": dict(payload), "timed_out": False}))
        if given.duration is None:
            return Park(waiting_for=f"the event {given.event}", kind="event", name=str(given.event))
        left = context.started_at + timedelta(seconds=parse_duration_s(given.duration)) - self._clock.now()
        if left <= timedelta(0):
            context.log("the time is up")
            return Done(result=StepResult(status="completed", output={"event": None, "payload": {}, "timed_out": True}))
        what = f"the event {given.event}, at most {given.duration}" if given.event else f"{given.duration} to pass"
        return Park(waiting_for=what, kind="event" if given.event else "timer", name=str(given.event or "timer"), wake_after=left)
