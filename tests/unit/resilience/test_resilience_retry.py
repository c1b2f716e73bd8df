"""Retry policies: the arithmetic of waits, which errors are worth another try, and the loop for edges without a journal."""

from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bcce.kit.errors import BcceError, Conflict, DeadlineExceeded, Unavailable
from bcce.resilience import Backoff, Deadline, RetryPolicy, retrying
from bcce.testing.clock import FrozenClock

EXACT = {"base_s": 2.0, "cap_s": 20.0, "jitter": 0.0}


@pytest.mark.parametrize(
    ("backoff", "attempt", "expected"),
    [
        (Backoff.FIXED, 1, 2.0),
        (Backoff.FIXED, 9, 2.0),
        (Backoff.LINEAR, 1, 2.0),
        (Backoff.LINEAR, 3, 6.0),
        (Backoff.LINEAR, 11, 20.0),
        (Backoff.EXPONENTIAL, 1, 2.0),
        (Backoff.EXPONENTIAL, 2, 4.0),
        (Backoff.EXPONENTIAL, 3, 8.0),
        (Backoff.EXPONENTIAL, 4, 16.0),
        (Backoff.EXPONENTIAL, 5, 20.0),
        (Backoff.EXPONENTIAL, 100_000, 20.0),
    ],
)
def test_a_wait_grows_as_the_backoff_says_and_stops_at_the_cap(backoff: Backoff, attempt: int, expected: float) -> None:
    assert RetryPolicy(backoff=backoff, **EXACT).delay_s(attempt, random=0.5) == expected


@pytest.mark.parametrize(("random", "expected"), [(0.0, 8.0), (0.5, 7.0), (1.0, 6.0)])
def test_jitter_shortens_a_wait_by_up_to_its_share(random: float, expected: float) -> None:
    policy = RetryPolicy(base_s=8.0, jitter=0.25)
    assert policy.delay_s(1, random=random) == expected


def test_jitter_also_shortens_a_wait_at_the_cap() -> None:
    assert RetryPolicy(base_s=100.0, cap_s=10.0, jitter=0.5).delay_s(1, random=1.0) == 5.0


@settings(deadline=None)
@given(
    backoff=st.sampled_from(Backoff),
    attempt=st.integers(1, 10_000),
    base=st.floats(0, 1e6),
    cap=st.floats(0, 1e6),
    jitter=st.floats(0, 1),
    random=st.floats(0, 1, exclude_max=True),
)
def test_no_wait_is_negative_or_above_the_cap(
    backoff: Backoff, attempt: int, base: float, cap: float, jitter: float, random: float
) -> None:
    delay = RetryPolicy(backoff=backoff, base_s=base, cap_s=cap, jitter=jitter).delay_s(attempt, random=random)
    assert 0 <= delay <= cap


@pytest.mark.parametrize(
    ("attempts", "attempt", "error", "on", "expected"),
    [
        (3, 1, Unavailable(), frozenset(), True),
        (3, 2, Unavailable(), frozenset(), True),
        (3, 3, Unavailable(), frozenset(), False),
        (1, 1, Unavailable(), frozenset(), False),
        (3, 1, Conflict(), frozenset(), False),
        (3, 1, Conflict(), frozenset({"conflict"}), True),
        (3, 1, Unavailable(), frozenset({"conflict"}), False),
        (3, 1, DeadlineExceeded(), frozenset(), True),
    ],
)
def test_another_try_follows_only_while_tries_are_left_and_the_error_is_worth_it(
    attempts: int, attempt: int, error: BcceError, on: frozenset[str], expected: bool
) -> None:
    assert RetryPolicy(attempts=attempts, on=on).should_retry(attempt, error) is expected


@pytest.mark.parametrize(
    "wrong",
    [{"attempts": 0}, {"base_s": -1.0}, {"cap_s": -0.1}, {"base_s": float("nan")}, {"jitter": 1.1}, {"jitter": -0.1}],
)
def test_a_policy_out_of_range_cannot_be_made(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"attempts|wait|jitter"):
        RetryPolicy(**wrong)  # type: ignore[arg-type]  # the table mixes types


def failing(times: int, error: BcceError | None = None) -> tuple[list[int], Callable[[], Awaitable[int]]]:
    """A function that fails `times` times and then returns the number of its call, and the list of its calls."""
    calls: list[int] = []

    async def fn() -> int:
        calls.append(len(calls) + 1)
        if len(calls) <= times:
            raise error or Unavailable()
        return len(calls)

    return calls, fn


class SkippingClock(FrozenClock):
    """A clock whose sleepers wake at once, as if the time had passed, and which remembers how long they slept."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)


async def test_retrying_waits_between_tries_and_returns_the_first_success() -> None:
    clock = SkippingClock()
    calls, fn = failing(2)
    policy = RetryPolicy(attempts=3, base_s=1.0, jitter=0.5)
    result = await retrying(fn, policy, clock=clock, random=lambda: 0.5)
    assert (result, calls, clock.slept) == (3, [1, 2, 3], [0.75, 1.5])


async def test_retrying_raises_the_last_error_when_no_try_is_left() -> None:
    clock = SkippingClock()
    calls, fn = failing(5)
    policy = RetryPolicy(attempts=2, base_s=1.0, jitter=0.0)
    with pytest.raises(Unavailable):
        await retrying(fn, policy, clock=clock, random=lambda: 0.0)
    assert (calls, clock.slept) == ([1, 2], [1.0])


async def test_retrying_does_not_repeat_what_is_not_worth_it() -> None:
    clock = SkippingClock()
    calls, fn = failing(1, Conflict())
    with pytest.raises(Conflict):
        await retrying(fn, RetryPolicy(), clock=clock, random=lambda: 0.0)
    assert (calls, clock.slept) == ([1], [])


async def test_retrying_begins_no_wait_that_would_reach_the_deadline() -> None:
    clock = SkippingClock()
    calls, fn = failing(9)
    policy = RetryPolicy(attempts=9, base_s=1.0, jitter=0.0)
    deadline = Deadline.after(clock, 3.0)
    with pytest.raises(Unavailable):
        await retrying(fn, policy, clock=clock, random=lambda: 0.0, deadline=deadline)
    assert (calls, clock.slept) == ([1, 2], [1.0])
