"""Every query on the tables of integrations. Synchronous: each function works inside the caller's transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, update

from bcce.kit.ids import EventId, RunId, TenantId
from bcce.storage.outbox import OutboxRow, outbox
from bcce.storage.types import db_now
from bcce.storage.upsert import upsert
from bcce.workflows.definition import Integration
from bcce.workflows.integrations.tables import deliveries, lanes
from bcce.workflows.repository import LIVE
from bcce.workflows.tables import runs

PENDING, DELIVERED, GIVEN_UP = "pending", "delivered", "given-up"
#: By how much the clock of a process and that of the database may differ, when events have no position yet.
_SLACK = timedelta(minutes=1)
#: How many runs' lanes are closed at once.
CLOSES = 500

_ADD = upsert(deliveries, keys=["run_id", "number", "position"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """One connector of one run. `failures` are those of its first pending event, since `failing_since`."""

    run_id: RunId
    number: int
    tenant_id: TenantId
    connector: str
    failures: int
    failing_since: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneView:
    """What can be seen of a lane. `next_try_at` and `error` are None unless its first pending event has failed."""

    connector: str
    delivered: int
    pending: int
    given_up: int
    failures: int
    next_try_at: datetime | None
    error: Mapping[str, object] | None


def open_lanes(conn: Connection, run_id: RunId, tenant_id: TenantId, integrations: Sequence[Integration]) -> None:
    """Makes the lanes of a new run."""
    fresh = {"run_id": run_id, "tenant_id": tenant_id, "is_open": True, "opened": 1, "failures": 0}
    rows = [{**fresh, "number": at, "connector": item.type, "events": list(item.events)} for at, item in enumerate(integrations)]
    conn.execute(insert(lanes), rows)


def reopen_lanes(conn: Connection, run_id: RunId) -> None:
    """Makes the lanes of a run that goes on after its end take its events again."""
    conn.execute(update(lanes).where(lanes.c.run_id == run_id).values(is_open=True, opened=lanes.c.opened + 1))


def has_open_lanes(conn: Connection) -> bool:
    """Whether any run's events are wanted."""
    return conn.execute(select(lanes.c.run_id).where(lanes.c.is_open).limit(1)).first() is not None


def wanted(conn: Connection, rows: Iterable[OutboxRow]) -> list[dict[str, object]]:
    """The deliveries that these events make."""
    by_run: dict[str, list[OutboxRow]] = {}
    for row in rows:
        by_run.setdefault(str(row.data.get("workflowId")), []).append(row)
    query = select(lanes.c.run_id, lanes.c.number, lanes.c.tenant_id, lanes.c.events)
    found = conn.execute(query.where(lanes.c.is_open, lanes.c.run_id.in_(sorted(by_run)))).all() if by_run else []
    return [
        {
            "run_id": lane.run_id,
            "number": lane.number,
            "position": row.position,
            "event_id": row.id,
            "type": row.type,
            "state": PENDING,
            "error": None,
            "settled_at": None,
        }
        for lane in found
        for row in by_run[lane.run_id]
        if row.type in lane.events and row.tenant_id == lane.tenant_id
    ]


def add(conn: Connection, rows: Iterable[Mapping[str, object]]) -> None:
    """Adds deliveries; one that is there stays as it is."""
    for row in rows:
        conn.execute(_ADD, dict(row))


def finished_lanes(conn: Connection) -> list[tuple[RunId, int]]:
    """Runs with open lanes that are over and whose events all have their position, and how often each was opened.

    Read as of the same moment as the outbox's head: up to there all events of these runs are known.
    """
    unplaced: datetime | None = conn.execute(select(func.min(outbox.c.at)).where(outbox.c.position.is_(None))).scalar()
    query = select(lanes.c.run_id, lanes.c.opened).join(runs, runs.c.id == lanes.c.run_id).where(lanes.c.is_open, lanes.c.number == 0)
    query = query.where(runs.c.state.not_in([*LIVE, "needs-upgrade"]))
    if unplaced is not None:
        query = query.where(runs.c.ended_at < unplaced - _SLACK)
    return [(RunId(row.run_id), row.opened) for row in conn.execute(query.limit(CLOSES))]


def close_lanes(conn: Connection, finished: Iterable[tuple[RunId, int]]) -> None:
    """Closes the lanes of runs, but for those that were opened again meanwhile."""
    for run_id, opened in finished:
        conn.execute(update(lanes).where(lanes.c.run_id == run_id, lanes.c.opened == opened).values(is_open=False))


def due_lanes(conn: Connection, limit: int, *, without: Collection[tuple[RunId, int]]) -> list[tuple[RunId, int]]:
    """Lanes in which something waits that may be tried now and that nobody delivers."""
    same_lane = and_(lanes.c.run_id == deliveries.c.run_id, lanes.c.number == deliveries.c.number)
    query = select(lanes.c.run_id, lanes.c.number).join(deliveries, same_lane).where(deliveries.c.state == PENDING, _is_free())
    found = conn.execute(
        query.group_by(lanes.c.run_id, lanes.c.number).order_by(func.min(deliveries.c.position)).limit(limit + len(without))
    )
    return [lane for lane in ((RunId(row.run_id), row.number) for row in found) if lane not in without][:limit]


