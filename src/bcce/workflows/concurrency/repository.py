"""Every query on the tables of concurrency groups. Synchronous: each function works inside the caller's transaction.

The order of locks is group, then at most one run, then places. Whoever has locked a run never locks a group, but for the one that no run
stands in, which is locked last of all (`deadlocks`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import CTE, Connection, RowMapping, Select, and_, case, delete, false, func, insert, or_, select, true, update

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
#: Databases that find the names in an index by jumps when they are asked for distinct ones.
_JUMPING = ("mysql", "mariadb")

_MAKE_GROUP = upsert(groups, keys=["tenant_id", "name"])


def _names() -> CTE:
    """The names of all groups in which there is a place, by jumps from each to the next: only one row of each is read."""
    key = (places.c.tenant_id, places.c.group_name)
    first = select(places.c.number).order_by(*key, places.c.has_turn, places.c.number).limit(1).scalar_subquery()
    names = select(*key).where(places.c.number == first).cte("names", recursive=True)
    after, row = places.alias("after"), places.alias("row")
    by_order = select(after.c.number).order_by(after.c.tenant_id, after.c.group_name, after.c.has_turn, after.c.number).limit(1)
    in_tenant = by_order.where(after.c.tenant_id == names.c.tenant_id, after.c.group_name > names.c.group_name)
    in_next = by_order.where(after.c.tenant_id > names.c.tenant_id)
    following = func.coalesce(in_tenant.correlate(names).scalar_subquery(), in_next.correlate(names).scalar_subquery())
    return names.union_all(select(row.c.tenant_id, row.c.group_name).join(names, row.c.number == following))


def _movable(names: CTE) -> Select[tuple[str, str]]:
    """The statement of `movable`: in each group whoever is first, and by subqueries, so that nothing is counted but who has a turn."""
    mine = (places.c.tenant_id == names.c.tenant_id, places.c.group_name == names.c.group_name)
    waiting = (*mine, places.c.has_turn == false())
    # A subquery for the state, so that no database begins with all the runs that are in it.
    state = select(runs.c.state).where(runs.c.id == places.c.run_id)
    number = select(places.c.number).where(*waiting).order_by(places.c.number).limit(1).correlate(names).scalar_subquery()
    is_held = state.scalar_subquery().in_(KEEPS_PLACE)
    held = select(func.count()).select_from(places).where(*mine, places.c.has_turn == true(), is_held).correlate(names).scalar_subquery()
    still_cancels = state.where(runs.c.cancel_at.is_(None)).scalar_subquery() == RunState.QUEUED
    cancellers = select(places.c.number).where(*waiting, places.c.cancels == true(), still_cancels).limit(1)
    for dialect in _JUMPING:
        # They would read all who wait, by the other index.
        cancellers = cancellers.with_hint(places, "FORCE INDEX (ix_concurrency_places_cancels)", dialect)
    canceller = cancellers.correlate(names).scalar_subquery()
    first, whose = places.alias("first"), runs.alias("whose")
    query = (
        select(names.c.tenant_id, names.c.group_name)
        .select_from(names)
        .join(first, first.c.number == number)
        .join(whose, whose.c.id == first.c.run_id)
    )
    # One who waits no more is forgotten when somebody looks at the group.
    return query.where(or_(whose.c.state != RunState.QUEUED, held < first.c.at_most, canceller.is_not(None)))


_BY_JUMPS = _movable(_names())
#: They jump by themselves, and do not when they are told to.
_BY_GROUPS = _movable(select(places.c.tenant_id, places.c.group_name).distinct().cte("names"))


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
    # The one that waits for it was paused meanwhile, so nothing of this one begins either.
    is_held = and_(runs.c.paused_with.is_not(None), runs.c.cancel_at.is_(None))
    state = case((is_held, RunState.PAUSED), else_=RunState.ACTIVE)
    turn = {"state": state, "wake_seq": runs.c.wake_seq + 1, "wake_at": db_now()}
    if conn.execute(update(runs).where(waits).values(**turn)).rowcount != 1:
        return False
    conn.execute(update(places).where(places.c.number == place.number).values(has_turn=True))
    return True


def forget(conn: Connection, numbers: Collection[int]) -> None:
    """Deletes places, if they are still these: a run that is tried again gets another number."""
    if numbers:
        conn.execute(delete(places).where(places.c.number.in_(sorted(numbers))))


def movable(conn: Connection) -> list[tuple[TenantId, str]]:
    """The groups in which somebody waits who could go, or who cancels others, or who is first and waits no more.

    Costs the same however many wait in a group.
    """
    statement = _BY_GROUPS if conn.dialect.name in _JUMPING else _BY_JUMPS
    return [(TenantId(row.tenant_id), row.group_name) for row in conn.execute(statement)]


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
