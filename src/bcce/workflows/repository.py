"""Every query on the engine's tables. Synchronous: each function works inside the caller's transaction."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    update,
)

from bcce.kit.ids import GateId, RunId, TenantId
from bcce.storage.doors import Item
from bcce.storage.types import db_now
from bcce.storage.upsert import upsert
from bcce.workflows.filters import RunFilter
from bcce.workflows.model import KNOWN_FORMATS, Run, RunState, StepRecord, StepState
from bcce.workflows.tables import gates, runs, signals, steps

#: The kind of gate at which a run waits for one that it started; the gate's name is that run's id.
CHILD_GATE = "run"
#: States of a run that is not over, so that facts can still come; of these only a claimed run has an owner who writes.
LIVE = (RunState.ACTIVE, RunState.PAUSED, RunState.QUEUED)
#: States of runs that are over.
ENDED = tuple(state for state in RunState if state not in (*LIVE, RunState.NEEDS_UPGRADE))


_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_FREE = (
    select(runs.c.id)
    .where(
        runs.c.id.in_(_IDS),
        runs.c.state == RunState.ACTIVE,
        runs.c.definition_format.in_(sorted(KNOWN_FORMATS)),
        or_(runs.c.lease_owner.is_(None), runs.c.lease_owner == bindparam("worker")),
        or_(runs.c.suspect.is_(False), runs.c.id.in_(bindparam("tried", expanding=True))),
    )
    .order_by(runs.c.id)
    .with_for_update()
)
_TAKE = (
    update(runs)
    .where(runs.c.id.in_(_IDS))
    .values(epoch=runs.c.epoch + 1, lease_owner=bindparam("worker"), started_at=func.coalesce(runs.c.started_at, db_now()))
)
_TAKEN = select(runs).where(runs.c.id.in_(_IDS))
#: Nothing is held against a run any more.
CLEARED: Mapping[str, object] = {"suspect": False, "company": 0, "deaths": 0}
_END = (
    update(runs)
    .where(runs.c.id == bindparam("k_run"))
    .values(
        state=bindparam("v_state"),
        output=bindparam("v_output"),
        error=bindparam("v_error"),
        ended_at=db_now(),
        # A run that another one started is not done with before that one was told: `untold` finds it by this.
        wake_at=case((runs.c.parent_id.is_not(None), db_now()), else_=None),
        lease_owner=None,
        **CLEARED,
    )
)
#: Of a run that has ended, `wake_at` says whether the one that started it is still to be told.
_BUMP = (
    update(runs)
    .where(runs.c.id == bindparam("k_run"))
    .values(wake_seq=runs.c.wake_seq + 1, wake_at=case((runs.c.state.in_(ENDED), runs.c.wake_at), else_=db_now()))
)
_STATE = select(runs.c.state).where(runs.c.id == bindparam("k_run"))
_LOCK = (
    select(runs.c.id).where(runs.c.id == bindparam("k_run"), runs.c.epoch == bindparam("k_epoch"), runs.c.state.in_(LIVE)).with_for_update()
)
_PARK = (
    update(runs)
    .where(runs.c.id == bindparam("k_run"), runs.c.epoch == bindparam("k_epoch"), runs.c.wake_seq == bindparam("v_seen"))
    .values(seen_seq=bindparam("v_seen"), wake_at=bindparam("v_wake_at"), lease_owner=None, crashes=0, **CLEARED)
)
_RUN = select(runs).where(runs.c.id == bindparam("k_run"))
_RECORDS = select(steps).where(steps.c.run_id == bindparam("k_run")).order_by(steps.c.attempt)
_REVIVABLE = (runs.c.state == RunState.NEEDS_UPGRADE, runs.c.definition_format.in_(sorted(KNOWN_FORMATS)))
_CLOSE = update(gates).where(gates.c.run_id == bindparam("k_run"), gates.c.state == "open").values(state="closed", closed_at=db_now())
_CLOSE_STEP = (
    update(gates)
    .where(gates.c.run_id == bindparam("k_run"), gates.c.step_key == bindparam("k_step"), gates.c.state == "open")
    .values(state="closed", closed_at=db_now())
)
_OPEN = upsert(gates, keys=["id"])


def run_of(row: RowMapping) -> Run:
    """A row of `runs` as a value."""
    return Run(
        **{name: row[name] for name in Run.__slots__ if name != "state"},
        state=RunState(row["state"]),
    )


def record_of(row: RowMapping) -> StepRecord:
    """A row of `steps` as a value."""
    return StepRecord(
        key=row["step_key"],
        attempt=row["attempt"],
        state=StepState(row["state"]),
        type=row["type"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        wake_at=row["wake_at"],
        deadline_at=row["deadline_at"],
        output=row["output"],
        error=row["error"],
        waiting_for=row["waiting_for"],
    )


def get_run(conn: Connection, run_id: RunId, tenant_id: TenantId | None = None) -> Run | None:
    """The run; None when there is none, or when it belongs to another tenant than the given one."""
    row = conn.execute(_RUN, {"k_run": run_id}).mappings().first()
    return run_of(row) if row is not None and tenant_id in (None, row["tenant_id"]) else None


def get_records(conn: Connection, run_id: RunId) -> dict[str, StepRecord]:
    """The latest attempt of every step that has begun, by step key."""
    rows = conn.execute(_RECORDS, {"k_run": run_id}).mappings()
    return {row["step_key"]: record_of(row) for row in rows}


def get_attempts(conn: Connection, run_id: RunId) -> list[StepRecord]:
    """Every attempt of every step in the order in which they began."""
    query = select(steps).where(steps.c.run_id == run_id).order_by(steps.c.started_at, steps.c.step_key, steps.c.attempt)
    return [record_of(row) for row in conn.execute(query).mappings()]


def lock_run(conn: Connection, run_id: RunId, epoch: int) -> bool:
    """Whether the run still has this epoch; takes its row lock, so nobody can change that before the commit."""
    return conn.execute(_LOCK, {"k_run": run_id, "k_epoch": epoch}).first() is not None


def standing(conn: Connection, run_id: RunId) -> tuple[RunState, bool]:
    """The run's state as it is now and whether it is being cancelled; it must be there. Nobody can change either before the commit."""
    row = conn.execute(select(runs.c.state, runs.c.cancel_at).where(runs.c.id == run_id).with_for_update()).one()
    return RunState(row.state), row.cancel_at is not None


