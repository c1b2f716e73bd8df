"""The tables of integrations: for each run and connector its lane, and for each event in a lane its delivery."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKeyConstraint, Index, Integer, Table

from bcce.storage.metadata import metadata
from bcce.storage.types import Id, Json, Name, UtcDateTime, tenant_column

lanes = Table(
    "integration_lanes",
    metadata,
    Column("run_id", Id(), primary_key=True),
    # Which of the file's integrations it is, from 0.
    Column("number", Integer, primary_key=True, autoincrement=False),
    tenant_column(),
    Column("connector", Name(128), nullable=False),
    Column("events", Json(), nullable=False),
    # False: the run is over, and all its events have been looked at.
    Column("is_open", Boolean(create_constraint=False), nullable=False),
    # How often the run was made to go on after its end.
    Column("opened", Integer, nullable=False),
    # How often the lane's first event has failed, since when, and when it is tried again.
    Column("failures", Integer, nullable=False),
    Column("failing_since", UtcDateTime()),
    Column("wake_at", UtcDateTime()),
    Column("error", Json()),
    # Who delivers just now, and until when nobody else does.
    Column("lease_owner", Id()),
    Column("lease_until", UtcDateTime()),
    ForeignKeyConstraint(["run_id"], ["runs.id"]),
    Index("ix_integration_lanes_open", "is_open"),
)

deliveries = Table(
    "integration_deliveries",
    metadata,
    Column("run_id", Id(), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    # The event's place in the outbox.
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", Id(), nullable=False),
    Column("type", Name(64), nullable=False),
    Column("state", Name(16), nullable=False),
    Column("error", Json()),
    Column("settled_at", UtcDateTime()),
    ForeignKeyConstraint(["run_id"], ["runs.id"]),
    Index("ix_integration_deliveries_state", "state", "run_id", "number"),
)
