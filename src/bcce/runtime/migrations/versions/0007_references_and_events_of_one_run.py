"""Secret inputs that were given references, and an index by which the events of one run are found."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column, where all that was there before are values, and the index."""
    column: sa.Column[bool] = sa.Column("is_reference", sa.Boolean(create_constraint=False), nullable=False, server_default=sa.false())
    op.add_column("secret_inputs", column)
    op.create_index("ix_outbox_correlation", "outbox", ["correlation_id"])
