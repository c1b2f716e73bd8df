"""What dead workers leave behind: their runs, which of those are suspect, and in what company each may be tried again.

Synchronous: each function works inside the caller's transaction. The columns: `suspect`, the run's worker died and nothing has cleared the
run since; `company`, how many suspects may be tried together with it, itself included; `deaths`, how many workers in a row died while they
held it, in any company; `crashes`, how many in a row died while they held nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select, bindparam, or_, select, true, update

from bcce.kit.ids import RunId
from bcce.storage.doors import Item
from bcce.storage.types import db_now
from bcce.workflows.model import KNOWN_FORMATS, RunState
from bcce.workflows.repository import LIVE
from bcce.workflows.tables import runs, workers

_PROGRESSED = update(runs).where(runs.c.id == bindparam("k_run")).values(crashes=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspect:
    """A run that is to be tried again with at most `company` suspects at once, itself included."""

    id: RunId
    wake_seq: int
    queue: str
    priority: int
    company: int
    deaths: int


def due_suspects(conn: Connection, limit: int, *, worker: str) -> list[Suspect]:
    """Suspects that are ready and that no other worker owns, the least suspicious first."""
    query = (
        select(runs.c.id, runs.c.wake_seq, runs.c.queue, runs.c.priority, runs.c.company, runs.c.deaths)
        .where(
            # As the index has it: with `IS` no database would use it.
            runs.c.suspect == true(),
            runs.c.state == RunState.ACTIVE,
            runs.c.wake_at <= db_now(),
            runs.c.definition_format.in_(sorted(KNOWN_FORMATS)),
            or_(runs.c.lease_owner.is_(None), runs.c.lease_owner == worker),
        )
        .order_by(runs.c.company.desc(), runs.c.deaths, runs.c.wake_at)
        .limit(limit)
    )
    return [Suspect(**row) for row in conn.execute(query).mappings()]


def clear(conn: Connection, run_ids: Sequence[RunId], worker: str) -> None:
    """Lifts the suspicion from runs that `worker` advances; how many workers died with them stays known until they park or end."""
    conn.execute(update(runs).where(runs.c.id.in_(run_ids), runs.c.lease_owner == worker).values(suspect=False, company=0))


def dead_owners(conn: Connection, worker: str) -> list[str]:
    """Workers other than `worker` that own runs and whose lease is over."""
    alive = select(workers.c.id).where(workers.c.lease_until > db_now())
    owner = runs.c.lease_owner
    query = select(owner).where(owner.is_not(None), owner != worker, owner.not_in(alive)).distinct()
    return list(conn.execute(query).scalars())


def take_from_dead(conn: Connection, worker: str) -> dict[str, int]:
    """Frees what dead workers other than `worker` own, and makes it suspect; how many runs each of them had, by id.

    The epoch moves on, so a worker that is believed dead and is not can no longer write.
    """
    found: dict[str, int] = {}
    for owner in dead_owners(conn, worker):
        held = conn.execute(_held(owner)).scalars().all()
        if not held:
            continue
        found[owner] = len(held)
        blame = {
            "suspect": True,
            "company": max(1, len(held) // 2),
            "deaths": runs.c.deaths + 1,
            # Only who was alone is certainly the cause, or at least the only one that it can have been.
            "crashes": runs.c.crashes + (1 if len(held) == 1 else 0),
        }
        free = {"epoch": runs.c.epoch + 1, "lease_owner": None, "wake_at": db_now()}
        conn.execute(update(runs).where(runs.c.id.in_(held)).values(**blame, **free))
    conn.execute(workers.delete().where(workers.c.lease_until <= db_now(), workers.c.id != worker))
    return found


def _held(owner: str) -> Select[tuple[str]]:
    return select(runs.c.id).where(runs.c.lease_owner == owner, runs.c.state.in_(LIVE)).order_by(runs.c.id).with_for_update()


def progressed(run_id: RunId) -> Item:
    """A step of the run has ended, so whatever its workers died of, it gets on."""
    return _PROGRESSED, {"k_run": run_id}


def forget_worker(conn: Connection, worker: str) -> None:
    """A worker that ends in order: what it still owned was cut off and not the end of it, so nobody is suspect."""
    held = conn.execute(_held(worker)).scalars().all()
    if held:
        conn.execute(update(runs).where(runs.c.id.in_(held)).values(epoch=runs.c.epoch + 1, lease_owner=None, wake_at=db_now()))
    conn.execute(workers.delete().where(workers.c.id == worker))


def forget_all_workers(conn: Connection) -> None:
    """Deletes every worker; only right when no other process can have this database."""
    conn.execute(workers.delete())
