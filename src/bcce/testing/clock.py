"""Time that stands still until a test moves it."""

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

#: Where a FrozenClock starts when a test does not care: a moment with all six digits of its microseconds in use.
DEFAULT_START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


class FrozenClock:
    """A `Clock` that only `advance` moves.

    `now` and `monotonic` may be read from any thread; `sleep` and `advance` belong to the event loop's thread.

    Args:
        start: the first moment; any time zone, shown as UTC.

    Raises:
        ValueError: `start` has no time zone.
    """

    def __init__(self, start: datetime = DEFAULT_START) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock needs a time zone")
        self._start = start.astimezone(UTC)
        self._elapsed = timedelta()
        self._order = itertools.count()
        self._sleepers: list[tuple[timedelta, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The frozen moment in UTC."""
        return self._start + self._elapsed

    def monotonic(self) -> float:
        """Seconds that `advance` has added up to."""
        return self._elapsed.total_seconds()

    async def sleep(self, seconds: float) -> None:
        """Return once `advance` has moved the clock by `seconds`; zero or less yields to the event loop once."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + timedelta(seconds=seconds), next(self._order), future))
        await future

    def advance(self, seconds: float) -> None:
        """Move the clock and wake every sleeper that is due, the earliest first.

        The woken tasks run when the caller next awaits; by then the clock shows the end of the step, so a task that sleeps in a loop ticks
        once per call.

        Raises:
            ValueError: `seconds` is negative; time does not run backwards.
        """
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self._elapsed += timedelta(seconds=seconds)
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            _, _, future = heapq.heappop(self._sleepers)
            # A sleeper whose task was cancelled is still in the heap, its future already done.
            if not future.done():
                future.set_result(None)

    @property
    def sleepers(self) -> int:
        """How many tasks sleep now; lets a test wait until a loop has reached its pause."""
        return sum(not future.done() for _, _, future in self._sleepers)
