"""`wait`: until a signal of a given name comes, until a moment, or until some time has passed."""

import re
from datetime import datetime, timedelta
from typing import cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bcce.kit.clock import Clock, parse_time
from bcce.plugins import Services
from bcce.storage.doors import Database
from bcce.workflows import repository
from bcce.workflows.durations import parse_duration_s
from bcce.workflows.model import Effect, StepResult, completed
from bcce.workflows.step_type import Done, Park, StepContext, StepOutcome

#: `fromisoformat` also takes weeks, dates alone and hours without minutes.
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


class WaitParams(BaseModel):
    """Parameters of `wait`; at least one of them. Whichever comes first ends the wait."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: str | None = Field(default=None, min_length=1, max_length=200, description="Name of the signal to wait for.")
    duration: str | float | None = Field(default=None, description="How long to wait at most, such as 30s, 5m or 2h.")
    until: str | None = Field(
        default=None,
        max_length=64,
        description="The moment at which the wait ends at the latest, with its time zone, such as 2026-03-01T08:00:00+01:00.",
    )

    @field_validator("duration")
    @classmethod
    def _is_duration(cls, value: str | float | None) -> str | float | None:
        if value is not None:
            parse_duration_s(value)
        return value

    @field_validator("until")
    @classmethod
    def _is_moment(cls, value: str | None) -> str | None:
        if value is not None:
            _moment(value)
        return value

    @model_validator(mode="after")
    def _has_an_end(self) -> "WaitParams":
        if self.event is None and self.duration is None and self.until is None:
            raise ValueError("give `event`, `duration`, `until`, or several of them")
        return self

    def ends_at(self, started_at: datetime) -> datetime | None:
        """When a wait that began at `started_at` is over without a signal; None for never."""
        ends = [_moment(self.until)] if self.until is not None else []
        if self.duration is not None:
            ends.append(started_at + timedelta(seconds=parse_duration_s(self.duration)))
        return min(ends, default=None)


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
        ends_at = given.ends_at(context.started_at)
        if ends_at is None:
            return Park(waiting_for=f"the event {given.event}", kind="event", name=str(given.event))
        left = ends_at - self._clock.now()
        if left <= timedelta(0):
            context.log("the time is up")
            return Done(result=StepResult(status="completed", output={"event": None, "payload": {}, "timed_out": True}))
        return Park(waiting_for=_words(given), kind="event" if given.event else "timer", name=str(given.event or "timer"), wake_after=left)


def _moment(text: str) -> datetime:
    if not _RFC_3339.fullmatch(text):
        raise ValueError(f"{text!r} is not a moment with its time zone, such as 2026-03-01T08:00:00+01:00 or 2026-03-01T07:00:00Z")
    return parse_time(text)


def _words(given: WaitParams) -> str:
    """What is waited for, for a person."""
    ends = [f"at most {given.duration}"] if given.duration is not None else []
    if given.until is not None:
        ends.append(f"until {given.until}")
    if given.event is not None:
        return ", ".join([f"the event {given.event}", *ends])
    return f"{given.duration} to pass" if given.until is None else ", ".join(reversed(ends))
