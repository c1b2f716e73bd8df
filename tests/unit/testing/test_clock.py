"""A frozen clock moves only when a test says so, and wakes sleepers in the order of their times."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from bcce.testing.clock import DEFAULT_START, FrozenClock


def test_time_stands_still() -> None:
    clock = FrozenClock()

    assert clock.now() == clock.now() == DEFAULT_START
    assert clock.monotonic() == 0.0


def test_advance_moves_both_clocks() -> None:
    clock = FrozenClock(datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    clock.advance(90.5)

    assert clock.now() == datetime(2026, 1, 1, 22, 1, 30, 500_000, tzinfo=UTC)
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() == 90.5


def test_a_start_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        FrozenClock(datetime(2026, 1, 2))  # noqa: DTZ001 - a naive time is the case under test


def test_time_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        FrozenClock().advance(-0.1)


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    clock, woken = FrozenClock(), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as tasks:
        for seconds in (3.0, 1.0, 2.0, 9.0):
            tasks.create_task(sleeper(seconds))
        await asyncio.sleep(0)
        assert clock.sleepers == 4

        clock.advance(3)
        await asyncio.sleep(0)
        assert woken == [1.0, 2.0, 3.0]
        assert clock.sleepers == 1

        clock.advance(6)
    assert woken == [1.0, 2.0, 3.0, 9.0]


async def test_a_sleeper_is_not_woken_early() -> None:
    clock = FrozenClock()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(clock.sleep(1))
        await asyncio.sleep(0)
        clock.advance(0.999)
        await asyncio.sleep(0)
        assert not task.done()
        clock.advance(0.001)


async def test_a_cancelled_sleeper_is_left_out() -> None:
    clock = FrozenClock()
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert clock.sleepers == 0
    clock.advance(2)


@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_no_time_to_sleep_yields_once(seconds: float) -> None:
    clock, others = FrozenClock(), []
    asyncio.get_running_loop().call_soon(others.append, "ran")
    await clock.sleep(seconds)

    assert others == ["ran"]
    assert clock.sleepers == 0
