"""Every query on alerts, and the prepared statements of the hot path. Synchronous: each function works inside the caller's transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, bindparam, case, func, insert, or_, select, update

from bcce.alerts.model import Alert, AlertStatus, DeadLetter, Notification
from bcce.alerts.tables import alert_episodes, alert_notifications, alerts, deliveries
from bcce.kit.findings import Severity
from bcce.kit.ids import AlertId, DeadLetterId, DeliveryId, TenantId
from bcce.storage.upsert import Row, upsert

ACCEPTED = "accepted"
DEAD = "dead"

INSERT_DELIVERY = insert(deliveries)
INSERT_NOTIFICATION = insert(alert_notifications)
#: A start that was reported before stays as it is.
UPSERT_EPISODE = upsert(alert_episodes, keys=["alert_id", "starts_at"])

#: What an alert's row takes over, all together, from the notification with the greatest precedence.
_SHOWN = (
    *("name", "status", "severity", "summary", "description", "host", "service", "environment"),
    *("labels", "annotations", "links", "starts_at", "ends_at", "delivery_id", "precedence"),
)


def _fold(old: Row, new: Row) -> Mapping[str, object]:
    is_news = new.precedence > old.precedence
    return {
        "times_seen": old.times_seen + new.times_seen,
        "first_seen_at": case((new.first_seen_at < old.first_seen_at, new.first_seen_at), else_=old.first_seen_at),
        "last_seen_at": case((new.last_seen_at > old.last_seen_at, new.last_seen_at), else_=old.last_seen_at),
        **{name: case((is_news, new[name]), else_=old[name]) for name in _SHOWN},
    }


#: Folds one notification into its alert's row. It adds, and takes minima and maxima, so the order of notifications does not matter.
UPSERT_ALERT = upsert(alerts, keys=["id"], changes=_fold)

_MARK_REPLAYED = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("dead_id"), deliveries.c.replayed_as.is_(None))
    .values(replayed_as=bindparam("new_id"))
)


_EPISODES = select(func.count()).where(alert_episodes.c.alert_id == alerts.c.id).scalar_subquery().label("episode")
_ALERT_COLUMNS: list[ColumnElement[Any]] = [*(alerts.c[name] for name in Alert.__slots__ if name != "episode"), _EPISODES]
_DEAD_LETTER_COLUMNS: list[ColumnElement[Any]] = [deliveries.c[name] for name in DeadLetter.__slots__]


def get_alerts(conn: Connection, tenant_id: TenantId, ids: Sequence[str]) -> list[Alert]:
    """The tenant's alerts with these ids, in the order of the ids; those that are not there are left out."""
    rows = conn.execute(select(*_ALERT_COLUMNS).where(alerts.c.tenant_id == tenant_id, alerts.c.id.in_(ids))).mappings()
    found = {row["id"]: _alert_of(row) for row in rows}
    return [found[key] for key in ids if key in found]


def lock_alert(conn: Connection, tenant_id: TenantId, alert_id: AlertId) -> bool:
    """Makes others who lock this alert wait until the commit; False when the tenant has none such."""
    query = select(alerts.c.id).where(alerts.c.tenant_id == tenant_id, alerts.c.id == alert_id)
    return conn.execute(query.with_for_update()).first() is not None


def list_alerts(
    conn: Connection, tenant_id: TenantId, *, filters: Mapping[str, str], before: tuple[datetime, str] | None, limit: int
) -> list[Alert]:
    """The tenant's alerts, the latest start first, from below the (starts_at, id) `before`."""
    query = select(*_ALERT_COLUMNS).where(alerts.c.tenant_id == tenant_id, *(alerts.c[name] == value for name, value in filters.items()))
    if before is not None:
        starts_at, alert_id = before
        # The first condition says nothing new, but it is the one for which an index is used.
        query = query.where(alerts.c.starts_at <= starts_at, or_(alerts.c.starts_at < starts_at, alerts.c.id < alert_id))
    rows = conn.execute(query.order_by(alerts.c.starts_at.desc(), alerts.c.id.desc()).limit(limit)).mappings()
    return [_alert_of(row) for row in rows]


