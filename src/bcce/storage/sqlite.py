"""A database in one SQLite file: one thread writes, a few read, one process has it.

A second writing connection would wait for the first one's locks; with one there is nothing to wait for but the disk.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar, cast

from sqlalchemy import URL, Connection, Engine, NullPool, QueuePool, Table, create_engine, event

from bcce.kit.clock import Clock, format_time
from bcce.storage.doors import Append, Cipher, DialectName, Hooks, Options
from bcce.storage.errors import DatabaseUnavailable, UnknownDatabase
from bcce.storage.faults import translate
from bcce.storage.listeners import Listeners
from bcce.storage.lockfile import locked
from bcce.storage.sequencer import Sequencer
from bcce.storage.types import CIPHER_ATTRIBUTE, NOW_FUNCTION
from bcce.storage.writer import Writer

T = TypeVar("T")

#: RETURNING and UPDATE … FROM, both used here and by the domains.
_OLDEST: Final = (3, 35, 0)
#: An operator's sqlite3 shell may hold the write lock for a moment; nobody else can. Seconds, and never longer than `Options.timeout_s`.
_BUSY_TIMEOUT_S: Final = 5.0
_WRITER_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    # After a burst the log file gives its room back, down to this many bytes.
    "PRAGMA journal_size_limit=67108864",
)
_READER_PRAGMAS: Final = (
    "PRAGMA query_only=ON",
    # KiB, half of SQLite's own for each reader: the system keeps the file's pages anyway, and once for all of them.
    "PRAGMA cache_size=-1000",
)


class SqliteDatabase:
    """A `Database` over one file; `open_sqlite` makes it."""

    dialect: DialectName = "sqlite"

    def __init__(self, url: URL, *, clock: Clock, fence_table: Table, hooks: Hooks, options: Options) -> None:
        sequencer = Sequencer(hooks)
        self._listeners = Listeners(hooks.after_commit)
        wait_s = min(_BUSY_TIMEOUT_S, options.timeout_s)
        self._writing = _engine(url, "BEGIN IMMEDIATE", _WRITER_PRAGMAS, clock=clock, cipher=hooks.cipher, keep=0, wait_s=wait_s)
        sequencer.watch(self._writing)
        self._reading = _engine(url, "BEGIN", _READER_PRAGMAS, clock=clock, cipher=hooks.cipher, keep=options.readers, wait_s=wait_s)
        self._pool = ThreadPoolExecutor(options.readers, thread_name_prefix="bcce-sqlite-reader")
        self._writer = Writer(
            self._writing, fence_table=fence_table, sequencer=sequencer, notify=self._listeners.notify, limit=options.queue_limit
        )
        self._is_closed = False

    async def append(self, op: Append) -> None:
        """See `Database.append`."""
        await self._writer.submit(op)

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """See `Database.write`."""
        return cast("T", await self._writer.submit(fn))

    async def migrate(self, fn: Callable[[Connection], T]) -> T:
        """See `Database.migrate`."""
        return cast("T", await self._writer.submit(fn, is_alone=True))

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """See `Database.read`."""
        if self._is_closed:
            raise DatabaseUnavailable("the database is closed")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, fn)

    def on_commit(self, callback: Callable[[], None]) -> None:
        """See `Database.on_commit`."""
        self._listeners.add(callback)

    def healthy(self) -> bool:
        """See `Database.healthy`."""
        return self._writer.is_healthy

    async def close(self) -> None:
        """See `Database.close`."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._writer.close()
        await asyncio.to_thread(self._pool.shutdown)
        # The last connection to close moves the log into the file; the readers' are the last.
        await asyncio.to_thread(self._reading.dispose)
        self._writing.dispose()

    def _read(self, fn: Callable[[Connection], T]) -> T:
        try:
            with self._reading.connect() as conn:
                return fn(conn)
        except Exception as error:
            problem = translate(error)
            if problem is error:
                raise
            raise problem from error


def _engine(url: URL, begin: str, pragmas: tuple[str, ...], *, clock: Clock, cipher: Cipher | None, keep: int, wait_s: float) -> Engine:
    arguments = {"isolation_level": None, "check_same_thread": False, "timeout": wait_s}
    if keep:
        engine = create_engine(url, poolclass=QueuePool, pool_size=keep, max_overflow=0, connect_args=arguments, hide_parameters=True)
    else:
        engine = create_engine(url, poolclass=NullPool, connect_args=arguments, hide_parameters=True)
    setattr(engine.dialect, CIPHER_ATTRIBUTE, cipher)

    def now(offset_s: float) -> str:
        return format_time(clock.now() + timedelta(seconds=offset_s))

    def connected(connection: sqlite3.Connection, _: object) -> None:
        connection.create_function(NOW_FUNCTION, 1, now)
        for pragma in pragmas:
            connection.execute(pragma)

    event.listen(engine, "connect", connected)
    # Python's module begins transactions late and only for writing, so it is told not to (isolation_level None) and this is done instead.
    event.listen(engine, "begin", lambda conn: conn.exec_driver_sql(begin))
    return engine


def _checked_path(url: URL) -> Path:
    if sqlite3.sqlite_version_info < _OLDEST:
        raise UnknownDatabase(f"SQLite {sqlite3.sqlite_version} is too old", hint="3.35 or later is needed, or use a PostgreSQL server")
    return Path(url.database or "")  # absolute, which `parse_url` saw to


def _make_private(path: Path) -> None:
    """Make the file before SQLite does, so that only its owner can read it; the log files take its permissions."""
    try:
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise DatabaseUnavailable(f"cannot open {path}: {error.strerror}", hint="the folder must exist and be writable") from error


@asynccontextmanager
async def open_sqlite(
    url: URL, *, clock: Clock, name: str, fence_table: Table, hooks: Hooks, options: Options
) -> AsyncIterator[SqliteDatabase]:
    """The database in the file of `url` under its lock; see `open_database`."""
    path = _checked_path(url)
    with locked(path, owner=name):
        await asyncio.to_thread(_make_private, path)
        database = SqliteDatabase(url.set(drivername="sqlite+pysqlite"), clock=clock, fence_table=fence_table, hooks=hooks, options=options)
        try:
            # The first transaction finds out whether the file is a database at all.
            await database.write(lambda conn: conn.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar())
            yield database
        finally:
            await database.close()
