"""Who sent an alert, who asked for a run besides the one who started it, and whose a token is."""

import sqlalchemy as sa
from alembic import op

from bcce.storage.types import Id, Json, Name, UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns and the table."""
    op.add_column("tokens", sa.Column("owner", Name(120)))
    op.add_column("deliveries", sa.Column("sent_by", Json()))
    op.add_column("approvals", sa.Column("asked_by", Json()))
    op.create_table(
        "run_askers",
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("person", Name(255), nullable=False),
        sa.Column("how", Name(16), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "person", "how"),
    )
