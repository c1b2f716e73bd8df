"""What the storage suites share: tables of their own and an open database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import Boolean, Column, ForeignKey, Integer, MetaData, Table, insert, select

from bcce.kit.clock import Clock, SystemClock
from bcce.kit.events import Event
from bcce.kit.ids import DEFAULT_TENANT, Ids, TenantId
from bcce.storage.doors import Database, Hooks, Item, Options, open_database
from bcce.storage.outbox import OutboxRow, outbox, outbox_cursors, read_after
from bcce.storage.types import CompressedBytes, Encrypted, Id, Json, LongText, Name, UtcDateTime, tenant_column

T = TypeVar("T")

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

tables = MetaData()
fenced = Table("fenced", tables, Column("id", Id(), primary_key=True), Column("epoch", Integer, nullable=False), Column("hits", Integer))
notes = Table(
    "notes",
    tables,
    Column("id", Id(), primary_key=True),
    Column("run_id", Id(), ForeignKey("fenced.id")),
    Column("text", Name(40)),
    Column("number", Integer),
)
values = Table(
    "all_values",
    tables,
    Column("id", Id(), primary_key=True),
    tenant_column(),
    Column("name", Name(20)),
    Column("at", UtcDateTime()),
    Column("json", Json()),
    Column("long", LongText()),
    Column("body", CompressedBytes()),
    Column("secret", Encrypted("all_values.secret")),
    Column("flag", Boolean),
)

ADD_FENCED = insert(fenced)
ADD_NOTE = insert(notes)


class Xor:
    """A cipher for tests: reversible, keyed, bound to its context, and visibly not the plain text."""

    def __init__(self, key: int = 0x5A) -> None:
        self._key = key

    def encrypt(self, data: bytes, *, context: bytes) -> bytes:
        """`context`, then the data with every byte changed."""
        return context + b"|" + bytes(byte ^ self._key for byte in data)

    def decrypt(self, data: bytes, *, context: bytes) -> bytes:
        """What was encrypted under that context."""
        prefix, _, rest = data.partition(b"|")
        assert prefix == context
        return bytes(byte ^ self._key for byte in rest)


@asynccontextmanager
async def opened(
    url: str, *, hooks: Hooks | None = None, options: Options | None = None, clock: Clock | None = None, create: bool = True
) -> AsyncIterator[Database]:
    """The database at `url` with the suites' tables and two runs, `run-a` at epoch 1 and `run-b` at epoch 7."""
    clock, hooks, options = clock or SystemClock(), hooks or Hooks(), options or Options()
    async with open_database(url, clock=clock, ids=Ids(clock), fence_table=fenced, hooks=hooks, options=options) as db:
        if create:
            await db.migrate(lambda conn: outbox.metadata.create_all(conn, tables=[outbox, outbox_cursors]))
            await db.migrate(tables.create_all)
            rows = [{"id": "run-a", "epoch": 1, "hits": 0}, {"id": "run-b", "epoch": 7, "hits": 0}]
            await db.write(lambda conn: conn.execute(ADD_FENCED, rows) and None)
        yield db


def note(note_id: str, *, text: str | None = None, run_id: str | None = None, number: int | None = None) -> Item:
    """The insertion of one note."""
    return ADD_NOTE, {"id": note_id, "run_id": run_id, "text": text, "number": number}


def happened(number: int, *, tenant_id: TenantId = DEFAULT_TENANT) -> Event:
    """An event that says `number`."""
    return Event(type="alert.received", timestamp=MOMENT, source="tests", tenant_id=tenant_id, data={"number": number})


async def until(check: Callable[[], Awaitable[T | None]], *, seconds: float = 10.0) -> T:
    """The first result of `check` that is not None; asked again and again until the time is up."""
    for _ in range(round(seconds / 0.01)):
        if (found := await check()) is not None:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"nothing within {seconds} s")


async def note_ids(db: Database) -> list[str]:
    """The ids of all notes, in order."""
    return await db.read(lambda conn: list(conn.execute(select(notes.c.id).order_by(notes.c.id)).scalars()))


async def hits(db: Database, run_id: str = "run-a") -> int:
    """How often the run was hit."""
    return int(await db.read(lambda conn: conn.execute(select(fenced.c.hits).where(fenced.c.id == run_id)).scalar_one()))


async def published(db: Database) -> list[OutboxRow]:
    """All events that have a position."""
    return await db.read(lambda conn: read_after(conn, 0, 100_000, tenant_id=None))
