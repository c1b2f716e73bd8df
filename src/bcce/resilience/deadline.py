"""A moment after which there is no point in going on."""

from dataclasses import dataclass

from bcce.kit.clock import Clock
from bcce.kit.errors import DeadlineExceeded


@dataclass(frozen=True, slots=True)
class Deadline:
    """Measured on the monotonic clock, so a jump of the wall clock neither shortens nor stretches it.

    `ends_at` is in seconds of `clock.monotonic()`; it means nothing to another process.
    """

    clock: Clock
    ends_at: float

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> "Deadline":
        """The deadline `seconds` from now; zero or less has passed already."""
        return cls(clock, clock.monotonic() + seconds)

    def remaining_s(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.ends_at - self.clock.monotonic())

    def check(self, what: str = "it") -> None:
        """Does nothing while there is time.

        Raises:
            DeadlineExceeded: `what`, words for a person, took too long.
        """
        if self.remaining_s() <= 0:
            raise DeadlineExceeded(f"{what} took too long")
