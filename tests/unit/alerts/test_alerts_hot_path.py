"""What taking a body costs the database: one append that reads nothing, and few statements however many bodies share a commit."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

import pytest
from sqlalchemy import Connection

from bcce.alerts import AlertProvider, AlertService, AlertSettings, ParsedDelivery
from bcce.alerts.providers.alertmanager import Alertmanager
from bcce.kit.ids import Ids
from bcce.observability.metrics import Metrics
from bcce.security.actor import source_actor
from bcce.storage.doors import Append
from bcce.storage.errors import DatabaseUnavailable
from bcce.storage.group import gather
from bcce.testing.clock import FrozenClock

T = TypeVar("T")
BODY = (Path(__file__).parents[2] / "fixtures" / "alertmanager" / "group-firing.json").read_bytes()


class AppendOnly:
    """A database that can only append."""

    dialect: Literal["sqlite"] = "sqlite"

    def __init__(self, error: Exception | None = None) -> None:
        self.appended: list[Append] = []
        self._error = error

    async def append(self, op: Append) -> None:
        """Notes what would be stored, or fails."""
        if self._error is not None:
            raise self._error
        self.appended.append(op)

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """Not part of the hot path."""
        raise AssertionError("intake must not use `write`")

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Not part of the hot path."""
        raise AssertionError("intake must not read")

    async def migrate(self, fn: Callable[[Connection], T]) -> T:
        """Not part of the hot path."""
        raise AssertionError("intake must not migrate")

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Nobody listens."""

    def healthy(self) -> bool:
        """Always."""
        return True

    async def close(self) -> None:
        """Nothing is open."""


class Witness:
    """A provider that notes in which thread it was called."""

    name = "alertmanager"

    def __init__(self) -> None:
        self.threads: list[int] = []

    def parse(self, body: bytes, headers: Mapping[str, str], *, source: str, received_at: datetime) -> ParsedDelivery:
        """No alerts."""
        self.threads.append(threading.get_ident())
        return ParsedDelivery(alerts=())


async def receive(
    db: AppendOnly, metrics: Metrics, ids: Ids, clock: FrozenClock, *, body: bytes = BODY, provider: AlertProvider | None = None
) -> None:
    providers = {"alertmanager": provider or Alertmanager(AlertSettings())}
    service = AlertService(db=db, clock=clock, ids=ids, providers=providers, metrics=metrics)
    await service.receive(
        source_actor("alertmanager", "prod"), provider="alertmanager", source="prod", body=body, headers={}, correlation_id="cor_1"
    )


@pytest.fixture
def frozen_clock() -> FrozenClock:
    """A little after the fixture was captured."""
    return FrozenClock(datetime(2026, 11, 21, 4, tzinfo=UTC))


async def test_a_body_is_one_append(ids: Ids, frozen_clock: FrozenClock) -> None:
    db = AppendOnly()
    await receive(db, Metrics(), ids, frozen_clock)

    assert len(db.appended) == 1


async def test_many_bodies_are_five_statements(ids: Ids, frozen_clock: FrozenClock) -> None:
    """Delivery, alert, episode, notification, event: `executemany` needs the same statement and the same columns."""
    db = AppendOnly()
    for _ in range(4):
        await receive(db, Metrics(), ids, frozen_clock)

    assert [len(rows) for _, rows in gather(db.appended)] == [4, 12, 12, 12, 12]


@pytest.mark.parametrize(("size", "is_here"), [(1_000, True), (65_535, True), (65_536, False), (1_000_000, False)])
async def test_a_large_body_is_parsed_beside_the_event_loop(ids: Ids, frozen_clock: FrozenClock, size: int, is_here: bool) -> None:
    witness = Witness()
    await receive(AppendOnly(), Metrics(), ids, frozen_clock, body=b" " * size, provider=witness)

    assert [thread == threading.get_ident() for thread in witness.threads] == [is_here]


async def test_what_was_not_stored_is_not_acknowledged(ids: Ids, frozen_clock: FrozenClock) -> None:
    metrics = Metrics()

    with pytest.raises(DatabaseUnavailable):
        await receive(AppendOnly(DatabaseUnavailable()), metrics, ids, frozen_clock)
    assert "bcce_alerts_received_total{" not in metrics.render().decode()
