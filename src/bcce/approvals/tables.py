"""Requests to agree to a script, and what people said about them."""

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, Table

from bcce.storage.metadata import metadata
from bcce.storage.types import Id, Json, LongText, Name, UtcDateTime, tenant_column

#: No foreign key to `runs`: approvals know the engine only through the function that records a fact.
approvals = Table(
    "approvals",
    metadata,
    Column("id", Id(), primary_key=True),
    tenant_column(),
    Column("run_id", Id(), nullable=False),
    Column("gate_id", Id(), nullable=False),
    Column("incident_id", Id()),
    Column("digest", Name(80), nullable=False),
    Column("title", Name(255), nullable=False),
    Column("shown", Json(), nullable=False),
    Column("reasons", Json(), nullable=False),
    Column("required_count", Integer, nullable=False),
    Column("requested_by", Name(255), nullable=False),
    Column("asked_by", Json()),
    Column("state", Name(16), nullable=False),
    Column("requested_at", UtcDateTime(), nullable=False),
    Column("expires_at", UtcDateTime(), nullable=False),
    Column("decided_at", UtcDateTime()),
    Column("correlation_id", Id()),
    Index("ix_approvals_tenant_requested", "tenant_id", "requested_at", "id"),
    Index("ix_approvals_state_expires", "state", "expires_at"),
    Index("ix_approvals_gate", "gate_id"),
)

#: `actor_id` is the person and not one of their tokens: nobody's word counts twice.
approval_decisions = Table(
    "approval_decisions",
    metadata,
    Column("approval_id", Id(), primary_key=True),
    Column("actor_id", Name(255), primary_key=True),
    tenant_column(),
    Column("actor_name", Name(255), nullable=False),
    Column("decision", Name(16), nullable=False),
    Column("comment", LongText(), nullable=False),
    Column("digest_seen", Name(80), nullable=False),
    Column("decided_at", UtcDateTime(), nullable=False),
    ForeignKeyConstraint(["approval_id"], ["approvals.id"]),
)
