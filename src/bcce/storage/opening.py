"""Chooses the implementation by the URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import Table, make_url
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
_KNOWN: Final = frozenset({*_DRIVERS.values(), "mysql+aiomysql", "mariadb+aiomysql"})


@asynccontextmanager
async def open_url(url: str, *, clock: Clock, name: str, fence_table: Table, hooks: Hooks, options: Options) -> AsyncIterator[Database]:
    """See `open_database`. `name` is the id of this opening."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        # Without the cause: its message holds the URL, which may hold a password.
        raise UnknownDatabase("that is no database URL", hint="for example sqlite:////var/lib/bcce/bcce.sqlite") from None
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        async with open_sqlite(parsed, clock=clock, name=name, fence_table=fence_table, hooks=hooks, options=options) as sqlite:
            yield sqlite
        return
    driver = _DRIVERS.get(parsed.drivername, parsed.drivername)
    if driver not in _KNOWN:
        known = ", ".join(["sqlite", *_DRIVERS, "mysql+aiomysql"])
        raise UnknownDatabase(f"BCCE cannot use a database of the kind {parsed.drivername!r}", hint=f"it can use: {known}")
    async with open_server(parsed.set(drivername=driver), name=name, fence_table=fence_table, hooks=hooks, options=options) as server:
        yield server
