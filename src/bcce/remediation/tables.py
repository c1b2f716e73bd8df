"""Plans, kept byte for byte: what was approved must be what is started, whatever masking does to step outputs."""

from sqlalchemy import Column, Index, Table

from bcce.storage.metadata import metadata
from bcce.storage.types import Id, Json, Name, UtcDateTime, tenant_column

plans = Table(
    "plans",
    metadata,
    Column("id", Id(), primary_key=True),
    tenant_column(),
    Column("incident_id", Id()),
    Column("run_id", Id(), nullable=False),
    Column("digest", Name(80), nullable=False),
    Column("body", Json(), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    Index("ix_plans_incident", "tenant_id", "incident_id"),
)
