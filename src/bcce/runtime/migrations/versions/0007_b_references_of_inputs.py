"""Secret inputs that were given references."""

import sqlalchemy as sa
from alembic import op

revision = "0007_b"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column; what was there before are values."""
    column: sa.Column[bool] = sa.Column("is_reference", sa.Boolean(create_constraint=False), nullable=False, server_default=sa.false())
    op.add_column("secret_inputs", column)