def bump(conn: Connection, run_id: RunId) -> RunState | None:
    """Records that something about the run changed, and locks its row; None when there is no such run.

    Each fact's transaction begins with this, so the facts of one run have an order.
    """
    conn.execute(_BUMP, {"k_run": run_id})
    state = conn.execute(_STATE, {"k_run": run_id}).scalar()
    return RunState(state) if state else None


def claim(conn: Connection, run_ids: Sequence[RunId], worker: str, tried: Collection[RunId] = ()) -> dict[RunId, Run]:
    """Makes `worker` the owner, under a new epoch, of those of the runs that nobody else owns, have not ended and are of a known format.

    Suspects are left alone but for those in `tried`. `worker` itself may own a run already: it lost the database while it advanced the
    run, and begins anew.
    """
    wanted = sorted(set(run_ids))
    free = conn.execute(_FREE, {"ids": wanted, "worker": worker, "tried": sorted(tried)}).scalars().all()
    if not free:
        return {}
    conn.execute(_TAKE, {"ids": free, "worker": worker})
    return {RunId(row["id"]): run_of(row) for row in conn.execute(_TAKEN, {"ids": free}).mappings()}


def park(conn: Connection, run_id: RunId, *, epoch: int, seen: int, wake_at: datetime | None) -> bool:
    """Gives the run up until a fact or `wake_at`; False when a fact came since `seen`, or the run is no longer ours."""
    return conn.execute(_PARK, {"k_run": run_id, "k_epoch": epoch, "v_seen": seen, "v_wake_at": wake_at}).rowcount == 1


def give_back(conn: Connection, run_id: RunId, epoch: int) -> bool:
    """Makes a run that broke its worker free; False when it has another epoch by now."""
    query = update(runs).where(runs.c.id == run_id, runs.c.epoch == epoch, runs.c.state.in_(LIVE))
    return conn.execute(query.values(lease_owner=None, crashes=runs.c.crashes + 1, wake_at=db_now())).rowcount == 1


def due(conn: Connection, limit: int, *, worker: str, held: Collection[RunId]) -> list[tuple[RunId, int, str, int]]:
    """Runs that are ready, that nobody else advances and that are not suspect: id, wake_seq, queue, priority; the most urgent first.

    `held` are those that `worker` itself is advancing.
    """
    query = (
        select(runs.c.id, runs.c.wake_seq, runs.c.queue, runs.c.priority)
        .where(_is_due(worker), runs.c.suspect.is_(False), runs.c.id.not_in(held))
        .order_by(runs.c.priority, runs.c.wake_at)
        .limit(limit)
    )
    return [(RunId(row.id), row.wake_seq, row.queue, row.priority) for row in conn.execute(query)]


