"""Times in which scripts may start. Pure: the clock is the caller's."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from bcce.config.model import Section

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Window(Section):
    """A span of time that comes back. A window that ends before it starts goes over midnight and belongs to the day it started on."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{0,63}$", description="Its name in decisions.")
    kind: Literal["change", "freeze"] = Field(
        default="change", description="`change`: scripts that change something start only in such a window. `freeze`: never in this one."
    )
    days: tuple[Day, ...] = Field(default=DAYS, min_length=1, description="The days on which it starts.")
    start: time = Field(default=time(0, 0), description="When it starts, as HH:MM.")
    end: time = Field(default=time(0, 0), description="When it is over, as HH:MM; 00:00 is the end of the day.")
    first_day: date | None = Field(default=None, description="The first day that counts, as YYYY-MM-DD; null for no limit.")
    last_day: date | None = Field(default=None, description="The last day that counts; null for no limit.")
    timezone: str = Field(default="UTC", description="The IANA name of the time zone, such as Europe/Berlin.")

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {value[:60]!r}") from error
        return value

    @field_validator("start", "end")
    @classmethod
    def _local(cls, value: time) -> time:
        if value.tzinfo is not None:
            raise ValueError("the time zone stands under `timezone`")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> "Window":
        if self.first_day is not None and self.last_day is not None and self.last_day < self.first_day:
            raise ValueError(f"the window {self.id!r} ends before it starts")
        return self

    def holds(self, at: datetime) -> bool:
        """Whether `at`, an aware moment, lies inside."""
        return any(begin <= at < over for begin, over in self._spans(at, days=(-1, 1)))

    def opens_after(self, at: datetime) -> datetime | None:
        """When it opens next; None when that is not within a year."""
        return next((begin for begin, _ in self._spans(at, days=(-1, 366)) if begin > at), None)

    def _spans(self, at: datetime, *, days: tuple[int, int]) -> list[tuple[datetime, datetime]]:
        zone = ZoneInfo(self.timezone)
        today = at.astimezone(zone).date()
        found = []
        for offset in range(days[0], days[1] + 1):
            day = today + timedelta(days=offset)
            if DAYS[day.weekday()] not in self.days:
                continue
            if (self.first_day is not None and day < self.first_day) or (self.last_day is not None and day > self.last_day):
                continue
            # In UTC, because Python compares moments of one zone by their wall clocks, which go back once a year.
            begin = datetime.combine(day, self.start, zone).astimezone(UTC)
            last = day if self.end > self.start else day + timedelta(days=1)
            found.append((begin, datetime.combine(last, self.end, zone).astimezone(UTC)))
        return found
