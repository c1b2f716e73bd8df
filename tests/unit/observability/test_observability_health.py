"""Readiness checks: named, timed, and never the reason that a probe fails to be answered."""

import asyncio

import pytest

from bcce.kit.findings import Outcome
from bcce.observability import CheckResult, HealthChecks


async def good() -> bool:
    return True


async def bad() -> bool:
    return False


async def broken() -> bool:
    raise ConnectionError("no such host")


async def hanging() -> bool:
    await asyncio.Event().wait()
    return True


async def slow_itself() -> bool:
    raise TimeoutError


@pytest.mark.parametrize(
    ("check", "expected"),
    [(good, Outcome.PASS), (bad, Outcome.FAIL), (broken, Outcome.FAIL), (slow_itself, Outcome.FAIL), (hanging, Outcome.TIMED_OUT)],
)
async def test_a_check_gives_one_outcome_whatever_it_does(check: object, expected: Outcome) -> None:
    checks = HealthChecks(timeout_s=0.01)
    checks.add("thing", check)  # type: ignore[arg-type]  # the table mixes functions
    assert await checks.run() == [CheckResult(name="thing", outcome=expected)]


async def test_results_are_named_and_sorted_and_one_failure_hides_no_other() -> None:
    checks = HealthChecks(timeout_s=0.01)
    for name, check in (("pipeline", broken), ("database", good), ("disk", hanging)):
        checks.add(name, check)
    assert [(item.name, str(item.outcome)) for item in await checks.run()] == [
        ("database", "pass"),
        ("disk", "timed-out"),
        ("pipeline", "fail"),
    ]


async def test_without_checks_there_are_no_results() -> None:
    assert await HealthChecks().run() == []


async def test_a_check_that_hangs_is_asked_once_however_many_probes_come_in() -> None:
    asked = 0
    began, release = asyncio.Event(), asyncio.Event()

    async def counting() -> bool:
        nonlocal asked
        asked += 1
        began.set()
        await release.wait()
        return True

    checks = HealthChecks(timeout_s=5.0)
    checks.add("thing", counting)
    probes = [asyncio.create_task(checks.run()) for _ in range(3)]
    await began.wait()
    release.set()
    results = await asyncio.gather(*probes)
    assert (asked, [item[0].outcome for item in results]) == (1, [Outcome.PASS] * 3)


async def test_a_check_is_asked_again_by_the_next_probe() -> None:
    answers = iter([False, True])

    async def recovering() -> bool:
        return next(answers)

    checks = HealthChecks()
    checks.add("thing", recovering)
    outcomes = [(await checks.run())[0].outcome for _ in range(2)]
    assert outcomes == [Outcome.FAIL, Outcome.PASS]


async def test_a_check_that_does_not_let_itself_be_cancelled_holds_nobody_up() -> None:
    release = asyncio.Event()

    async def stubborn() -> bool:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return True

    checks = HealthChecks(timeout_s=0.01)
    checks.add("thing", stubborn)
    first, second = await checks.run(), await checks.run()
    release.set()
    assert [item[0].outcome for item in (first, second)] == [Outcome.TIMED_OUT, Outcome.TIMED_OUT]


async def test_probes_that_share_a_cancelled_check_all_see_it_timed_out() -> None:
    checks = HealthChecks(timeout_s=0.01)
    checks.add("thing", hanging)
    results = await asyncio.gather(checks.run(), checks.run())
    assert [item[0].outcome for item in results] == [Outcome.TIMED_OUT, Outcome.TIMED_OUT]


def test_a_name_is_given_once() -> None:
    checks = HealthChecks()
    checks.add("database", good)
    with pytest.raises(ValueError, match="'database' already"):
        checks.add("database", bad)
