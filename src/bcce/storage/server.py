"""PostgreSQL, MySQL and MariaDB: appends of many callers in one transaction, each write in a short one of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Table, text

from bcce.storage.appender import Appender
from bcce.storage.doors import Append, DialectName, Hooks, Options
from bcce.storage.errors import DatabaseBusy, DatabaseUnavailable, UnknownDatabase
from bcce.storage.leader import Leader
from bcce.storage.listeners import Listeners
from bcce.storage.sequencer import Sequencer
from bcce.storage.server_engine import OLDEST_VERSIONS, make_engine
from bcce.storage.transactor import Transactor

T = TypeVar("T")

#: Connections beside those for writes: the appender's and the leader's.
_OWN_CONNECTIONS: Final = 2
#: Any number will do, as long as every BCCE uses the same: it names the turn to change the schema.
_MIGRATION_LOCK: Final = 0x62636365
_MIGRATION_WAIT_S: Final = 600


class ServerDatabase:
    """A `Database` on a server; `open_server` makes it.

    Each write and each read is a task of its own that nobody cancels: a driver that is stopped in the middle of an exchange with the server
    leaves a connection that nobody may use again.
    """

    def __init__(self, url: URL, *, name: str, fence_table: Table, hooks: Hooks, options: Options) -> None:
        self.dialect: DialectName = "postgresql" if url.get_backend_name() == "postgresql" else "mysql"
        self._url, self._name, self._cipher, self._options = url, name, hooks.cipher, options
        limit_s = options.timeout_s
        size = options.writers + _OWN_CONNECTIONS
        self._writing = make_engine(url, name=name, cipher=hooks.cipher, size=size, timeout_s=limit_s, is_reader=False)
        self._reading = make_engine(url, name=name, cipher=hooks.cipher, size=options.readers, timeout_s=limit_s, is_reader=True)
        self._writer = Transactor(self._writing, timeout_s=limit_s)
        self._reader = Transactor(self._reading, timeout_s=limit_s)
        self._sequencer = Sequencer(hooks)
        self._sequencer.watch(self._writing.sync_engine)
        self._listeners = Listeners(hooks.after_commit)
        self._leader = Leader(self._writer, sequencer=self._sequencer, notify=self._listeners.notify, tick_s=options.leader_tick_s)
        self._appender = Appender(self._transact, fence_table=fence_table)
        self._write_places = asyncio.Semaphore(options.writers)
        self._read_places = asyncio.Semaphore(options.readers)
        self._writes: set[asyncio.Task[Any]] = set()
        self._reads: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    async def check(self) -> None:
        """Find out whether the server answers and is new enough.

        Raises:
            DatabaseUnavailable: no answer, or it does not let us in.
            UnknownDatabase: it is too old.
        """
        kind, version = await self._writer.run(lambda conn: (_kind(conn), conn.dialect.server_version_info or ()))
        oldest = OLDEST_VERSIONS[kind]
        if version[: len(oldest)] < oldest:
            shown, needed = (".".join(map(str, numbers)) for numbers in (version, oldest))
            raise UnknownDatabase(f"{kind} {shown} is too old", hint=f"{needed} or later is needed")

    async def append(self, op: Append) -> None:
        """See `Database.append`."""
        self._check_room()
        await self._appender.append(op)

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """See `Database.write`."""
        self._check_room()
        return await self._detached(self._in_turn(self._write_places, lambda: self._transact(fn)), self._writes)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """See `Database.read`."""
        self._check_open()
        return await self._detached(self._in_turn(self._read_places, lambda: self._reader.run(fn)), self._reads)

    async def migrate(self, fn: Callable[[Connection], T]) -> T:
        """See `Database.migrate`."""
        self._check_room()
        return await self._detached(self._migrate(fn), self._writes)

    def on_commit(self, callback: Callable[[], None]) -> None:
        """See `Database.on_commit`."""
        self._listeners.add(callback)

    def healthy(self) -> bool:
        """See `Database.healthy`."""
        return not self._is_closed and self._appender.is_healthy and self._leader.is_healthy and self._writer.is_answering

    async def close(self) -> None:
        """See `Database.close`."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._appender.close()
        await asyncio.gather(*self._writes, *self._reads, return_exceptions=True)
        await self._leader.close()
        await self._writing.dispose()
        await self._reading.dispose()

    async def _transact(self, fn: Callable[[Connection], T]) -> T:
        needs_sequence = False

        def unit(conn: Connection) -> T:
            nonlocal needs_sequence
            self._sequencer.begin(conn)
            result = fn(conn)
            needs_sequence = self._sequencer.is_needed(conn)
            return result

        result = await self._writer.run(unit)
        if needs_sequence:
            self._leader.poke()
        return result

    async def _migrate(self, fn: Callable[[Connection], T]) -> T:
        engine = make_engine(self._url, name=self._name, cipher=self._cipher, size=1, timeout_s=None, is_reader=False)

        def unit(conn: Connection) -> T:
            _await_turn(conn)
            return fn(conn)

        try:
            return await Transactor(engine, timeout_s=None).run(unit)
        finally:
            # Closing the connection also gives up MySQL's lock, which belongs to the session.
            await engine.dispose()

    async def _in_turn(self, places: asyncio.Semaphore, action: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async with places:
            return await action()

    async def _detached(self, work: Coroutine[Any, Any, T], tasks: set[asyncio.Task[Any]]) -> T:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return await asyncio.shield(task)

    def _check_open(self) -> None:
        if self._is_closed:
            raise DatabaseUnavailable("the database is closed")

    def _check_room(self) -> None:
        self._check_open()
        waiting, limit = self._appender.waiting + len(self._writes), self._options.queue_limit
        if waiting >= limit:
            raise DatabaseBusy(f"{waiting} writes are waiting already", details={"waiting": waiting, "limit": limit})


def _kind(conn: Connection) -> str:
    if conn.dialect.name == "postgresql":
        return "postgresql"
    return "mariadb" if getattr(conn.dialect, "is_mariadb", False) else "mysql"


def _await_turn(conn: Connection) -> None:
    """Wait until no other process changes the schema of this database."""
    if conn.dialect.name == "postgresql":
        before = conn.scalar(text("SHOW lock_timeout"))
        conn.execute(text("SELECT set_config('lock_timeout', :limit, true)"), {"limit": f"{_MIGRATION_WAIT_S}s"})
        conn.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MIGRATION_LOCK})
        conn.execute(text("SELECT set_config('lock_timeout', :limit, true)"), {"limit": before})
        return
    # The names of these locks are shared by all databases of the server, and at most 64 characters long.
    query = text("SELECT GET_LOCK(CONCAT(:prefix, LEFT(MD5(DATABASE()), 32)), :limit)")
    if conn.scalar(query, {"prefix": "bcce-migration-", "limit": _MIGRATION_WAIT_S}) != 1:
        raise DatabaseUnavailable(f"another process has been changing the schema for {_MIGRATION_WAIT_S} s")


@asynccontextmanager
async def open_server(url: URL, *, name: str, fence_table: Table, hooks: Hooks, options: Options) -> AsyncIterator[ServerDatabase]:
    """The database at `url`; see `open_database`."""
    database = ServerDatabase(url, name=name, fence_table=fence_table, hooks=hooks, options=options)
    try:
        await database.check()
        yield database
    finally:
        await database.close()
