"""API tokens: only their SHA-256, which is enough for 256 random bits and cheap enough for every request."""

from sqlalchemy import Column, Index, Table

from bcce.storage.metadata import metadata
from bcce.storage.types import Id, Name, UtcDateTime, tenant_column

tokens = Table(
    "tokens",
    metadata,
    Column("id", Id(), primary_key=True),
    tenant_column(),
    Column("kind", Name(16), nullable=False),
    Column("name", Name(120), nullable=False),
    Column("role", Name(32)),
    Column("owner", Name(120)),
    Column("provider", Name(64)),
    Column("source", Name(64)),
    Column("prefix", Name(16), nullable=False),
    Column("hash", Name(64), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("created_by", Name(160), nullable=False),
    Column("expires_at", UtcDateTime()),
    Column("revoked_at", UtcDateTime()),
    Column("last_used_at", UtcDateTime()),
    Index("ix_tokens_hash", "hash", unique=True),
)
