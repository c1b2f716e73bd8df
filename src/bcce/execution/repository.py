"""Every query on dispatches and target locks. Synchronous: each function works inside the caller's transaction."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, and_, delete, insert, or_, select, update

from bcce.execution.errors import IllegalDispatchTransition, UnknownDispatch
from bcce.execution.model import ENDED, SETTLED, TRANSITIONS, Dispatch, DispatchState, Target
from bcce.execution.tables import dispatches, machine_locks
from bcce.kit.ids import DispatchId, TenantId
from bcce.storage.upsert import upsert

_LOCK: Final = upsert(machine_locks, keys=("tenant_id", "lock_key"))


def insert_dispatch(conn: Connection, dispatch: Dispatch) -> None:
    """Writes the row of a new dispatch; a second one with its key is a violated unique key."""
    values: dict[str, Any] = {name: getattr(dispatch, name) for name in Dispatch.__slots__ if name != "target"}
    conn.execute(insert(dispatches).values(**values, target=dispatch.target.to_dict(), target_name=dispatch.target.name))


def get_by_key(conn: Connection, key: str, tenant_id: TenantId | None = None) -> Dispatch | None:
    """The dispatch with this key; None when there is none, or when it belongs to another tenant than the given one."""
    query = select(dispatches).where(dispatches.c.key == key)
    if tenant_id is not None:
        query = query.where(dispatches.c.tenant_id == tenant_id)
    row = conn.execute(query).mappings().first()
    return None if row is None else _dispatch(row)


def list_for_step(conn: Connection, run_id: str, step_key: str) -> list[Dispatch]:
    """The dispatches that one step has made, the first attempt first."""
    query = select(dispatches).where(dispatches.c.run_id == run_id, dispatches.c.step_key == step_key)
    return [_dispatch(row) for row in conn.execute(query.order_by(dispatches.c.created_at, dispatches.c.id)).mappings()]


def has_started(conn: Connection, run_id: str, approval_digest: str) -> bool:
    """Whether a run has a dispatch of what the digest names; one that is proven never to have run does not count."""
    query = select(dispatches.c.id).where(
        dispatches.c.run_id == run_id,
        dispatches.c.approval_digest == approval_digest,
        dispatches.c.state != DispatchState.ABANDONED,
    )
    return conn.execute(query.limit(1)).first() is not None


def list_dispatches(
    conn: Connection,
    tenant_id: TenantId,
    *,
    incident_id: str | None = None,
    state: DispatchState | None = None,
    before: DispatchId | None = None,
    limit: int,
) -> list[Dispatch]:
    """The tenant's dispatches, newest first, from below the dispatch `before`; None leaves a condition out."""
    query = select(dispatches).where(dispatches.c.tenant_id == tenant_id)
    if incident_id is not None:
        query = query.where(dispatches.c.incident_id == incident_id)
    if state is not None:
        query = query.where(dispatches.c.state == state)
    if before is not None:
        cursor = select(dispatches.c.created_at).where(dispatches.c.id == before).scalar_subquery()
        query = query.where(or_(dispatches.c.created_at < cursor, and_(dispatches.c.created_at == cursor, dispatches.c.id < before)))
    rows = conn.execute(query.order_by(dispatches.c.created_at.desc(), dispatches.c.id.desc()).limit(limit)).mappings()
    return [_dispatch(row) for row in rows]


