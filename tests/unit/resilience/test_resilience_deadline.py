"""Deadlines: measured on the monotonic clock."""

import pytest

from bcce.kit.errors import DeadlineExceeded
from bcce.resilience import Deadline
from bcce.testing.clock import FrozenClock


@pytest.mark.parametrize(("passed", "expected"), [(0.0, 5.0), (2.0, 3.0), (5.0, 0.0), (7.0, 0.0)])
def test_what_remains_shrinks_with_time_and_never_goes_below_zero(frozen_clock: FrozenClock, passed: float, expected: float) -> None:
    deadline = Deadline.after(frozen_clock, 5.0)
    frozen_clock.advance(passed)
    assert deadline.remaining_s() == expected


def test_check_is_silent_before_the_deadline_and_raises_at_it(frozen_clock: FrozenClock) -> None:
    deadline = Deadline.after(frozen_clock, 5.0)
    frozen_clock.advance(4.5)
    deadline.check("the probe")
    frozen_clock.advance(0.5)
    with pytest.raises(DeadlineExceeded, match="the probe took too long"):
        deadline.check("the probe")


def test_a_deadline_of_zero_seconds_has_passed_already(frozen_clock: FrozenClock) -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        Deadline.after(frozen_clock, 0.0).check()
    assert caught.value.retryable is True
