"""Time as a dependency: nothing else in the project asks the operating system what time it is."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The source of time that a component is given.

    `now` is for what is stored and shown, `monotonic` for how long something took: the wall clock
    may jump, the monotonic one never does.
    """

    def now(self) -> datetime:
        """The present moment, time zone UTC, microsecond resolution."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary point, never decreasing."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after at least `seconds`; zero or less yields to the event loop once."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of the operating system's monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Suspend the calling task; other tasks run meanwhile."""
        await asyncio.sleep(max(0.0, seconds))


def format_time(moment: datetime) -> str:
    """`moment` as fixed-width RFC 3339 in UTC with microseconds, so that text order is time order.

    Raises:
        ValueError: `moment` has no time zone, and guessing one would move an alert in time; or in UTC its year is not within 1..9999.
    """
    if moment.tzinfo is UTC:
        # Nearly every moment of ours; cut off is `+00:00`.
        return moment.isoformat(timespec="microseconds")[:-6] + "Z"
    if moment.utcoffset() is None:
        raise ValueError("a time without a time zone cannot be stored")
    # Not strftime: it does not pad years before 1000, and 0001-01-01 is how many monitors write "never".
    return _in_utc(moment).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_time(text: str) -> datetime:
    """The moment that an RFC 3339 text names, in UTC; fractions beyond microseconds are cut.

    Raises:
        ValueError: not a date and time, no time zone, or in UTC its year is not within 1..9999.
    """
    moment = datetime.fromisoformat(text.upper())  # RFC 3339 allows "t" and "z", fromisoformat does not
    if moment.tzinfo is None:
        raise ValueError(f"no time zone in {text!r}")
    return _in_utc(moment)


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{moment.isoformat()} is outside the years 1..9999 in UTC") from error