def transition(
    conn: Connection, key: str, state: DispatchState, *, at: datetime, exit_code: int | None = None, output_excerpt: str | None = None
) -> Dispatch:
    """The dispatch in its new state. It may be in that state already: then nothing changes.

    Args:
        at: UTC; becomes `started_at` or `ended_at`, whichever the state sets.
        exit_code: None leaves what is recorded.
        output_excerpt: None leaves what is recorded.

    Raises:
        UnknownDispatch: there is none with this key.
        IllegalDispatchTransition: `TRANSITIONS` has no way there from the state it is in.
    """
    row = conn.execute(select(dispatches).where(dispatches.c.key == key).with_for_update()).mappings().first()
    if row is None:
        raise UnknownDispatch(f"there is no dispatch {key}")
    before = _dispatch(row)
    if before.state is state:
        return before
    if state not in TRANSITIONS[before.state]:
        raise IllegalDispatchTransition(
            f"dispatch {key} is {before.state} and cannot become {state}", details={"key": key, "from": before.state, "to": state}
        )
    values: dict[str, object] = {"state": state}
    if state is DispatchState.STARTED:
        values["started_at"] = at
    if state in ENDED:
        values["ended_at"] = at
    if exit_code is not None:
        values["exit_code"] = exit_code
    if output_excerpt is not None:
        values["output_excerpt"] = output_excerpt
    conn.execute(update(dispatches).where(dispatches.c.key == key).values(**values))
    return _dispatch(conn.execute(select(dispatches).where(dispatches.c.key == key)).mappings().one())


def lock_target(conn: Connection, tenant_id: TenantId, target: Target, dispatch_id: str, at: datetime) -> str | None:
    """None when the target's machine now belongs to `dispatch_id`, else the id of the dispatch that has it; then nothing has changed.

    A lock whose dispatch is settled (it never ran, or its outcome is known) is taken over: nothing of it can be under way, and a crash
    between the outcome and `unlock_target` must not lock a host for ever. An indeterminate dispatch keeps its lock.
    """
    taken: list[str] = []
    # Everybody takes them in the same order, so nobody waits for somebody who waits for them.
    for key in target.lock_keys:
        holder = _lock(conn, tenant_id, key, dispatch_id, at)
        if holder is not None:
            conn.execute(delete(machine_locks).where(machine_locks.c.dispatch_id == dispatch_id, machine_locks.c.lock_key.in_(taken)))
            return holder
        taken.append(key)
    return None


def _lock(conn: Connection, tenant_id: TenantId, key: str, dispatch_id: str, at: datetime) -> str | None:
    mine = and_(machine_locks.c.tenant_id == tenant_id, machine_locks.c.lock_key == key)
    holder = None
    while holder is None:
        conn.execute(_LOCK, {"tenant_id": tenant_id, "lock_key": key, "dispatch_id": dispatch_id, "acquired_at": at})
        # The row lock makes two takers wait for each other, so that only one of them finds the settled holder. The row may be gone by
        # now: whoever had it freed it between the two statements.
        holder = conn.execute(select(machine_locks.c.dispatch_id).where(mine).with_for_update()).scalar()
    if holder == dispatch_id:
        return None
    state = conn.execute(select(dispatches.c.state).where(dispatches.c.id == holder)).scalar()
    if state is None or DispatchState(state) not in SETTLED:
        return str(holder)
    conn.execute(update(machine_locks).where(mine).values(dispatch_id=dispatch_id, acquired_at=at))
    return None


def unlock_target(conn: Connection, tenant_id: TenantId, dispatch_id: str) -> bool:
    """Frees the target that `dispatch_id` has, whatever its entry in the configuration is by now; False when it has none."""
    mine = and_(machine_locks.c.tenant_id == tenant_id, machine_locks.c.dispatch_id == dispatch_id)
    return conn.execute(delete(machine_locks).where(mine)).rowcount > 0


def lock_holders(conn: Connection, tenant_id: TenantId, target: Target) -> frozenset[str]:
    """The ids of the dispatches that have the target's machine or its entry; empty when it is free."""
    mine = and_(machine_locks.c.tenant_id == tenant_id, machine_locks.c.lock_key.in_(target.lock_keys))
    return frozenset(conn.execute(select(machine_locks.c.dispatch_id).where(mine)).scalars())


def _dispatch(row: RowMapping) -> Dispatch:
    values = {name: row[name] for name in Dispatch.__slots__ if name not in ("target", "state")}
    target = {**row["target"], "host_keys": tuple(row["target"]["host_keys"])}
    return Dispatch(**values, target=Target(**target), state=DispatchState(row["state"]))
