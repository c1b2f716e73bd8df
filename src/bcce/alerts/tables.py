"""Deliveries as they came, the alerts that they add up to, each alert's episodes, and every notification in between."""

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, Table

from bcce.alerts.model import MAX_NAME
from bcce.storage.metadata import metadata
from bcce.storage.types import CompressedBytes, Id, Json, LongText, Name, UtcDateTime, tenant_column

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Id(), primary_key=True),
    tenant_column(),
    Column("provider", Name(64), nullable=False),
    Column("source", Name(64), nullable=False),
    Column("received_at", UtcDateTime(), nullable=False),
    Column("digest", Name(80), nullable=False),
    Column("body", CompressedBytes(), nullable=False),
    Column("state", Name(16), nullable=False),
    Column("reason", LongText()),
    Column("alert_count", Integer, nullable=False),
    Column("truncated", Integer, nullable=False),
    Column("correlation_id", Id(), nullable=False),
    Column("replayed_as", Id()),
    # The people whose tokens it came with; none for a monitor's.
    Column("sent_by", Json()),
    Index("ix_deliveries_tenant_id_state_id", "tenant_id", "state", "id"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Id(), primary_key=True),
    tenant_column(),
    Column("provider", Name(64), nullable=False),
    Column("source", Name(64), nullable=False),
    Column("fingerprint", Name(64), nullable=False),
    Column("name", Name(MAX_NAME), nullable=False),
    Column("status", Name(16), nullable=False),
    Column("severity", Name(16), nullable=False),
    Column("summary", LongText(), nullable=False),
    Column("description", LongText(), nullable=False),
    Column("host", Name(MAX_NAME)),
    Column("service", Name(MAX_NAME)),
    Column("environment", Name(MAX_NAME)),
    Column("labels", Json(), nullable=False),
    Column("annotations", Json(), nullable=False),
    Column("links", Json(), nullable=False),
    Column("starts_at", UtcDateTime(), nullable=False),
    Column("ends_at", UtcDateTime()),
    Column("first_seen_at", UtcDateTime(), nullable=False),
    Column("last_seen_at", UtcDateTime(), nullable=False),
    Column("times_seen", Integer, nullable=False),
    Column("delivery_id", Id(), nullable=False),
    # `model.precedence` of the notification whose state this row shows.
    Column("precedence", Name(128), nullable=False),
    Index("ix_alerts_tenant_id_starts_at_id", "tenant_id", "starts_at", "id"),
    Index("ix_alerts_tenant_id_status_starts_at_id", "tenant_id", "status", "starts_at", "id"),
    Index("ix_alerts_tenant_id_name_starts_at_id", "tenant_id", "name", "starts_at", "id"),
)

# Which different starts were reported. A count inside `alerts` could not tell a late old start from one that is counted already
# without reading first.
alert_episodes = Table(
    "alert_episodes",
    metadata,
    Column("alert_id", Id(), primary_key=True),
    Column("starts_at", UtcDateTime(), primary_key=True),
    tenant_column(),
)

alert_notifications = Table(
    "alert_notifications",
    metadata,
    Column("delivery_id", Id(), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    tenant_column(),
    Column("alert_id", Id(), nullable=False),
    Column("status", Name(16), nullable=False),
    Column("starts_at", UtcDateTime(), nullable=False),
    Column("ends_at", UtcDateTime()),
    ForeignKeyConstraint(["delivery_id"], ["deliveries.id"]),
    Index("ix_alert_notifications_alert_id_delivery_id_ordinal", "alert_id", "delivery_id", "ordinal"),
)
