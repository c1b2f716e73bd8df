"""Every query on the tables of concurrency groups. Synchronous: each function works inside the caller's transaction.

The order of locks is group, then at most one run, then places. Whoever has locked a run never locks a group, but for the one that no run
stands in, which is locked last of all (`deadlocks`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, and_, case, delete, false, func, insert, select, true, update

from bcce.kit.ids import RunId, TenantId
from bcce.storage.types import db_now
from bcce.storage.upsert import upsert
from bcce.workflows.concurrency.tables import groups, places
from bcce.workflows.model import RunState
from bcce.workflows.repository import CHILD_GATE, ENDED, LIVE
from bcce.workflows.tables import gates, runs

#: States in which a run that has had its turn keeps its place.
KEEPS_PLACE = (RunState.ACTIVE, RunState.PAUSED, RunState.NEEDS_UPGRADE)
#: How many runs are cancelled between two looks at the group.
_BATCH = 100

_MAKE_GROUP = upsert(groups, keys=["tenant_id", "name"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A run's place in its group: `number` grows from run to run; `has_turn`: it need not wait any more."""

    number: int
    run_id: RunId
    tenant_id: TenantId
    group_name: str
    at_most: int
    cancels: bool
    has_turn: bool


def enter(conn: Connection, *, run_id: RunId, tenant_id: TenantId, group: str, at_most: int, cancels: bool) -> None:
    """Puts a run at the end of its group; a place that it had before is gone."""
    conn.execute(delete(places).where(places.c.run_id == run_id))
    row = {"run_id": run_id, "tenant_id": tenant_id, "group_name": group, "at_most": at_most, "cancels": cancels, "has_turn": False}
    conn.execute(insert(places), [row])


def lock_group(conn: Connection, tenant_id: TenantId, group: str) -> None:
    """Makes whoever else decides about the group wait for this transaction's end."""
    conn.execute(_MAKE_GROUP, {"tenant_id": tenant_id, "name": group})
    conn.execute(select(groups.c.name).where(groups.c.tenant_id == tenant_id, groups.c.name == group).with_for_update())


def place_of(conn: Connection, run_id: RunId) -> Place | None:
    """The run's place; None when it has none."""
    row = conn.execute(select(places).where(places.c.run_id == run_id)).mappings().first()
    return _place(row) if row else None


def taken(conn: Connection, tenant_id: TenantId, group: str) -> int:
    """How many runs have their turn; forgets the places of those that are over."""
    mine = (places.c.tenant_id == tenant_id, places.c.group_name == group, places.c.has_turn)
    query = select(places.c.number, runs.c.state).join(runs, runs.c.id == places.c.run_id).where(*mine)
    found = conn.execute(query).all()
    forget(conn, [row.number for row in found if row.state not in KEEPS_PLACE])
    return sum(row.state in KEEPS_PLACE for row in found)


def first_waiting(conn: Connection, tenant_id: TenantId, group: str) -> Place | None:
    """Who is next; None when nobody waits. Forgets the places before it of runs that ended without a turn."""
    mine = (places.c.tenant_id == tenant_id, places.c.group_name == group, places.c.has_turn == false())
    joined = select(places).join(runs, runs.c.id == places.c.run_id).where(*mine).order_by(places.c.number)
    row = conn.execute(joined.where(runs.c.state == RunState.QUEUED).limit(1)).mappings().first()
    over = joined.with_only_columns(places.c.number).where(runs.c.state.not_in([*KEEPS_PLACE, RunState.QUEUED])).limit(_BATCH)
    forget(conn, list(conn.execute(over if row is None else over.where(places.c.number < row["number"])).scalars()))
    return _place(row) if row else None


def newest_canceller(conn: Connection, tenant_id: TenantId, group: str) -> Place | None:
    """The last of those who wait and let nobody go on before them; None when there is none."""
    query = select(places).join(runs, runs.c.id == places.c.run_id)
    # As the index has it: with `IS` not every database would use it.
    mine = (places.c.tenant_id == tenant_id, places.c.group_name == group, places.c.has_turn == false(), places.c.cancels == true())
    query = query.where(*mine, runs.c.state == RunState.QUEUED, runs.c.cancel_at.is_(None))
    row = conn.execute(query.order_by(places.c.number.desc()).limit(1)).mappings().first()
    return _place(row) if row else None


def in_the_way(conn: Connection, newest: Place) -> list[RunId]:
    """Some of the runs before `newest` that nobody has cancelled yet."""
    query = select(places.c.run_id).join(runs, runs.c.id == places.c.run_id)
    mine = (places.c.tenant_id == newest.tenant_id, places.c.group_name == newest.group_name, places.c.number < newest.number)
    uncancelled = query.where(*mine, runs.c.state.in_(LIVE), runs.c.cancel_at.is_(None))
    return [RunId(run_id) for run_id in conn.execute(uncancelled.order_by(places.c.number).limit(_BATCH)).scalars()]


def let_go(conn: Connection, place: Place) -> bool:
    """Gives a waiting run its turn; False when it waits no longer."""
    waits = and_(runs.c.id == place.run_id, runs.c.state == RunState.QUEUED)
    turn = {"state": RunState.ACTIVE, "wake_seq": runs.c.wake_seq + 1, "wake_at": db_now()}
    if conn.execute(update(runs).where(waits).values(**turn)).rowcount != 1:
        return False
    conn.execute(update(places).where(places.c.number == place.number).values(has_turn=True))
    return True


