"""Of which run a run is a re-run and from which step, and an index on the runs that a run started."""

import sqlalchemy as sa
from alembic import op

from bcce.storage.types import Id, Name

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns and the index."""
    op.add_column("runs", sa.Column("rerun_of", Id()))
    op.add_column("runs", sa.Column("rerun_from", Name(64)))
    given = sa.text("parent_id IS NOT NULL")
    op.create_index("ix_runs_parent", "runs", ["parent_id"], sqlite_where=given, postgresql_where=given)
