"""The audit log's tables. Records are only ever inserted; `seq` and `chain` are filled in once, by the sequencer."""

from sqlalchemy import BigInteger, Column, Index, Table

from bcce.storage.metadata import metadata
from bcce.storage.types import Id, Json, Name, UtcDateTime, tenant_column

audit = Table(
    "audit",
    metadata,
    Column("id", Id(), primary_key=True),
    tenant_column(),
    Column("at", UtcDateTime(), nullable=False),
    Column("actor", Name(160), nullable=False),
    Column("action", Name(64), nullable=False),
    Column("subject", Name(160), nullable=False),
    Column("body", Json(), nullable=False),
    Column("correlation_id", Id()),
    Column("digest", Name(64), nullable=False),
    Column("mac", Name(64), nullable=False),
    Column("seq", BigInteger),
    Column("chain", Name(64)),
    Index("ix_audit_seq", "seq"),
    Index("ix_audit_tenant_seq", "tenant_id", "seq", unique=True),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("tenant_id", Id(), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("chain", Name(64), nullable=False),
)