def forget(conn: Connection, numbers: Collection[int]) -> None:
    """Deletes places, if they are still these: a run that is tried again gets another number."""
    if numbers:
        conn.execute(delete(places).where(places.c.number.in_(sorted(numbers))))


def movable(conn: Connection) -> list[tuple[TenantId, str]]:
    """The groups in which somebody waits who could go, or who cancels others."""
    key = (places.c.tenant_id, places.c.group_name)
    cancels = and_(places.c.cancels, runs.c.cancel_at.is_(None))
    waiting = (
        select(*key, func.min(places.c.number).label("first"), func.max(case((cancels, 1), else_=0)).label("cancels"))
        .join(runs, runs.c.id == places.c.run_id)
        .where(runs.c.state == RunState.QUEUED, places.c.has_turn.is_(False))
        .group_by(*key)
    )
    waits = conn.execute(waiting).all()
    if not waits:
        return []
    held = select(*key, func.count().label("taken")).join(runs, runs.c.id == places.c.run_id).group_by(*key)
    counts = {
        (row.tenant_id, row.group_name): row.taken for row in conn.execute(held.where(places.c.has_turn, runs.c.state.in_(KEEPS_PLACE)))
    }
    firsts = [row.first for row in waits]
    limits: dict[int, int] = {}
    for at in range(0, len(firsts), _BATCH):
        some = select(places.c.number, places.c.at_most).where(places.c.number.in_(firsts[at : at + _BATCH]))
        limits |= {row.number: row.at_most for row in conn.execute(some)}
    return [
        (TenantId(row.tenant_id), row.group_name)
        for row in waits
        if row.cancels or counts.get((row.tenant_id, row.group_name), 0) < limits.get(row.first, 0)
    ]


def ahead(conn: Connection, place: Place) -> int:
    """How many runs of the group come before this one, those that have their turn among them."""
    query = select(func.count()).select_from(places).join(runs, runs.c.id == places.c.run_id)
    mine = (places.c.tenant_id == place.tenant_id, places.c.group_name == place.group_name, places.c.number < place.number)
    return int(conn.execute(query.where(*mine, runs.c.state.in_([*LIVE, RunState.NEEDS_UPGRADE]))).scalar_one())


def groups_of(conn: Connection, run_ids: Sequence[RunId]) -> Mapping[RunId, str]:
    """The groups of those of the runs that have a place."""
    query = select(places.c.run_id, places.c.group_name).where(places.c.run_id.in_(list(run_ids)))
    return {RunId(row.run_id): row.group_name for row in conn.execute(query)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Awaited:
    """A run that `by` waits for; `group` is None when it has no turn to wait for, else of `at_most` runs there it would be one."""

    run_id: RunId
    by: RunId
    group: str | None
    at_most: int


def holders_of_full(conn: Connection, tenant_id: TenantId, group: str, at_most: int) -> list[RunId]:
    """The runs that have their turn, if one of them has to end before anybody else gets one; none when that may come about otherwise."""
    mine = (places.c.tenant_id == tenant_id, places.c.group_name == group, places.c.has_turn)
    query = select(places.c.run_id, runs.c.cancel_at).join(runs, runs.c.id == places.c.run_id).where(*mine, runs.c.state.in_(KEEPS_PLACE))
    rows = conn.execute(query).all()
    waiting = (places.c.tenant_id == tenant_id, places.c.group_name == group, places.c.has_turn == false(), runs.c.state == RunState.QUEUED)
    first = select(places.c.at_most).join(runs, runs.c.id == places.c.run_id).where(*waiting).order_by(places.c.number).limit(1)
    is_full = len(rows) >= (conn.execute(first).scalar() or at_most)
    if not is_full or any(row.cancel_at is not None for row in rows) or newest_canceller(conn, tenant_id, group) is not None:
        return []
    return [RunId(row.run_id) for row in rows]


def awaited_by(conn: Connection, run_ids: Sequence[RunId]) -> list[Awaited]:
    """The runs that `run_ids` have started and wait for, but for those that are over or being cancelled."""
    found: list[Awaited] = []
    turnless = and_(places.c.run_id == runs.c.id, places.c.has_turn == false(), runs.c.state == RunState.QUEUED)
    query = (
        select(gates.c.run_id.label("by"), runs.c.id, places.c.group_name, places.c.at_most)
        .join(runs, runs.c.id == gates.c.name)
        .outerjoin(places, turnless)
        .where(gates.c.kind == CHILD_GATE, gates.c.state == "open", runs.c.state.not_in(ENDED), runs.c.cancel_at.is_(None))
    )
    for at in range(0, len(run_ids), _BATCH):
        rows = conn.execute(query.where(gates.c.run_id.in_(run_ids[at : at + _BATCH])))
        found += [Awaited(run_id=RunId(row.id), by=RunId(row.by), group=row.group_name, at_most=row.at_most or 0) for row in rows]
    return found


def waits_for(conn: Connection, run_id: RunId, child_id: RunId) -> bool:
    """Whether a run waits for the end of one that it started."""
    query = select(gates.c.id).where(
        gates.c.run_id == run_id, gates.c.kind == CHILD_GATE, gates.c.name == child_id, gates.c.state == "open"
    )
    return conn.execute(query).first() is not None


def _place(row: RowMapping) -> Place:
    return Place(**{name: row[name] for name in Place.__slots__})