def _is_due(worker: str) -> ColumnElement[bool]:
    """The run is ready and no other worker owns it."""
    return and_(
        runs.c.state == RunState.ACTIVE,
        runs.c.wake_at <= db_now(),
        runs.c.definition_format.in_(sorted(KNOWN_FORMATS)),
        or_(runs.c.lease_owner.is_(None), runs.c.lease_owner == worker),
    )


def request_cancel(conn: Connection, run_id: RunId) -> None:
    """Marks the run as to be stopped; the caller's transaction is a fact of the run.

    One that waits for its turn once more has something to undo, and does that in its turn.
    """
    must_wait = and_(runs.c.state == RunState.QUEUED, select(steps.c.run_id).where(steps.c.run_id == run_id).exists())
    conn.execute(
        update(runs)
        .where(runs.c.id == run_id, runs.c.state.in_(LIVE), runs.c.cancel_at.is_(None))
        .values(cancel_at=db_now(), state=case((must_wait, RunState.QUEUED), else_=RunState.ACTIVE))
    )


def unseen(conn: Connection, known: Mapping[RunId, int]) -> list[RunId]:
    """Those of the given runs whose `wake_seq` is another than the given one."""
    rows = conn.execute(select(runs.c.id, runs.c.wake_seq).where(runs.c.id.in_(list(known))))
    return [RunId(row.id) for row in rows if row.wake_seq != known[RunId(row.id)]]


def awaited_children(conn: Connection, run_id: RunId) -> list[RunId]:
    """The runs that steps of this run wait for."""
    waiting = (gates.c.run_id == run_id, gates.c.kind == CHILD_GATE, gates.c.state == "open")
    return [RunId(name) for name in conn.execute(select(gates.c.name).where(*waiting).order_by(gates.c.name)).scalars()]


def waiting_above(conn: Connection, run_id: RunId) -> Iterator[tuple[RunState, bool, str]]:
    """The runs that wait for this one, the nearest first: the state of each, whether it is being cancelled, and the step that waits."""
    query = (
        select(runs.c.id, runs.c.state, runs.c.cancel_at, gates.c.step_key)
        .join(gates, gates.c.run_id == runs.c.id)
        .where(gates.c.kind == CHILD_GATE, gates.c.state == "open")
    )
    below: RunId | None = run_id
    while below is not None:
        parent = conn.execute(select(runs.c.parent_id).where(runs.c.id == below)).scalar()
        row = conn.execute(query.where(runs.c.id == parent, gates.c.name == below)).first() if parent is not None else None
        if row is not None:
            yield RunState(row.state), row.cancel_at is not None, row.step_key
        below = RunId(row.id) if row is not None else None


def untold(conn: Connection, limit: int) -> list[tuple[RunId, RunId]]:
    """Runs that are over, each with the run that started it and has not been told yet."""
    query = select(runs.c.id, runs.c.parent_id).where(runs.c.state.in_(ENDED), runs.c.wake_at.is_not(None), runs.c.parent_id.is_not(None))
    return [(RunId(row.id), RunId(row.parent_id)) for row in conn.execute(query.limit(limit))]


def tell_parent(conn: Connection, run_id: RunId, parent_id: RunId) -> None:
    """Tells `parent_id` that the run that it started is over. The only write that holds two runs, the upper one always first."""
    bump(conn, parent_id)
    conn.execute(update(runs).where(runs.c.id == run_id, runs.c.state.in_(ENDED)).values(wake_at=None))


def park_unknown_formats(conn: Connection) -> int:
    """Marks active runs of a format that this release does not know and that no worker of a newer one advances; returns how many."""
    query = update(runs).where(
        runs.c.state == RunState.ACTIVE,
        runs.c.lease_owner.is_(None),
        runs.c.definition_format.not_in(sorted(KNOWN_FORMATS)),
    )
    return conn.execute(query.values(state=RunState.NEEDS_UPGRADE)).rowcount


def revive_known_formats(conn: Connection) -> int:
    """Makes runs active again whose format this release has learnt; returns how many."""
    return conn.execute(update(runs).where(*_REVIVABLE).values(state=RunState.ACTIVE, wake_at=db_now())).rowcount


