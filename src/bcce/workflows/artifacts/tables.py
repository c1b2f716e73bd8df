"""The tables of artifacts: contents by digest, and which attempt of which step left them."""

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, Table

from bcce.storage.metadata import metadata
from bcce.storage.types import CompressedBytes, Id, Name, UtcDateTime, tenant_column

artifacts = Table(
    "artifacts",
    metadata,
    Column("tenant_id", Id(), primary_key=True),
    Column("digest", Name(80), primary_key=True),
    Column("bytes", Integer, nullable=False),
    Column("content", CompressedBytes(), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
)

#: `step_key` is empty and `attempt` 0 for the run's own outputs.
run_artifacts = Table(
    "run_artifacts",
    metadata,
    Column("id", Id(), primary_key=True),
    tenant_column(),
    Column("run_id", Id(), nullable=False),
    Column("step_key", Name(255), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("kind", Name(16), nullable=False),
    Column("name", Name(200), nullable=False),
    Column("digest", Name(80), nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("media_type", Name(100), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    ForeignKeyConstraint(["run_id"], ["runs.id"]),
    ForeignKeyConstraint(["tenant_id", "digest"], ["artifacts.tenant_id", "artifacts.digest"]),
    Index("uq_run_artifacts_place", "run_id", "step_key", "attempt", "kind", "name", unique=True),
    Index("ix_run_artifacts_digest", "tenant_id", "digest"),
)
