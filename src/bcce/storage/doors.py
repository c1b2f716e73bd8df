"""The two doors through which everything is written, and the one for reading.

`append` is the hot path: prepared statements that share a commit with whatever else is waiting. `write` is for rare decisions that
must read before they write. Both are durable when they return. The implementations are `sqlite` (one writer thread) and `server`
(PostgreSQL, MySQL, MariaDB); callers know neither.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, runtime_checkable

from sqlalchemy import Connection, Executable, Table

from bcce.kit.clock import Clock
from bcce.kit.ids import Ids
from bcce.kit.values import value

T = TypeVar("T")

#: Which SQL a database speaks; MariaDB is `mysql`.
DialectName = Literal["sqlite", "postgresql", "mysql"]

#: A prepared Core statement and the values of its parameters; no parameters when the statement holds its values itself. Build the
#: statement once per module: items that share the statement *object* travel in one `executemany`.
Item = tuple[Executable, Mapping[str, object]]


class Cipher(Protocol):
    """Encrypts and decrypts the values of `Encrypted` columns; both may be called from any thread."""

    def encrypt(self, data: bytes, *, context: bytes) -> bytes:
        """The ciphertext of `data`, bound to `context`: with another context it does not decrypt."""
        ...

    def decrypt(self, data: bytes, *, context: bytes) -> bytes:
        """What was encrypted.

        Raises:
            BcceError: another key, another context, or changed bytes.
        """
        ...


@dataclass(frozen=True, slots=True)
class Fence:
    """Proof of ownership: the write happens only if the run still has this epoch when it commits.

    `is_exclusive`: the items change the run's own row, which is therefore locked for that from the start (a share lock that is turned into
    another one later can deadlock).
    """

    run_id: str
    epoch: int
    is_exclusive: bool = False


@value
class Append:
    """Rows that are stored together or not at all.

    `items` are executed in this order. Two appends of which neither waited for the other have no order between them.
    An append updates the fence table only in rows for which it has an exclusive fence.
    """

    items: tuple[Item, ...]
    fences: tuple[Fence, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Hooks:
    """What the layers above hang into the database.

    Attributes:
        before_commit: the rest of the sequencer (outbox positions are storage's own). Called with the writing connection: on SQLite by the
            writer before a commit that added rows to a table of `sequenced`, on servers by the leader at most 250 ms after such a
            commit. Whatever it returns is ignored; what it raises undoes the commit. None: nothing else needs a sequence.
        sequenced: names of the tables that `before_commit` looks at, beside the outbox. None: it looks at all tables.
        cipher: for `Encrypted` columns; None: they refuse to work.
        after_commit: the first `on_commit` listener; None: no listener.
    """

    before_commit: Callable[[Connection], object] | None = None
    sequenced: frozenset[str] | None = None
    cipher: Cipher | None = None
    after_commit: Callable[[], None] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Limits of one opened database.

    Attributes:
        queue_limit: how many writes may wait; one more raises `DatabaseBusy`.
        readers: connections for reading.
        writers: connections for `write` on servers (SQLite has one).
        timeout_s: how long one transaction on a server may take, with opening a connection; on SQLite how long the writer waits for
            another program that holds the file's lock, at most 5; seconds.
        leader_tick_s: how often a server database looks for rows without a sequence; seconds.
    """

    queue_limit: int = 10_000
    readers: int = 4
    writers: int = 5
    timeout_s: float = 30.0
    leader_tick_s: float = 0.25


@runtime_checkable
class Database(Protocol):
    """An open database. Its methods belong to the event loop that opened it.

    A caller that is cancelled while it waits leaves its write to be carried out all the same: it then cannot know the outcome.
    """

    @property
    def dialect(self) -> DialectName:
        """Which SQL it speaks; MariaDB is `mysql`."""
        ...

    async def append(self, op: Append) -> None:
        """Store the rows of `op`; durable when it returns. A bad one harms none of those that share its commit.

        Raises:
            StaleEpoch: a fence was refused; nothing of `op` is stored.
            Duplicate: a row with such a key exists; nothing of `op` is stored.
            ValueRefused: a value does not fit its column.
            RowRefused: a row breaks another rule of the schema.
            DatabaseBusy: too many writes wait; it was not taken.
            CommitUnknown: the connection was lost during the commit.
            DatabaseUnavailable: no answer, or closed; nothing was stored.
        """
        ...

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """What `fn` returns, with everything it wrote durable; when it raises, nothing of it stays.

        `fn` may be called more than once (a deadlock repeats the whole unit) and on SQLite runs in the writer's thread: it uses only
        `conn` and values prepared before, never commits, never waits for anything else.

        Raises:
            Exception: whatever `fn` raised; database errors as for `append`.
        """
        ...

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """What `fn` returns; all its queries see the database as of one moment. Runs in another thread on SQLite.

        Raises:
            ReadOnly: `fn` tried to write.
            DatabaseUnavailable: no answer, or closed.
        """
        ...

    async def migrate(self, fn: Callable[[Connection], T]) -> T:
        """What `fn` returns, run alone and without a time limit, for changes of the schema.

        Processes that share a server take turns. On SQLite foreign keys are off meanwhile (a table that is rebuilt would lose its
        children) and all of them are checked before the commit.

        Raises:
            RowRefused: a row would be left without its parent.
            Exception: whatever `fn` raised; database errors as for `append`.
        """
        ...

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` in the event loop whenever new outbox events have got their positions; it must not block."""
        ...

    def healthy(self) -> bool:
        """Whether the database took its last transaction and can take another. No I/O."""
        ...

    async def close(self) -> None:
        """Take nothing more, finish and answer what was taken, then close; a second call does nothing."""
        ...


def run(conn: Connection, items: Sequence[Item]) -> None:
    """Execute prepared items inside a `write`, in their order."""
    for statement, values in items:
        conn.execute(statement, dict(values) if values else None)


def open_database(
    url: str,
    *,
    clock: Clock,
    ids: Ids,
    fence_table: Table,
    hooks: Hooks = Hooks(),
    options: Options = Options(),
) -> AbstractAsyncContextManager[Database]:
    """The database at `url`, open as long as the context lasts.

    Args:
        url: `sqlite:////absolute/file.db`, `postgresql://…` (asyncpg) or `mysql://…` (asyncmy; `mysql+aiomysql://…` works too).
        clock: the time of `db_now` on SQLite; servers use their own.
        ids: names this opening (`wrk_…`) in the lock file and in the server's list of connections.
        fence_table: has the columns `id` and `epoch`; fences are checked against it.

    Raises:
        UnknownDatabase: the URL names no file or no known kind of server.
        DatabaseLocked: another process has the SQLite file.
        DatabaseUnavailable: the file cannot be opened, or the server does not answer.
    """
    # The implementations import this module, and a server driver is only loaded by those who use one.
    from bcce.storage.opening import open_url  # noqa: PLC0415 - see above

    return open_url(url, clock=clock, name=ids.new("wrk"), fence_table=fence_table, hooks=hooks, options=options)
