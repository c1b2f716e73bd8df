"""With which run a run is paused that did not ask for it itself."""

import sqlalchemy as sa
from alembic import op

from bcce.storage.types import Id

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column."""
    op.add_column("runs", sa.Column("paused_with", Id()))
