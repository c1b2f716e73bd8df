"""The rows of one delivery: prepared statements and their values, ready to be written in one go. Pure but for the event ids."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime

from bcce.alerts import repository
from bcce.alerts.model import AlertStatus, NormalizedAlert, ParsedDelivery, alert_id_of, precedence
from bcce.kit.clock import format_time
from bcce.kit.events import Event
from bcce.kit.ids import AlertId, Ids, TenantId
from bcce.kit.text import digest
from bcce.security.actor import Actor
from bcce.storage.doors import Item
from bcce.storage.outbox import event_item

_FIELDS = tuple(item.name for item in fields(NormalizedAlert))
_MAPPINGS = ("labels", "annotations", "links")


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A body on its way in. `received_at` is UTC; `sent_by` are the people who sent it, none for a monitor."""

    id: str
    tenant_id: TenantId
    provider: str
    source: str
    body: bytes
    received_at: datetime
    correlation_id: str
    sent_by: tuple[str, ...]


def people(actor: Actor, others: tuple[str, ...] = ()) -> tuple[str, ...]:
    """`others` and the person behind `actor`, if it is one."""
    return others if actor.person is None or actor.person in others else (*others, actor.person)


def accepted_items(ids: Ids, delivery: Delivery, parsed: ParsedDelivery) -> list[Item]:
    """What stores a delivery with all its alerts.

    Items of one kind stand together, so that many deliveries become few statements in a group commit.
    """
    keys = [alert_id_of(delivery.tenant_id, alert.fingerprint) for alert in parsed.alerts]
    pairs = list(zip(keys, parsed.alerts, strict=True))
    items = [_delivery_item(delivery, repository.ACCEPTED, count=len(pairs), truncated=parsed.truncated)]
    rows = [_alert_row(delivery, key, alert, ordinal) for ordinal, (key, alert) in enumerate(pairs)]
    # In the order of ids, so that deliveries with the same alerts in another order seldom wait for each other in a circle.
    items += [(repository.UPSERT_ALERT, row) for row in sorted(rows, key=lambda row: str(row["id"]))]
    items += [(repository.UPSERT_EPISODE, _episode_row(delivery, key, alert)) for key, alert in pairs]
    items += [
        (repository.INSERT_NOTIFICATION, _notification_row(delivery, key, alert, ordinal)) for ordinal, (key, alert) in enumerate(pairs)
    ]
    items += [event_item(ids, _event(delivery, key, alert), correlation_id=delivery.correlation_id) for key, alert in pairs]
    return items


def dead_item(delivery: Delivery, reason: str) -> Item:
    """What keeps a body that could not be understood."""
    return _delivery_item(delivery, repository.DEAD, reason=reason)


def _delivery_item(delivery: Delivery, state: str, *, reason: str | None = None, count: int = 0, truncated: int = 0) -> Item:
    return repository.INSERT_DELIVERY, {
        "id": delivery.id,
        "tenant_id": delivery.tenant_id,
        "provider": delivery.provider,
        "source": delivery.source,
        "received_at": delivery.received_at,
        "digest": digest(delivery.body),
        "body": delivery.body,
        "state": state,
        "reason": reason,
        "alert_count": count,
        "truncated": truncated,
        "correlation_id": delivery.correlation_id,
        "replayed_as": None,
        "sent_by": list(delivery.sent_by) or None,
    }


def _alert_row(delivery: Delivery, key: AlertId, alert: NormalizedAlert, ordinal: int) -> Mapping[str, object]:
    row: dict[str, object] = {name: getattr(alert, name) for name in _FIELDS}
    row.update({name: dict(getattr(alert, name)) for name in _MAPPINGS})
    row.update(
        id=key,
        tenant_id=delivery.tenant_id,
        status=str(alert.status),
        severity=str(alert.severity),
        first_seen_at=delivery.received_at,
        last_seen_at=delivery.received_at,
        times_seen=1,
        delivery_id=delivery.id,
        precedence=precedence(alert, received_at=delivery.received_at, delivery_id=delivery.id, ordinal=ordinal),
    )
    return row


def _episode_row(delivery: Delivery, key: AlertId, alert: NormalizedAlert) -> Mapping[str, object]:
    return {"alert_id": key, "starts_at": alert.starts_at, "tenant_id": delivery.tenant_id}


def _notification_row(delivery: Delivery, key: AlertId, alert: NormalizedAlert, ordinal: int) -> Mapping[str, object]:
    return {
        "delivery_id": delivery.id,
        "ordinal": ordinal,
        "tenant_id": delivery.tenant_id,
        "alert_id": key,
        "status": str(alert.status),
        "starts_at": alert.starts_at,
        "ends_at": alert.ends_at,
    }


def _event(delivery: Delivery, key: AlertId, alert: NormalizedAlert) -> Event:
    data: dict[str, object] = {
        "alertId": key,
        "fingerprint": alert.fingerprint,
        "name": alert.name,
        "status": str(alert.status),
        "severity": str(alert.severity),
        "provider": alert.provider,
        "source": alert.source,
        "startsAt": format_time(alert.starts_at),
        "endsAt": format_time(alert.ends_at) if alert.ends_at else None,
        "deliveryId": delivery.id,
    }
    kind = "alert.received" if alert.status is AlertStatus.FIRING else "alert.resolved"
    return Event(type=kind, timestamp=delivery.received_at, source="alerts", tenant_id=delivery.tenant_id, data=data)
