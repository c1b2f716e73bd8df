"""Targets are locked by their machine and not by the digest of their configuration."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy import RowMapping

from bcce.execution.model import Target
from bcce.storage.types import Id, Json, Name, UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_UNDER_WAY = ("cleared", "started", "indeterminate")


def upgrade() -> None:
    """Makes the new table from the dispatches. What is under way, or cannot be known, keeps its target.

    May be cut off anywhere and done again: MariaDB commits each change of the schema by itself, and no lock may be lost by that.
    """
    conn = op.get_bind()
    if not sa.inspect(conn).has_table("machine_locks"):
        op.create_table(
            "machine_locks",
            sa.Column("tenant_id", Id(), nullable=False),
            sa.Column("lock_key", Name(80), nullable=False),
            sa.Column("dispatch_id", Id(), nullable=False),
            sa.Column("acquired_at", UtcDateTime(), nullable=False),
            sa.PrimaryKeyConstraint("tenant_id", "lock_key"),
            sa.Index("ix_machine_locks_dispatch", "dispatch_id"),
        )
    names = ("id", "tenant_id", "state")
    known = sa.table("dispatches", *map(sa.column, names), sa.column("created_at", UtcDateTime()), sa.column("target", Json()))
    held = sorted(conn.execute(sa.select(known).where(known.c.state.in_(_UNDER_WAY))).mappings(), key=_standing)
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for dispatch in held:
        # As this release computes it, and not as the first one with this table did: a lock counts only under the key that is asked for.
        for key in Target(**{**dispatch["target"], "host_keys": tuple(dispatch["target"]["host_keys"])}).lock_keys:
            row = {
                "tenant_id": dispatch["tenant_id"],
                "lock_key": key,
                "dispatch_id": dispatch["id"],
                "acquired_at": dispatch["created_at"],
            }
            rows.setdefault((dispatch["tenant_id"], key), row)
    locks = sa.table("machine_locks", *map(sa.column, ("tenant_id", "lock_key", "dispatch_id")), sa.column("acquired_at", UtcDateTime()))
    conn.execute(sa.delete(locks))
    if rows:
        op.bulk_insert(locks, list(rows.values()))
    op.drop_table("target_locks", if_exists=True)


def _standing(dispatch: RowMapping) -> tuple[bool, datetime]:
    """Of two on one machine the one that only a person can settle comes first, then the one that was made first."""
    return dispatch["state"] != "indeterminate", dispatch["created_at"]
