"""Chooses the implementation by the URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Table, make_url
from sqlalchemy.exc import ArgumentError

from bcce.kit.clock import Clock
from bcce.storage.doors import Database, Hooks, Options
from bcce.storage.errors import UnknownDatabase
from bcce.storage.server import open_server
from bcce.storage.sqlite import open_sqlite

#: Backend names as they stand in URLs, and the driver that each gets when the URL names none.
_DRIVERS: Final = {
    "postgresql": "postgresql+asyncpg",
    "mysql": "mysql+asyncmy",
    "mariadb": "mariadb+asyncmy",
}
_SQLITE: Final = ("sqlite", "sqlite+pysqlite")
_KNOWN: Final = frozenset({*_DRIVERS.values(), "mysql+aiomysql", "mariadb+aiomysql"})


def parse_url(url: str) -> URL:
    """The address of a database that BCCE can use, with its driver; no I/O.

    Raises:
        UnknownDatabase: it is no address, or one of another kind of database; never with a part of it that may be a password.
    """
    # The cause is left out: its message may hold the URL, and a port that is no number may be a password behind a forgotten host.
    refusal = UnknownDatabase("that is no database URL", hint="for example sqlite:////var/lib/bcce/bcce.sqlite")
    try:
        parsed = make_url(url)
        scheme = parsed.drivername
    except (ArgumentError, ValueError):
        raise refusal from None
    if scheme in _SQLITE:
        if not Path(parsed.database or "").is_absolute():
            raise UnknownDatabase("a SQLite database needs an absolute path", hint="write it as sqlite:////var/lib/bcce/bcce.sqlite")
        return parsed
    driver = _DRIVERS.get(scheme, scheme)
    if driver not in _KNOWN:
        known = ", ".join(["sqlite", *_DRIVERS, "mysql+aiomysql"])
        raise UnknownDatabase(f"BCCE cannot use a database of the kind {scheme!r}", hint=f"it can use: {known}")
    if not parsed.host or not parsed.database:
        raise UnknownDatabase("the database URL names no host or no database", hint=f"write {scheme}://user:password@host:port/database")
    return parsed.set(drivername=driver)


@asynccontextmanager
async def open_url(url: str, *, clock: Clock, name: str, fence_table: Table, hooks: Hooks, options: Options) -> AsyncIterator[Database]:
    """See `open_database`. `name` is the id of this opening."""
    parsed = parse_url(url)
    if parsed.drivername in _SQLITE:
        async with open_sqlite(parsed, clock=clock, name=name, fence_table=fence_table, hooks=hooks, options=options) as sqlite:
            yield sqlite
        return
    async with open_server(parsed, name=name, fence_table=fence_table, hooks=hooks, options=options) as server:
        yield server
