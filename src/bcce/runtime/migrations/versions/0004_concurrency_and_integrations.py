"""Concurrency groups and integrations."""

import sqlalchemy as sa
from alembic import op

from bcce.storage.types import Id, Json, Name, UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables of concurrency groups and integrations."""
    op.create_table(
        "concurrency_groups",
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("name", Name(255), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name"),
    )
    op.create_table(
        "concurrency_places",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("group_name", Name(255), nullable=False),
        sa.Column("at_most", sa.Integer(), nullable=False),
        sa.Column("cancels", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("has_turn", sa.Boolean(create_constraint=False), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("uq_concurrency_places_run", "concurrency_places", ["run_id"], unique=True)
    op.create_index("ix_concurrency_places_group", "concurrency_places", ["tenant_id", "group_name", "has_turn", "number"])
    cancels = ["tenant_id", "group_name", "has_turn", "cancels", "number"]
    op.create_index("ix_concurrency_places_cancels", "concurrency_places", cancels)
    op.create_table(
        "integration_lanes",
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("connector", Name(128), nullable=False),
        sa.Column("events", Json(), nullable=False),
        sa.Column("is_open", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("opened", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", UtcDateTime()),
        sa.Column("wake_at", UtcDateTime()),
        sa.Column("error", Json()),
        sa.Column("lease_owner", Id()),
        sa.Column("lease_until", UtcDateTime()),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("run_id", "number"),
    )
    op.create_index("ix_integration_lanes_open", "integration_lanes", ["is_open"])
    op.create_table(
        "integration_deliveries",
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", Id(), nullable=False),
        sa.Column("type", Name(64), nullable=False),
        sa.Column("state", Name(16), nullable=False),
        sa.Column("error", Json()),
        sa.Column("settled_at", UtcDateTime()),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("run_id", "number", "position"),
    )
    op.create_index("ix_integration_deliveries_state", "integration_deliveries", ["state", "run_id", "number"])
