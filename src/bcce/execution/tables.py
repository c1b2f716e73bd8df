"""Dispatches, and which of them has a target for itself."""

from sqlalchemy import Column, Index, Integer, Table

from bcce.storage.metadata import metadata
from bcce.storage.types import Id, Json, LongText, Name, UtcDateTime, tenant_column

dispatches = Table(
    "dispatches",
    metadata,
    Column("id", Id(), primary_key=True),
    tenant_column(),
    Column("run_id", Id(), nullable=False),
    Column("step_key", Name(255), nullable=False),
    Column("incident_id", Id()),
    Column("key", Id(), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("target_name", Name(128), nullable=False),
    Column("target", Json(), nullable=False),
    Column("target_digest", Name(80), nullable=False),
    Column("script_digest", Name(80), nullable=False),
    Column("parameters_digest", Name(80), nullable=False),
    Column("approval_digest", Name(80), nullable=False),
    Column("clearance_id", Id(), nullable=False),
    Column("state", Name(16), nullable=False),
    Column("exit_code", Integer),
    Column("output_excerpt", LongText()),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("started_at", UtcDateTime()),
    Column("ended_at", UtcDateTime()),
    # One row for each key: the database's half of "at most once".
    Index("uq_dispatches_key", "key", unique=True),
    Index("ix_dispatches_run_step", "run_id", "step_key"),
    Index("ix_dispatches_tenant_created", "tenant_id", "created_at", "id"),
    Index("ix_dispatches_incident", "tenant_id", "incident_id"),
)

#: A dispatch holds one row for each of its target's `lock_keys`.
machine_locks = Table(
    "machine_locks",
    metadata,
    Column("tenant_id", Id(), primary_key=True),
    Column("lock_key", Name(80), primary_key=True),
    Column("dispatch_id", Id(), nullable=False),
    Column("acquired_at", UtcDateTime(), nullable=False),
    Index("ix_machine_locks_dispatch", "dispatch_id"),
)
