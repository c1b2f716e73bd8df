"""Circuit breakers: when one opens, who may try it, and what a late answer is worth."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.kit.errors import Conflict, Unavailable
from bcce.kit.ids import DEFAULT_TENANT, TenantId
from bcce.resilience import Breaker, BreakerPolicy, BreakerRecord, Circuit, CircuitOpen
from bcce.resilience.breaker import admit, settle
from bcce.testing.breakers import MemoryBreakers
from bcce.testing.clock import FrozenClock

POLICY = BreakerPolicy(failures=3, window_s=60, open_s=30, probe_s=10)


class Side:
    """The other side: works or fails as it is told, and counts its calls."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.calls = 0
        self.gate: asyncio.Event | None = None

    async def __call__(self) -> str:
        self.calls += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return "answer"


@pytest.fixture
def store(frozen_clock: FrozenClock) -> MemoryBreakers:
    return MemoryBreakers(frozen_clock)


@pytest.fixture
def breaker(store: MemoryBreakers) -> Breaker:
    return Breaker(store, POLICY)


async def fail(breaker: Breaker, side: Side, times: int, tenant_id: TenantId = DEFAULT_TENANT) -> None:
    side.error = Unavailable()
    for _ in range(times):
        with pytest.raises(Unavailable):
            await breaker.call(tenant_id, "x", side)


def circuit(store: MemoryBreakers) -> Circuit:
    return store.records[DEFAULT_TENANT, "x"].state


async def test_a_call_that_works_changes_nothing(breaker: Breaker, store: MemoryBreakers) -> None:
    assert await breaker.call(DEFAULT_TENANT, "x", Side()) == "answer"
    assert store.changes == 0


async def test_a_circuit_opens_at_the_last_failure_of_the_threshold_and_then_nobody_calls(breaker: Breaker, store: MemoryBreakers) -> None:
    side = Side()
    await fail(breaker, side, 2)
    assert circuit(store) is Circuit.CLOSED
    await fail(breaker, side, 1)
    assert circuit(store) is Circuit.OPEN

    with pytest.raises(CircuitOpen, match="another 30 s") as caught:
        await breaker.call(DEFAULT_TENANT, "x", side)

    assert side.calls == 3
    assert (caught.value.code, caught.value.retryable, caught.value.details["retry_after_s"]) == ("circuit-open", True, 30)


async def test_failures_outside_the_window_are_forgotten(breaker: Breaker, store: MemoryBreakers, frozen_clock: FrozenClock) -> None:
    side = Side()
    await fail(breaker, side, 2)
    frozen_clock.advance(60)
    await fail(breaker, side, 2)

    assert circuit(store) is Circuit.CLOSED


async def test_one_call_tries_a_circuit_that_was_open_and_closes_it(
    breaker: Breaker, store: MemoryBreakers, frozen_clock: FrozenClock
) -> None:
    side = Side()
    await fail(breaker, side, 3)
    frozen_clock.advance(30)
    side.error, side.gate = None, asyncio.Event()

    probe = asyncio.create_task(breaker.call(DEFAULT_TENANT, "x", side))
    await asyncio.sleep(0)
    with pytest.raises(CircuitOpen):
        await breaker.call(DEFAULT_TENANT, "x", side)
    side.gate.set()

    assert await probe == "answer"
    assert circuit(store) is Circuit.CLOSED
    assert store.records[DEFAULT_TENANT, "x"].failed_at == ()


async def test_a_try_that_fails_opens_the_circuit_again(breaker: Breaker, store: MemoryBreakers, frozen_clock: FrozenClock) -> None:
    side = Side()
    await fail(breaker, side, 3)
    frozen_clock.advance(30)
    await fail(breaker, side, 1)

    assert circuit(store) is Circuit.OPEN
    assert side.calls == 4


async def test_a_try_whose_worker_died_gives_way_to_another(breaker: Breaker, store: MemoryBreakers, frozen_clock: FrozenClock) -> None:
    side = Side()
    await fail(breaker, side, 3)
    frozen_clock.advance(30)
    await store.change(DEFAULT_TENANT, "x", lambda record, now: admit(record, POLICY, now))  # and is never heard of again
    side.error = None

    with pytest.raises(CircuitOpen):
        await breaker.call(DEFAULT_TENANT, "x", side)
    frozen_clock.advance(POLICY.probe_s)

    assert await breaker.call(DEFAULT_TENANT, "x", side) == "answer"
    assert circuit(store) is Circuit.CLOSED


