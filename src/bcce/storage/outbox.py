"""Events that are committed together with what they tell about, and then get a gapless position.

Row numbers are not in commit order, so a reader that remembers the highest one would skip rows that commit late. Only the sequencer gives
positions, in one place and after the fact: on SQLite the writer before each commit, on servers the leader.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Column, Connection, Index, Integer, Table, bindparam, func, insert, select, update

from bcce.kit.events import Event
from bcce.kit.ids import EventId, Ids, TenantId
from bcce.storage.doors import Item
from bcce.storage.metadata import metadata
from bcce.storage.types import Id, Json, Name, UtcDateTime, tenant_column
from bcce.storage.upsert import upsert

#: Row of `outbox_cursors` that holds the last position given; no consumer may have a name that begins with a colon.
HEAD = ":head"
#: How many rows get their positions in one statement; bounds how long the statement holds its locks.
_BATCH = 10_000
#: By how much events may be out of the order of their times: those of one transaction are written together.
_SLACK = timedelta(minutes=1)

outbox = Table(
    "outbox",
    metadata,
    # The order of writing, which within a transaction (and from a transaction to one that waited for it) is the order of happening.
    Column("ordinal", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", Id(), nullable=False),
    tenant_column(),
    Column("at", UtcDateTime(), nullable=False),
    Column("type", Name(64), nullable=False),
    Column("source", Name(128), nullable=False),
    Column("data", Json(), nullable=False),
    Column("correlation_id", Id()),
    Column("position", BigInteger),
    Index("uq_outbox_position", "position", unique=True),
    # For whoever follows one run among all the others. Without the position, which comes after the insertion: rows of one id are few.
    Index("ix_outbox_correlation", "correlation_id"),
)

outbox_cursors = Table(
    "outbox_cursors",
    metadata,
    Column("name", Name(128), primary_key=True),
    Column("position", BigInteger, nullable=False),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxRow:
    """One published event. `position` counts from 1 without gaps, over all tenants; `at` is UTC; `correlation_id` None: it has none."""

    position: int
    id: EventId
    tenant_id: TenantId
    at: datetime
    type: str
    source: str
    data: Mapping[str, object]
    correlation_id: str | None


#: Inline: nobody needs the ordinal, so no database is asked for it.
_INSERT = insert(outbox).inline()
_BEGIN = upsert(outbox_cursors, keys=["name"])
_READ_HEAD = select(outbox_cursors.c.position).where(outbox_cursors.c.name == HEAD)
_ADVANCE = upsert(
    outbox_cursors,
    keys=["name"],
    changes=["position"],
    where=lambda old, new: new.position > old.position,
)
_PENDING = (
    select(outbox.c.ordinal, func.row_number().over(order_by=outbox.c.ordinal).label("number"))
    .where(outbox.c.position.is_(None))
    .order_by(outbox.c.ordinal)
    .limit(_BATCH)
    .subquery("pending")
)
_ASSIGN = (
    update(outbox)
    .where(outbox.c.ordinal == _PENDING.c.ordinal)
    .values(position=bindparam("last_position", type_=BigInteger) + _PENDING.c.number)
)


def event_item(ids: Ids, event: Event, *, correlation_id: str | None = None) -> Item:
    """The row that publishes `event` if the write it is part of commits."""
    return _INSERT, {
        "id": ids.new("evt", event.timestamp),
        "tenant_id": event.tenant_id,
        "at": event.timestamp,
        "type": event.type,
        "source": event.source,
        "data": event.data if isinstance(event.data, dict) else dict(event.data),
        "correlation_id": correlation_id,
    }


def read_after(
    conn: Connection,
    position: int,
    limit: int,
    *,
    tenant_id: TenantId | None,
    types: Collection[str] | None = None,
    correlation_id: str | None = None,
    until: int | None = None,
) -> list[OutboxRow]:
    """At most `limit` events after `position`, in order; of one tenant or of all (None), of some types or of all (None).

    `correlation_id`: only events with this one, None for all; `until`: the last position to look at, None for no limit.
    """
    columns = [outbox.c[name] for name in OutboxRow.__slots__]
    query = select(*columns).where(outbox.c.position > position).order_by(outbox.c.position).limit(limit)
    if tenant_id is not None:
        query = query.where(outbox.c.tenant_id == tenant_id)
    if types is not None:
        query = query.where(outbox.c.type.in_(sorted(types)))
    if correlation_id is not None:
        query = query.where(outbox.c.correlation_id == correlation_id)
    if until is not None:
        query = query.where(outbox.c.position <= until)
    return [OutboxRow(**row) for row in conn.execute(query).mappings()]


def has_unplaced(conn: Connection, correlation_id: str) -> bool:
    """Whether events with this correlation id are committed that have no position yet."""
    query = select(outbox.c.ordinal).where(outbox.c.position.is_(None), outbox.c.correlation_id == correlation_id)
    return conn.execute(query.limit(1)).first() is not None


def position_before(conn: Connection, moment: datetime) -> int:
    """A position behind which every event from `moment` on is found, not far in front of the first of them.

    Found by halving, since times have no index: events are written nearly in the order of their times.
    """
    low, high = 0, head(conn)
    slack = moment - _SLACK
    while low < high:
        middle = (low + high) // 2
        at = conn.execute(select(outbox.c.at).where(outbox.c.position > middle).order_by(outbox.c.position).limit(1)).scalar()
        if at is not None and at < slack:
            low = middle + 1
        else:
            high = middle
    return low


def cursor(conn: Connection, name: str, *, for_update: bool = False) -> int:
    """The last position that the consumer `name` has done with; 0 when it never began.

    `for_update` locks it until the commit, so that of two processes that are one consumer only one handles what comes next. The very
    first time there is nothing to lock yet: then both may.
    """
    query = select(outbox_cursors.c.position).where(outbox_cursors.c.name == name)
    found: int | None = conn.execute(query.with_for_update() if for_update else query).scalar()
    return found or 0


def advance_cursor(conn: Connection, name: str, position: int) -> None:
    """Remember that the consumer `name` has done with everything up to `position`; a cursor never goes back."""
    conn.execute(_ADVANCE, {"name": name, "position": position})


def head(conn: Connection) -> int:
    """The last position given to an event; 0 when there was none yet."""
    return conn.execute(_READ_HEAD).scalar() or 0


def try_lead(conn: Connection) -> bool:
    """Whether this transaction is the sequencer's until it ends; False when another one is.

    The lock is the head's own row and not an advisory lock: it goes with its transaction whatever happens to the connection, on every
    database.
    """
    query = select(outbox_cursors.c.position).where(outbox_cursors.c.name == HEAD)
    if conn.execute(query.with_for_update(skip_locked=True)).first() is not None:
        return True
    if conn.execute(query).first() is not None:
        return False
    conn.execute(_BEGIN, {"name": HEAD, "position": 0})
    return conn.execute(query.with_for_update()).first() is not None


def assign_positions(conn: Connection) -> int:
    """Give positions to the events that have none, in the order of writing; returns how many got one.

    Only for the sequencer: no other transaction may do this at the same time (`try_lead`).
    """
    last = before = head(conn)
    while (count := conn.execute(_ASSIGN, {"last_position": last}).rowcount) > 0:
        last += count
        if count < _BATCH:
            break
    if last > before:
        conn.execute(_ADVANCE, {"name": HEAD, "position": last})
    return last - before
