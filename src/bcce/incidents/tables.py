"""Incidents, the episodes of alerts that belong to them, and what happened to them."""

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, Table

from bcce.storage.metadata import metadata
from bcce.storage.types import Id, Json, LongText, Name, UtcDateTime, tenant_column

incidents = Table(
    "incidents",
    metadata,
    Column("id", Id(), primary_key=True),
    tenant_column(),
    Column("title", LongText(), nullable=False),
    Column("severity", Name(16), nullable=False),
    Column("state", Name(32), nullable=False),
    Column("service", Name(200)),
    Column("host", Name(200)),
    Column("fingerprint", Name(64), nullable=False),
    Column("run_id", Id()),
    Column("opened_at", UtcDateTime(), nullable=False),
    Column("resolved_at", UtcDateTime()),
    Column("closed_at", UtcDateTime()),
    Column("summary", LongText()),
    Column("version", Integer, nullable=False),
    Index("ix_incidents_tenant_id_id", "tenant_id", "id"),
    Index("ix_incidents_tenant_id_state_id", "tenant_id", "state", "id"),
    Index("ix_incidents_tenant_id_fingerprint_opened_at", "tenant_id", "fingerprint", "opened_at"),
)

incident_alerts = Table(
    "incident_alerts",
    metadata,
    # An episode of an alert belongs to one incident; it is known by its start, because its number may change when an older one is
    # reported late.
    Column("alert_id", Id(), primary_key=True),
    Column("starts_at", UtcDateTime(), primary_key=True),
    Column("incident_id", Id(), nullable=False),
    tenant_column(),
    Column("episode", Integer, nullable=False),
    Column("added_at", UtcDateTime(), nullable=False),
    ForeignKeyConstraint(["incident_id"], ["incidents.id"]),
    Index("ix_incident_alerts_incident_id", "incident_id"),
)

incident_timeline = Table(
    "incident_timeline",
    metadata,
    Column("incident_id", Id(), primary_key=True),
    Column("seq", Integer, primary_key=True),
    tenant_column(),
    Column("at", UtcDateTime(), nullable=False),
    Column("actor", Name(200), nullable=False),
    Column("kind", Name(64), nullable=False),
    Column("text", LongText(), nullable=False),
    Column("data", Json(), nullable=False),
    ForeignKeyConstraint(["incident_id"], ["incidents.id"]),
)
