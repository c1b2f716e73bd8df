"""Every query on who asked for a run. Synchronous: each function works inside the caller's transaction.

All runs that one run has started, and those that they have, count as one: what one of them is told, the others may act on.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, select

from bcce.kit.ids import RunId, TenantId
from bcce.security.actor import Actor
from bcce.storage.upsert import upsert
from bcce.workflows import repository
from bcce.workflows.askers.tables import run_askers
from bcce.workflows.model import Run


class How(StrEnum):
    """What somebody did that made a run do what it does."""

    STARTED = "started"
    SIGNALLED = "signalled"
    RETRIED = "retried"
    #: It stops the run: whoever did this wants nothing, and who has the run tried again wants it against them.
    CANCELLED = "cancelled"


_ADD: Final = upsert(run_askers, keys=("run_id", "person", "how"))


def add_asker(conn: Connection, run: Run, actor: Actor, how: How, at: datetime) -> None:
    """Remembers what a person did to the run; nothing for an actor that is no person."""
    if actor.person is not None:
        _add(conn, run.tenant_id, outermost(conn, run).id, actor.person, how, at)


def add_refusal(conn: Connection, run: Run, actor: Actor, at: datetime) -> None:
    """Remembers that somebody or something has cancelled the run."""
    _add(conn, run.tenant_id, outermost(conn, run).id, actor.person or actor.id, How.CANCELLED, at)


def copy_askers(conn: Connection, source: Run, run_id: RunId, at: datetime) -> None:
    """Makes whoever asked for `source`, or cancelled it, one who did so with the run `run_id`, which repeats it."""
    for person, how in askers_of(conn, source):
        _add(conn, source.tenant_id, run_id, person, how, at)


def askers_of(conn: Connection, run: Run) -> frozenset[tuple[str, How]]:
    """Who did what to the outermost run; whoever started it among them, a person or not, and whoever cancelled it."""
    first = outermost(conn, run)
    rows = conn.execute(select(run_askers.c.person, run_askers.c.how).where(run_askers.c.run_id == first.id))
    found = {(str(row.person), How(row.how)) for row in rows}
    return frozenset(found | ({(first.started_by, How.STARTED)} if first.started_by is not None else set()))


def outermost(conn: Connection, run: Run) -> Run:
    """The run that no other run started, from which this one comes; the run itself when nothing is above it."""
    while run.parent_id is not None:
        above = repository.get_run(conn, run.parent_id)
        if above is None:
            break
        run = above
    return run


def _add(conn: Connection, tenant_id: TenantId, run_id: RunId, person: str, how: How, at: datetime) -> None:
    conn.execute(_ADD, {"run_id": run_id, "person": person, "how": str(how), "tenant_id": tenant_id, "at": at})