def has_known_formats(conn: Connection) -> bool:
    """Whether there is anything for `revive_known_formats`."""
    return conn.execute(select(runs.c.id).where(*_REVIVABLE).limit(1)).first() is not None


def cancel_when_revived(conn: Connection, run_id: RunId) -> None:
    """Marks a run of a format that this release does not know as to be stopped, once it is active again; nothing for any other."""
    query = update(runs).where(runs.c.id == run_id, runs.c.state == RunState.NEEDS_UPGRADE, runs.c.cancel_at.is_(None))
    conn.execute(query.values(cancel_at=db_now()))


def end_run(run_id: RunId, state: RunState, *, output: Mapping[str, object] | None, error: Mapping[str, object] | None) -> list[Item]:
    """What ends the run and closes what it left open; to be written under its row lock."""
    key = {"k_run": run_id}
    return [(_END, {**key, "v_state": str(state), "v_output": output, "v_error": error}), (_CLOSE, key)]


def open_gate(values: Mapping[str, object]) -> Item:
    """A gate's row; nothing when the gate is open already."""
    return _OPEN, values


def close_gate(run_id: RunId, step_key: str) -> Item:
    """Closes the gates of one step."""
    return _CLOSE_STEP, {"k_run": run_id, "k_step": step_key}


def step_at(conn: Connection, gate: GateId) -> str | None:
    """The key of the step that waits, or waited, at a gate; None when there is no such gate."""
    return conn.execute(select(gates.c.step_key).where(gates.c.id == gate)).scalar()


def reopen_gates(conn: Connection, gate_ids: Collection[GateId]) -> None:
    """Opens gates again that were closed with their run."""
    conn.execute(update(gates).where(gates.c.id.in_(gate_ids)).values(state="open", closed_at=None))


def add_signal(conn: Connection, values: Mapping[str, object]) -> bool:
    """Keeps a signal for a run; False when the run has one of that name already (the first one counts)."""
    known = conn.execute(select(signals.c.name).where(signals.c.run_id == values["run_id"], signals.c.name == values["name"])).first()
    if known is None:
        conn.execute(insert(signals), [dict(values)])
    return known is None


def get_signal(conn: Connection, run_id: RunId, name: str) -> Mapping[str, object] | None:
    """The payload of a signal that the run got; None when it got none of that name."""
    return cast(
        "Mapping[str, object] | None",
        conn.execute(select(signals.c.payload).where(signals.c.run_id == run_id, signals.c.name == name)).scalar(),
    )


def runs_started_by(conn: Connection, run_id: RunId) -> list[tuple[RunId, str, RunState, str | None]]:
    """Id, workflow, state and parent_key of the runs that steps of this one started, the first first."""
    columns = (runs.c.id, runs.c.workflow, runs.c.state, runs.c.parent_key)
    rows = conn.execute(select(*columns).where(runs.c.parent_id == run_id).order_by(runs.c.created_at, runs.c.id))
    return [(RunId(row.id), row.workflow, RunState(row.state), row.parent_key) for row in rows]


def list_runs(conn: Connection, tenant_id: TenantId, wanted: RunFilter, *, before: Run | None, limit: int) -> list[Run]:
    """The tenant's runs that are wanted, newest first, from behind the run `before`.

    The order is that of `ix_runs_tenant_created`: ids of runs that other runs started say nothing about when.
    """
    query: Select[Any] = select(runs).where(runs.c.tenant_id == tenant_id)
    if before is not None:
        same = and_(runs.c.created_at == before.created_at, runs.c.id < before.id)
        # The first condition follows from the second, but is one that every database begins at in the index.
        query = query.where(runs.c.created_at <= before.created_at, or_(runs.c.created_at < before.created_at, same))
    if wanted.states:
        query = query.where(runs.c.state.in_(sorted(set(wanted.states))))
    if wanted.workflow is not None:
        query = query.where(runs.c.workflow == wanted.workflow)
    if wanted.subject is not None:
        query = query.where(runs.c.subject == wanted.subject)
    if wanted.parent is not None:
        query = query.where(runs.c.parent_id == wanted.parent)
    elif not wanted.has_children:
        query = query.where(runs.c.parent_id.is_(None))
    if wanted.since is not None:
        query = query.where(runs.c.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(runs.c.created_at < wanted.until)
    return [run_of(row) for row in conn.execute(query.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(limit)).mappings()]
