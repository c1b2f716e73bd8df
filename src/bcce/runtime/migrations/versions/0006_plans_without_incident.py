"""Plans of runs that are about no incident, who started a run, and secret inputs."""

import sqlalchemy as sa
from alembic import op

from bcce.storage.types import Encrypted, Id, Json, Name, UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

#: The table as 0001 made it, for databases that can only change a column by copying the table.
_PLANS = sa.Table(
    "plans",
    sa.MetaData(),
    sa.Column("id", Id(), primary_key=True),
    sa.Column("tenant_id", Id(), nullable=False),
    sa.Column("incident_id", Id(), nullable=False),
    sa.Column("run_id", Id(), nullable=False),
    sa.Column("digest", Name(80), nullable=False),
    sa.Column("body", Json(), nullable=False),
    sa.Column("created_at", UtcDateTime(), nullable=False),
    sa.Index("ix_plans_incident", "tenant_id", "incident_id"),
)


def upgrade() -> None:
    """Lets a plan be for no incident, and adds the column and the table."""
    with op.batch_alter_table("plans", copy_from=_PLANS) as batch:
        batch.alter_column("incident_id", existing_type=Id(), nullable=True)
    op.add_column("runs", sa.Column("started_by", Name(255)))
    op.create_table(
        "secret_inputs",
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("name", Name(128), nullable=False),
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("value", Encrypted("secret_inputs.value"), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "name"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
    )
