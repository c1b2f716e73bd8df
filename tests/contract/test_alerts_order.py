"""Whatever the order in which notifications are stored, however often and at what moment: an alert's final state is the same."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.contract.alerts_support import START, VIEWER, Intake, alert, body, intake

from bcce.alerts import Alert, AlertStatus, NormalizedAlert, ParsedDelivery
from bcce.alerts.intake import Delivery, accepted_items
from bcce.alerts.model import alert_id_of
from bcce.alerts.repository import get_alerts
from bcce.kit.findings import Severity
from bcce.kit.ids import DEFAULT_TENANT, DeliveryId, Ids
from bcce.storage.doors import Append, Options
from bcce.testing.clock import FrozenClock

FIRING, RESOLVED = AlertStatus.FIRING, AlertStatus.RESOLVED
FRESH = itertools.count()


@dataclass(frozen=True)
class Told:
    """One notification: when its episode began, when it ended, and when the body with it was received; seconds after START."""

    start: int
    end: int | None
    received: int
    text: str
    resolved: bool

    def normalized(self, fingerprint: str) -> NormalizedAlert:
        """As a provider would hand it over."""
        return NormalizedAlert(
            provider="p",
            source="s",
            fingerprint=fingerprint,
            name="A",
            status=RESOLVED if self.resolved else FIRING,
            severity=Severity.LOW if self.resolved else Severity.HIGH,
            summary=self.text,
            description=self.text,
            host=self.text,
            service=None,
            environment=None,
            labels={"told": self.text},
            annotations={},
            links={},
            starts_at=START + timedelta(seconds=self.start),
            ends_at=START + timedelta(seconds=self.end) if self.resolved and self.end is not None else None,
        )


TOLD = st.builds(
    Told,
    start=st.integers(0, 3),
    end=st.none() | st.integers(0, 5),
    received=st.integers(0, 3),
    text=st.sampled_from(["one", "two", "three"]),
    resolved=st.booleans(),
)
#: Deliveries with one or more notifications of the same alert each, in the order in which they are stored.
STORED = st.lists(st.lists(TOLD, min_size=1, max_size=3), min_size=1, max_size=7)


@pytest.fixture
def frozen_clock() -> FrozenClock:
    """The moment that the notifications are about."""
    return FrozenClock(START)


@pytest.fixture
async def world(database_url: str, frozen_clock: FrozenClock, ids: Ids) -> AsyncIterator[Intake]:
    """Alert intake over a fresh database of each kind in turn."""
    async with intake(database_url, frozen_clock, ids) as opened:
        yield opened


@pytest.fixture
async def on_sqlite(sqlite_url: str, frozen_clock: FrozenClock, ids: Ids) -> AsyncIterator[Intake]:
    """Alert intake over a fresh SQLite file."""
    async with intake(sqlite_url, frozen_clock, ids) as opened:
        yield opened


def expected(stored: Sequence[tuple[str, Sequence[Told]]], fingerprint: str) -> Alert:
    """The state by the rule: the latest start, then resolved over firing, the later end, the later receipt, the later id and place."""

    def weight(item: tuple[str, int, Told]) -> tuple[object, ...]:
        delivery_id, ordinal, told = item
        end = told.end if told.resolved and told.end is not None else -1_000_000
        return told.start, told.resolved, end, told.received, ordinal, delivery_id

    all_told = [(delivery_id, ordinal, told) for delivery_id, group in stored for ordinal, told in enumerate(group)]
    delivery_id, _, winner = max(all_told, key=weight)
    shown = winner.normalized(fingerprint)
    received = [told.received for _, _, told in all_told]
    return Alert(
        id=alert_id_of(DEFAULT_TENANT, fingerprint),
        tenant_id=DEFAULT_TENANT,
        **{name: getattr(shown, name) for name in NormalizedAlert.__slots__},
        first_seen_at=START + timedelta(seconds=min(received)),
        last_seen_at=START + timedelta(seconds=max(received)),
        times_seen=len(all_told),
        episode=len({told.start for _, _, told in all_told}),
        delivery_id=DeliveryId(delivery_id),
    )


async def store(
    world: Intake, deliveries: Sequence[Sequence[Told]], arrange: Callable[[list[int]], None], *, at_once: bool
) -> tuple[Alert, Alert]:
    """Stores `deliveries` in the order that `arrange` makes; the alert as it then is, and as it should be."""
    fingerprint = f"v1:{next(FRESH):032x}"
    numbered = [(world.ids.new("dlv"), group) for group in deliveries]
    order = list(range(len(numbered)))
    arrange(order)

    async def append(delivery_id: str, group: Sequence[Told]) -> None:
        # One delivery has one moment of receipt: that of its first notification.
        received_at = START + timedelta(seconds=group[0].received)
        delivery = Delivery(
            id=delivery_id,
            tenant_id=DEFAULT_TENANT,
            provider="p",
            source="s",
            body=b"",
            received_at=received_at,
            correlation_id="cor_1",
            sent_by=(),
        )
        parsed = ParsedDelivery(alerts=tuple(told.normalized(fingerprint) for told in group))
        await world.db.append(Append(items=tuple(accepted_items(world.ids, delivery, parsed))))

    if at_once:
        await asyncio.gather(*(append(*numbered[index]) for index in order))
    else:
        for index in order:
            await append(*numbered[index])
    same_moment = [(delivery_id, [replace(told, received=group[0].received) for told in group]) for delivery_id, group in numbered]
    wanted = expected(same_moment, fingerprint)
    found = await world.db.read(lambda conn: get_alerts(conn, DEFAULT_TENANT, [wanted.id]))
    return found[0], wanted


LATE_DUPLICATE = [[Told(0, None, 0, "one", False)], [Told(0, 5, 1, "two", True)], [Told(0, None, 2, "three", False)]]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STORED, st.randoms(), st.booleans())
@example(LATE_DUPLICATE, None, False)
async def test_any_order_gives_the_same_state_on_sqlite(
    on_sqlite: Intake, deliveries: list[list[Told]], random: object, at_once: bool
) -> None:
    arrange = list[int].reverse if random is None else random.shuffle  # type: ignore[attr-defined]  # Hypothesis gives a random.Random
    found, wanted = await store(on_sqlite, deliveries, arrange, at_once=at_once)

    assert found == wanted


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STORED, st.randoms(), st.booleans())
@example(LATE_DUPLICATE, None, False)
async def test_any_order_gives_the_same_state_on_every_database(
    world: Intake, deliveries: list[list[Told]], random: object, at_once: bool
) -> None:
    arrange = list[int].reverse if random is None else random.shuffle  # type: ignore[attr-defined]  # Hypothesis gives a random.Random
    found, wanted = await store(world, deliveries, arrange, at_once=at_once)

    assert found == wanted


EVENTS = st.lists(st.tuples(st.integers(0, 2), st.none() | st.integers(3, 4)), min_size=1, max_size=5)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EVENTS, st.data())
async def test_arriving_in_another_order_and_more_than_once_leaves_the_same_state(
    on_sqlite: Intake, told: list[tuple[int, int | None]], data: st.DataObject
) -> None:
    """Here the order of arrival is also the order of receipt, as for bodies that really come late or twice."""
    bodies = [(start, end) for start, end in told]
    again = data.draw(st.permutations(bodies + data.draw(st.lists(st.sampled_from(bodies), max_size=4))))
    states = []
    for sequence in (bodies, again):
        name = f"alert-{next(FRESH)}"
        for start, end in sequence:
            on_sqlite.clock.advance(1)
            sent = alert(name, start=START + timedelta(seconds=start), end=START + timedelta(seconds=end) if end is not None else None)
            (key,) = (await on_sqlite.send(body(sent))).alert_ids
        found, _ = await on_sqlite.service.get(VIEWER, key)
        states.append((found.status, found.starts_at, found.ends_at, found.episode))
        assert found.times_seen == len(sequence)

    assert states[0] == states[1]


@pytest.fixture(params=["postgres_url", "mariadb_url"])
def server_url(request: pytest.FixtureRequest) -> str:
    """A fresh database of each kind that several processes can share."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.mark.services
async def test_processes_that_share_a_server_count_every_notification(server_url: str, frozen_clock: FrozenClock) -> None:
    """They meet the same alerts in opposite orders, which is how transactions deadlock; each of them has ids of its own."""
    names = [f"A{number}" for number in range(12)]
    options = Options(leader_tick_s=60)
    async with (
        intake(server_url, frozen_clock, Ids(frozen_clock), options=options) as one,
        intake(server_url, frozen_clock, Ids(frozen_clock), create=False, options=options) as other,
    ):
        forwards, backwards = ([alert(name, start=START) for name in order] for order in (names, names[::-1]))
        await asyncio.gather(
            *(one.send(body(*forwards)) for _ in range(25)),
            *(other.send(body(*backwards)) for _ in range(25)),
        )
        listed, _ = await one.service.list(VIEWER)

    assert {found.name: found.times_seen for found in listed} == dict.fromkeys(names, 50)
