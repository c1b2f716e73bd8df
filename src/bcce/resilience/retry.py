"""When to try again, and how long to wait before."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from bcce.kit.clock import Clock
from bcce.kit.errors import BcceError
from bcce.resilience.deadline import Deadline

T = TypeVar("T")

#: Doublings beyond this are above any cap, and floats end at 2**1024.
_MAX_DOUBLINGS = 60


class Backoff(StrEnum):
    """How waits grow from one failure to the next."""

    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How often and how fast.

    `attempts` counts all tries, so 1 means never again. `base_s` is the first wait and `cap_s` the longest, in seconds. `jitter` is the
    share, from 0 to 1, by which chance may shorten a wait, so that what failed together does not come back together. `on` are the error
    codes that are worth another try; empty means every error that calls itself retryable.

    Raises:
        ValueError: a number is out of range.
    """

    attempts: int = 3
    backoff: Backoff = Backoff.EXPONENTIAL
    base_s: float = 1.0
    cap_s: float = 60.0
    jitter: float = 0.1
    on: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError("attempts counts all tries and is at least 1")
        if not (self.base_s >= 0 and self.cap_s >= 0):
            raise ValueError("a wait is not negative")
        if not 0 <= self.jitter <= 1:
            raise ValueError("jitter is a share from 0 to 1")

    def delay_s(self, attempt: int, *, random: float) -> float:
        """Seconds to wait after the failure of `attempt`, which counts from 1; `random` is a number from [0, 1)."""
        factor = {
            Backoff.FIXED: 1.0,
            Backoff.LINEAR: float(attempt),
            Backoff.EXPONENTIAL: 2.0 ** min(attempt - 1, _MAX_DOUBLINGS),
        }[self.backoff]
        return min(self.base_s * factor, self.cap_s) * (1.0 - self.jitter * random)

    def allows(self, attempt: int, *, code: str, retryable: bool) -> bool:
        """Whether another try follows the failure of `attempt` with an error of this code."""
        return attempt < self.attempts and (code in self.on if self.on else retryable)

    def should_retry(self, attempt: int, error: BcceError) -> bool:
        """Whether another try follows the failure of `attempt` with `error`."""
        return self.allows(attempt, code=error.code, retryable=error.retryable)


async def retrying(
    fn: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    *,
    clock: Clock,
    random: Callable[[], float],
    deadline: Deadline | None = None,
) -> T:
    """`fn()`, tried again as `policy` says; for edges without a journal, whose waits need not survive a crash.

    A wait that would reach `deadline` is not begun; None means that only the policy ends the tries. `fn` must be safe to repeat.

    Raises:
        BcceError: the last try's error.
    """
    attempt = 1
    while True:
        try:
            return await fn()
        except BcceError as error:
            delay_s = policy.delay_s(attempt, random=random())
            if not policy.should_retry(attempt, error) or (deadline is not None and delay_s >= deadline.remaining_s()):
                raise
            await clock.sleep(delay_s)
            attempt += 1
