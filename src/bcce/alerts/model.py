"""One normalized notification of a monitor, and the alert that its notifications add up to. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from bcce.kit.findings import Severity
from bcce.kit.ids import AlertId, DeadLetterId, DeliveryId, TenantId, derived_id

#: Caps in characters. Names are compared and indexed, values are shown beside them, texts are read by people and models.
MAX_NAME = 200
MAX_VALUE = 4_000
MAX_TEXT = 10_000
#: Most labels, and most annotations, that one alert may have.
MAX_LABELS = 200

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class AlertStatus(StrEnum):
    """What the source monitor says now."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalizedAlert:
    """What a provider understood of one alert in a body. Every text is clean and capped.

    Times are UTC. `ends_at` is None while it fires, and when the source does not say when it ended. `host`, `service` and `environment`
    are None when the source does not say. `links` are http(s) addresses by what they lead to.
    """

    provider: str
    source: str
    fingerprint: str
    name: str
    status: AlertStatus
    severity: Severity
    summary: str
    description: str
    host: str | None
    service: str | None
    environment: str | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    links: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedDelivery:
    """A body's alerts in its order.

    `truncated` counts alerts that the source says it left out; they never come. `notices` are sentences for people, never an error.
    """

    alerts: tuple[NormalizedAlert, ...]
    notices: tuple[str, ...] = ()
    truncated: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """What all notifications with one fingerprint add up to: the state of the latest episode.

    An episode is one stretch of firing and is known by its `starts_at`; `episode` counts how many different ones were reported, so
    above 1 it has fired again. `times_seen` counts every notification, repeats and late ones among them. `first_seen_at` and
    `last_seen_at` are when bodies arrived here; `starts_at` and `ends_at` are the source's own times. All are UTC.
    """

    id: AlertId
    tenant_id: TenantId
    provider: str
    source: str
    fingerprint: str
    name: str
    status: AlertStatus
    severity: Severity
    summary: str
    description: str
    host: str | None
    service: str | None
    environment: str | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    links: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None
    first_seen_at: datetime
    last_seen_at: datetime
    times_seen: int
    episode: int
    delivery_id: DeliveryId


@dataclass(frozen=True, kw_only=True, slots=True)
class Notification:
    """One notification of an alert as it came; `ordinal` is its place in the delivery's body, from 0."""

    delivery_id: DeliveryId
    ordinal: int
    alert_id: AlertId
    status: AlertStatus
    starts_at: datetime
    ends_at: datetime | None
    received_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What the sender is told once its body is durable. `alert_ids` are in the body's order, each once."""

    delivery_id: DeliveryId
    alert_ids: tuple[AlertId, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A body of an authenticated source that could not be understood, kept as it came.

    `replayed_as` is the delivery that it became later; None: it still waits for a provider that understands it. `sent_by` are the people
    whose tokens it came with; empty for a monitor's.
    """

    id: DeadLetterId
    provider: str
    source: str
    received_at: datetime
    reason: str
    body: bytes
    correlation_id: str
    replayed_as: DeliveryId | None
    sent_by: tuple[str, ...] = ()


def alert_id_of(tenant_id: TenantId, fingerprint: str) -> AlertId:
    """The id that an alert has before it was ever stored: whoever reports it first, it is the same."""
    return AlertId(derived_id("alr", tenant_id, fingerprint))


def precedence(alert: NormalizedAlert, *, received_at: datetime, delivery_id: str, ordinal: int) -> str:
    """A text that is greater, code point by code point, the more this notification has to say about the alert's present state.

    A later start wins; of one start, resolved wins over firing, because highly available monitors send a late duplicate of the firing; of
    two ends, the later one; then the one received later, which has the fresher annotations. No two notifications are equal, so the state
    that any set of them adds up to does not depend on the order in which they are stored.
    """
    end = 0 if alert.ends_at is None else _micros(alert.ends_at)
    rank = int(alert.status is AlertStatus.RESOLVED)
    return f"{_micros(alert.starts_at):015x}{rank}{end:015x}{_micros(received_at):015x}{ordinal:05x}{delivery_id}"


def _micros(moment: datetime) -> int:
    # Never negative: a sign would spoil the order of the texts, and nothing fired before 1970.
    return max(0, (moment - _EPOCH) // _MICROSECOND)