async def test_a_try_that_was_cancelled_says_nothing_and_another_may_try_at_once(
    breaker: Breaker, store: MemoryBreakers, frozen_clock: FrozenClock
) -> None:
    side = Side()
    await fail(breaker, side, 3)
    frozen_clock.advance(30)
    side.error, side.gate = None, asyncio.Event()
    probe = asyncio.create_task(breaker.call(DEFAULT_TENANT, "x", side))
    await asyncio.sleep(0)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    side.gate.set()

    assert await breaker.call(DEFAULT_TENANT, "x", side) == "answer"


async def test_a_call_from_before_the_circuit_opened_does_not_count_after_it(
    breaker: Breaker, store: MemoryBreakers, frozen_clock: FrozenClock
) -> None:
    """Otherwise a slow failure from long ago would undo the try that has just worked."""
    slow, side = Side(), Side()
    slow.gate, slow.error = asyncio.Event(), Unavailable()
    late = asyncio.create_task(breaker.call(DEFAULT_TENANT, "x", slow))
    await asyncio.sleep(0)
    await fail(breaker, side, 3)
    frozen_clock.advance(30)
    side.error = None
    await breaker.call(DEFAULT_TENANT, "x", side)

    slow.gate.set()
    with pytest.raises(Unavailable):
        await late

    assert store.records[DEFAULT_TENANT, "x"] == BreakerRecord(generation=3)


async def test_an_error_that_is_an_answer_closes_the_circuit(breaker: Breaker, store: MemoryBreakers, frozen_clock: FrozenClock) -> None:
    side = Side()
    await fail(breaker, side, 3)
    frozen_clock.advance(30)
    side.error = Conflict()
    with pytest.raises(Conflict):
        await breaker.call(DEFAULT_TENANT, "x", side)

    assert circuit(store) is Circuit.CLOSED


async def test_the_caller_says_which_errors_count(breaker: Breaker, store: MemoryBreakers) -> None:
    side = Side()
    side.error = Conflict()
    for _ in range(3):
        with pytest.raises(Conflict):
            await breaker.call(DEFAULT_TENANT, "x", side, is_failure=lambda error: isinstance(error, Conflict))

    assert circuit(store) is Circuit.OPEN


async def test_tenants_and_names_have_circuits_of_their_own(breaker: Breaker) -> None:
    side = Side()
    await fail(breaker, side, 3)
    side.error = None

    assert await breaker.call(TenantId("other"), "x", side) == "answer"
    assert await breaker.call(DEFAULT_TENANT, "y", side) == "answer"


@given(steps=st.lists(st.tuples(st.sampled_from(["enter", "worked", "failed"]), st.integers(0, 40)), max_size=60))
def test_at_most_one_call_tries_a_circuit_at_a_time(steps: list[tuple[str, int]]) -> None:
    clock, record = FrozenClock(), BreakerRecord()
    calls: list[int] = []
    trying_since: float | None = None
    for what, seconds in steps:
        clock.advance(seconds)
        if what == "enter":
            record, admission = admit(record, POLICY, clock.now())
            if admission.passes:
                calls.append(admission.generation)
            if admission.is_probe:
                assert trying_since is None or clock.monotonic() - trying_since >= POLICY.probe_s
                trying_since = clock.monotonic()
        elif calls:
            before, generation = record, calls.pop()
            record = settle(record, POLICY, clock.now(), generation=generation, worked=what == "worked")
            if before.state is Circuit.HALF_OPEN and record.state is not Circuit.HALF_OPEN:
                assert generation == before.generation
                trying_since = None
        assert (record.until is None) == (record.state is Circuit.CLOSED)
        assert len(record.failed_at) < POLICY.failures


@pytest.mark.parametrize("wrong", [{"failures": 0}, {"window_s": 0}, {"open_s": -1}, {"probe_s": 0}])
def test_a_policy_refuses_numbers_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="circuit"):
        BreakerPolicy(**wrong)  # type: ignore[arg-type]  # the table mixes kinds of numbers


def test_a_moment_within_the_open_time_says_how_long_it_lasts() -> None:
    clock = FrozenClock()
    record = BreakerRecord(state=Circuit.OPEN, generation=1, until=clock.now() + timedelta(seconds=7))

    assert admit(record, POLICY, clock.now())[1].retry_after_s == 7
