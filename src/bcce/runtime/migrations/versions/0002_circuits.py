"""Circuit breakers."""

import sqlalchemy as sa
from alembic import op

from bcce.storage.types import Id, Json, Name, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table of circuits."""
    op.create_table(
        "circuits",
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("name", Name(320), nullable=False),
        sa.Column("state", Name(16), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("failed_at", Json(), nullable=False),
        sa.Column("until", UtcDateTime()),
        sa.PrimaryKeyConstraint("tenant_id", "name"),
    )
