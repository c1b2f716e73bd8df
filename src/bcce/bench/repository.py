"""What the benchmarks ask of the engine's tables."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, func, select

from bcce.kit.ids import RunId
from bcce.workflows.model import RunState
from bcce.workflows.tables import runs


def count_completed(conn: Connection, workflow: str) -> int:
    """How many runs of the workflow ended well."""
    query = select(func.count()).where(runs.c.workflow == workflow, runs.c.state == RunState.COMPLETED)
    return conn.execute(query).scalar_one()


def count_unparked(conn: Connection) -> int:
    """How many active runs have not been looked at since their last fact."""
    return conn.execute(select(func.count()).where(runs.c.state == RunState.ACTIVE, runs.c.seen_seq != runs.c.wake_seq)).scalar_one()


def last_end(conn: Connection, run_ids: Sequence[RunId]) -> datetime:
    """When the last of the runs ended."""
    found = conn.execute(select(runs.c.ended_at).where(runs.c.id.in_(run_ids))).scalars()
    return max((moment for moment in found if moment is not None), default=datetime.min.replace(tzinfo=UTC))