def take_lane(conn: Connection, run_id: RunId, number: int, owner: str, lease_s: float) -> Lane | None:
    """The lane, which is now `owner`'s; None when somebody else has it."""
    mine = (lanes.c.run_id == run_id, lanes.c.number == number)
    if conn.execute(update(lanes).where(*mine, _is_free()).values(lease_owner=owner, lease_until=db_now(lease_s))).rowcount != 1:
        return None
    row = conn.execute(select(lanes).where(*mine)).mappings().one()
    return Lane(**{name: row[name] for name in Lane.__slots__})


def first_pending(conn: Connection, lane: Lane) -> OutboxRow | None:
    """The lane's next event; None when there is none."""
    mine = (deliveries.c.run_id == lane.run_id, deliveries.c.number == lane.number, deliveries.c.state == PENDING)
    columns = [outbox.c[name] for name in OutboxRow.__slots__]
    query = select(*columns).join(deliveries, deliveries.c.position == outbox.c.position).where(*mine)
    row = conn.execute(query.order_by(deliveries.c.position).limit(1)).mappings().first()
    return OutboxRow(**row) if row else None


def settle(conn: Connection, lane: Lane, event_id: EventId, owner: str, *, state: str, error: Mapping[str, object] | None) -> bool:
    """Says how a delivery ended, if the lane is still `owner`'s; the next one begins afresh."""
    fresh = {"failures": 0, "failing_since": None, "wake_at": None, "error": None}
    if not _change(conn, lane, owner, fresh):
        return False
    mine = (deliveries.c.run_id == lane.run_id, deliveries.c.number == lane.number, deliveries.c.event_id == event_id)
    conn.execute(update(deliveries).where(*mine).values(state=state, error=error, settled_at=db_now()))
    return True


def postpone(conn: Connection, lane: Lane, owner: str, *, delay_s: float, error: Mapping[str, object]) -> bool:
    """Says that the first event has failed and is tried again after `delay_s`; the lane is free meanwhile."""
    since = func.coalesce(lanes.c.failing_since, db_now())
    failed = {"failures": lanes.c.failures + 1, "failing_since": since, "wake_at": db_now(delay_s), "error": error}
    return _change(conn, lane, owner, {**failed, "lease_owner": None, "lease_until": None})


def release(conn: Connection, lane: Lane, owner: str) -> None:
    """Makes the lane free."""
    _change(conn, lane, owner, {"lease_owner": None, "lease_until": None})


def failing_for(conn: Connection, lane: Lane, at_least_s: float) -> bool:
    """Whether the lane's first event has failed for so long, by the database's clock."""
    mine = (lanes.c.run_id == lane.run_id, lanes.c.number == lane.number)
    return conn.execute(select(lanes.c.run_id).where(*mine, lanes.c.failing_since <= db_now(-at_least_s))).first() is not None


def views(conn: Connection, run_id: RunId, tenant_id: TenantId) -> list[LaneView]:
    """The run's lanes in the order of the file; none when it has none in this tenant."""
    found = (
        conn.execute(select(lanes).where(lanes.c.run_id == run_id, lanes.c.tenant_id == tenant_id).order_by(lanes.c.number))
        .mappings()
        .all()
    )
    by_state = select(deliveries.c.number, deliveries.c.state, func.count().label("count")).where(deliveries.c.run_id == run_id)
    rows = conn.execute(by_state.group_by(deliveries.c.number, deliveries.c.state)).all() if found else []
    counts = {(row.number, row.state): row._mapping["count"] for row in rows}
    given_up = select(deliveries.c.number, deliveries.c.error).where(deliveries.c.run_id == run_id, deliveries.c.state == GIVEN_UP)
    last = {row.number: row.error for row in conn.execute(given_up.order_by(deliveries.c.position))} if found else {}
    return [
        LaneView(
            connector=lane["connector"],
            delivered=counts.get((lane["number"], DELIVERED), 0),
            pending=counts.get((lane["number"], PENDING), 0),
            given_up=counts.get((lane["number"], GIVEN_UP), 0),
            failures=lane["failures"],
            next_try_at=lane["wake_at"],
            error=lane["error"] or last.get(lane["number"]),
        )
        for lane in found
    ]


def _change(conn: Connection, lane: Lane, owner: str, values: Mapping[str, object]) -> bool:
    mine = (lanes.c.run_id == lane.run_id, lanes.c.number == lane.number, lanes.c.lease_owner == owner)
    return conn.execute(update(lanes).where(*mine).values(**values)).rowcount == 1


def _is_free() -> ColumnElement[bool]:
    """Nobody delivers, and its first event may be tried."""
    unowned = or_(lanes.c.lease_until.is_(None), lanes.c.lease_until <= db_now())
    return and_(unowned, or_(lanes.c.wake_at.is_(None), lanes.c.wake_at <= db_now()))