def list_notifications(
    conn: Connection, tenant_id: TenantId, alert_id: AlertId, *, before: tuple[str, int] | None, limit: int
) -> list[Notification]:
    """An alert's notifications, the latest delivery first, from below the (delivery_id, ordinal) `before`."""
    table = alert_notifications
    columns: list[ColumnElement[Any]] = [table.c[name] for name in Notification.__slots__ if name != "received_at"]
    query = select(*columns, deliveries.c.received_at).join_from(table, deliveries, table.c.delivery_id == deliveries.c.id)
    query = query.where(table.c.tenant_id == tenant_id, table.c.alert_id == alert_id)
    if before is not None:
        delivery_id, ordinal = before
        query = query.where(table.c.delivery_id <= delivery_id, or_(table.c.delivery_id < delivery_id, table.c.ordinal < ordinal))
    rows = conn.execute(query.order_by(table.c.delivery_id.desc(), table.c.ordinal.desc()).limit(limit)).mappings()
    return [_notification_of(row) for row in rows]


def senders(conn: Connection, tenant_id: TenantId, alert_id: AlertId, since: datetime) -> frozenset[str]:
    """The people who reported the alert firing with a start at `since` or later: what it says now may be theirs."""
    table = alert_notifications
    query = select(deliveries.c.sent_by).join_from(table, deliveries, table.c.delivery_id == deliveries.c.id)
    is_theirs = (table.c.status == AlertStatus.FIRING, table.c.starts_at >= since, deliveries.c.sent_by.is_not(None))
    rows = conn.execute(query.where(table.c.tenant_id == tenant_id, table.c.alert_id == alert_id, *is_theirs)).scalars()
    return frozenset(str(person) for people in rows for person in people)


def list_dead_letters(conn: Connection, tenant_id: TenantId, *, before: str | None, limit: int) -> list[DeadLetter]:
    """The tenant's dead letters, newest first, from below the id `before`."""
    query = select(*_DEAD_LETTER_COLUMNS).where(_is_dead(tenant_id))
    if before is not None:
        query = query.where(deliveries.c.id < before)
    return [_dead_letter_of(row) for row in conn.execute(query.order_by(deliveries.c.id.desc()).limit(limit)).mappings()]


def get_dead_letter(conn: Connection, tenant_id: TenantId, dead_id: DeadLetterId) -> DeadLetter | None:
    """One dead letter; None when the tenant has none such."""
    query = select(*_DEAD_LETTER_COLUMNS).where(_is_dead(tenant_id), deliveries.c.id == dead_id)
    row = conn.execute(query).mappings().first()
    return _dead_letter_of(row) if row else None


def mark_replayed(conn: Connection, dead_id: DeadLetterId, delivery_id: DeliveryId) -> bool:
    """Notes what a dead letter became; False when it was replayed before."""
    return conn.execute(_MARK_REPLAYED, {"dead_id": dead_id, "new_id": delivery_id}).rowcount == 1


def _is_dead(tenant_id: TenantId) -> ColumnElement[bool]:
    return and_(deliveries.c.tenant_id == tenant_id, deliveries.c.state == DEAD)


def _alert_of(row: RowMapping) -> Alert:
    values = {name: row[name] for name in Alert.__slots__}
    return Alert(**{**values, "status": AlertStatus(row["status"]), "severity": Severity(row["severity"])})


def _notification_of(row: RowMapping) -> Notification:
    return Notification(**{**{name: row[name] for name in Notification.__slots__}, "status": AlertStatus(row["status"])})


def _dead_letter_of(row: RowMapping) -> DeadLetter:
    return DeadLetter(**{**{name: row[name] for name in DeadLetter.__slots__}, "sent_by": tuple(row["sent_by"] or ())})
