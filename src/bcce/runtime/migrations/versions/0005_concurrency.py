"""Concurrency groups."""

import sqlalchemy as sa
from alembic import op

from bcce.storage.types import Id, Name

revision = "0005"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables of concurrency groups."""
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
