"""Every `BreakerStore` remembers circuits, keeps changes in order, and tells one time."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from bcce.kit.clock import SystemClock
from bcce.kit.errors import Unavailable
from bcce.kit.ids import DEFAULT_TENANT, Ids, TenantId
from bcce.resilience import Breaker, BreakerPolicy, BreakerRecord, BreakerStore, Circuit, CircuitOpen
from bcce.runtime.tables import metadata
from bcce.storage.breakers import DatabaseBreakers
from bcce.storage.doors import open_database
from bcce.testing.breakers import MemoryBreakers
from bcce.workflows.tables import runs

CLOCK = SystemClock()


@pytest.fixture(params=["memory", "sqlite", "postgresql", "mariadb"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[BreakerStore]:
    if request.param == "memory":
        yield MemoryBreakers(CLOCK)
        return
    fixture = {"sqlite": "sqlite_url", "postgresql": "postgres_url", "mariadb": "mariadb_url"}[request.param]
    async with open_database(request.getfixturevalue(fixture), clock=CLOCK, ids=Ids(CLOCK), fence_table=runs) as db:
        await db.migrate(metadata.create_all)
        yield DatabaseBreakers(db)


def put(record: BreakerRecord) -> object:
    return lambda _, now: (record, now)


async def test_a_circuit_that_nobody_changed_is_closed(store: BreakerStore) -> None:
    assert await store.load(DEFAULT_TENANT, "x") == BreakerRecord()


async def test_what_was_stored_is_found_again_whole(store: BreakerStore) -> None:
    moment = datetime.fromisoformat("2026-01-02T03:04:05.678901+00:00")
    records = [
        BreakerRecord(generation=2, failed_at=(moment, moment + timedelta(microseconds=1))),
        BreakerRecord(state=Circuit.OPEN, generation=3, until=moment),
        BreakerRecord(state=Circuit.HALF_OPEN, generation=4, until=moment),
    ]
    for record in records:
        await store.change(DEFAULT_TENANT, "http:example.org:443", put(record))  # type: ignore[arg-type]  # a lambda for the test

        assert await store.load(DEFAULT_TENANT, "http:example.org:443") == record


async def test_circuits_are_told_apart_by_tenant_and_by_every_letter(store: BreakerStore) -> None:
    await store.change(DEFAULT_TENANT, "a", put(BreakerRecord(generation=1)))  # type: ignore[arg-type]  # a lambda for the test

    assert await store.load(DEFAULT_TENANT, "A") == BreakerRecord()
    assert await store.load(TenantId("other"), "a") == BreakerRecord()


async def test_changes_happen_one_after_the_other(store: BreakerStore) -> None:
    def count(record: BreakerRecord, now: datetime) -> tuple[BreakerRecord, int]:
        return BreakerRecord(generation=record.generation + 1), record.generation

    seen = await asyncio.gather(*(store.change(DEFAULT_TENANT, "x", count) for _ in range(12)))

    assert sorted(seen) == list(range(12))


async def test_the_moment_of_a_change_is_the_present(store: BreakerStore) -> None:
    now = await store.change(DEFAULT_TENANT, "x", lambda record, now: (record, now))

    assert abs(now - CLOCK.now()) < timedelta(seconds=5)


async def test_two_workers_share_a_circuit(store: BreakerStore) -> None:
    policy = BreakerPolicy(failures=2, open_s=3600)
    one, other = Breaker(store, policy), Breaker(store, policy)

    async def fails() -> None:
        raise Unavailable()

    for worker in (one, other):
        with pytest.raises(Unavailable):
            await worker.call(DEFAULT_TENANT, "x", fails)

    with pytest.raises(CircuitOpen):
        await one.call(DEFAULT_TENANT, "x", fails)


async def test_many_workers_that_meet_an_open_circuit_send_one_to_try(store: BreakerStore) -> None:
    moment = CLOCK.now() - timedelta(seconds=1)
    await store.change(DEFAULT_TENANT, "x", put(BreakerRecord(state=Circuit.OPEN, generation=1, until=moment)))  # type: ignore[arg-type]  # a lambda for the test
    calls = 0

    async def works() -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.3)

    breaker = Breaker(store, BreakerPolicy())
    ends = await asyncio.gather(*(breaker.call(DEFAULT_TENANT, "x", works) for _ in range(8)), return_exceptions=True)

    assert calls == 1
    assert [type(end) for end in ends if end is not None] == [CircuitOpen] * 7
    assert await store.load(DEFAULT_TENANT, "x") == BreakerRecord(generation=3)
