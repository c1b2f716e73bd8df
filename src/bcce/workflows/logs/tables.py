"""The table of what steps said."""

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, Table

from bcce.storage.metadata import metadata
from bcce.storage.types import Id, Json, Name, tenant_column

#: Lines that were stored together, under the event that was published with them: its position is theirs.
run_logs = Table(
    "run_logs",
    metadata,
    Column("event_id", Id(), primary_key=True),
    tenant_column(),
    Column("run_id", Id(), nullable=False),
    Column("step_key", Name(255), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("count", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("lines", Json(), nullable=False),
    ForeignKeyConstraint(["run_id"], ["runs.id"]),
    Index("ix_run_logs_attempt", "run_id", "step_key", "attempt"),
)
