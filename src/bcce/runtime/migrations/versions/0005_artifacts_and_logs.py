"""Artifacts and logs of runs."""

import sqlalchemy as sa
from alembic import op

from bcce.storage.types import CompressedBytes, Id, Json, Name, UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables of artifacts (contents, and which attempt of which step left them) and of what steps said."""
    op.create_table(
        "artifacts",
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("digest", Name(80), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("content", CompressedBytes(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "digest"),
    )
    op.create_table(
        "run_artifacts",
        sa.Column("id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("step_key", Name(255), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("kind", Name(16), nullable=False),
        sa.Column("name", Name(200), nullable=False),
        sa.Column("digest", Name(80), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("media_type", Name(100), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.ForeignKeyConstraint(["tenant_id", "digest"], ["artifacts.tenant_id", "artifacts.digest"]),
    )
    op.create_index("uq_run_artifacts_place", "run_artifacts", ["run_id", "step_key", "attempt", "kind", "name"], unique=True)
    op.create_index("ix_run_artifacts_digest", "run_artifacts", ["tenant_id", "digest"])
    op.create_table(
        "run_logs",
        sa.Column("event_id", Id(), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("step_key", Name(255), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("lines", Json(), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
    )
    op.create_index("ix_run_logs_attempt", "run_logs", ["run_id", "step_key", "attempt"])
