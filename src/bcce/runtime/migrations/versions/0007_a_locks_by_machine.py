"""Targets are locked by their machine and not by the digest of their configuration."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy import RowMapping

from bcce.execution.model import Target
from bcce.storage.types import Id, Json, Name, UtcDateTime

revision = "0007_a"
down_revision = "0007_b"
branch_labels = None
depends_on = None

_UNDER_WAY = ("cleared", "started", "indeterminate")


def upgrade() -> None:
    """Replaces the table. What is under way, or cannot be known, keeps its target."""
    conn = op.get_bind()
    before = sa.table("target_locks", *(sa.column(name) for name in ("tenant_id", "dispatch_id")), sa.column("acquired_at", UtcDateTime()))
    known = sa.table("dispatches", sa.column("id"), sa.column("state"), sa.column("target", Json()))
    query = (
        sa.select(before.c.tenant_id, before.c.dispatch_id, before.c.acquired_at, known.c.state, known.c.target)
        .join(known, known.c.id == before.c.dispatch_id)
        .where(known.c.state.in_(_UNDER_WAY))
    )
    held = sorted(conn.execute(query).mappings(), key=_standing)
    op.drop_table("target_locks")
    after = op.create_table(
        "target_locks",
        sa.Column("tenant_id", Id(), nullable=False),
        sa.Column("lock_key", Name(80), nullable=False),
        sa.Column("dispatch_id", Id(), nullable=False),
        sa.Column("acquired_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "lock_key"),
    )
    op.create_index("ix_target_locks_dispatch", "target_locks", ["dispatch_id"])
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for lock in held:
        # As this release computes it, and not as the first one with this table did: a lock counts only under the key that is asked for.
        for key in Target(**{**lock["target"], "host_keys": tuple(lock["target"]["host_keys"])}).lock_keys:
            row = {"tenant_id": lock["tenant_id"], "lock_key": key, "dispatch_id": lock["dispatch_id"], "acquired_at": lock["acquired_at"]}
            rows.setdefault((lock["tenant_id"], key), row)
    if rows:
        op.bulk_insert(after, list(rows.values()))


def _standing(lock: RowMapping) -> tuple[bool, datetime]:
    """Of two on one machine the one that only a person can settle comes first, then the one that had its lock first."""
    return lock["state"] != "indeterminate", lock["acquired_at"]
