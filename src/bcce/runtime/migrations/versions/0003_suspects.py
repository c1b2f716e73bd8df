"""In what company a run may be tried again, and how a run that has ended is told to the one that started it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns and indexes; a run that has ended and whose parent still waits for it is to be told of."""
    for name in ("company", "deaths"):
        op.add_column("runs", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    owned, suspect = sa.text("lease_owner IS NOT NULL"), sa.text("suspect")
    op.create_index("ix_runs_owner", "runs", ["lease_owner"], unique=False, sqlite_where=owned, postgresql_where=owned)
    op.create_index("ix_runs_suspect", "runs", ["suspect"], unique=False, sqlite_where=sa.text("suspect = 1"), postgresql_where=suspect)
    op.execute(
        "UPDATE runs SET wake_at = ended_at WHERE parent_id IS NOT NULL AND ended_at IS NOT NULL "
        "AND id IN (SELECT name FROM gates WHERE kind = 'run' AND state = 'open')"
    )
