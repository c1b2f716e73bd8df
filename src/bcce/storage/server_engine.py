"""Connections to a database server: how they are opened, what each session is told, how many there are."""

from importlib import import_module
from typing import Any, Final

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bcce.storage.doors import Cipher
from bcce.storage.types import CIPHER_ATTRIBUTE

#: SKIP LOCKED, window functions and exact collations are needed.
OLDEST_VERSIONS: Final = {"postgresql": (12, 0), "mysql": (8, 0, 17), "mariadb": (10, 6)}
#: How long a statement waits for another one's row lock before its unit is repeated; seconds. Servers find real deadlocks much sooner.
_LOCK_WAIT_S: Final = 10
#: A connection older than this is replaced, so that a server behind a name that moves is found again; seconds.
_RECYCLE_S: Final = 1_800


def make_engine(url: URL, *, name: str, cipher: Cipher | None, size: int, timeout_s: float | None, is_reader: bool) -> AsyncEngine:
    """An engine for reading (REPEATABLE READ, read-only) or for writing (READ COMMITTED).

    Args:
        name: id of this opening, shown in the server's list of connections.
        size: connections at most.
        timeout_s: for one statement and for opening a connection; None: statements may take any time.
    """
    is_postgresql = url.get_backend_name() == "postgresql"
    arguments = _postgresql(name, timeout_s, is_reader=is_reader) if is_postgresql else _mysql(url, name, timeout_s)
    engine = create_async_engine(
        url,
        connect_args=arguments,
        isolation_level="REPEATABLE READ" if is_reader else "READ COMMITTED",
        pool_size=size,
        max_overflow=0,
        pool_timeout=timeout_s or 30.0,
        pool_recycle=_RECYCLE_S,
        # The one taken last is taken next, so that the others are closed by the server in quiet times and not all kept warm.
        pool_use_lifo=True,
        hide_parameters=True,
    )
    setattr(engine.sync_engine.dialect, CIPHER_ATTRIBUTE, cipher)
    if not is_postgresql:
        _tell_mysql(engine, is_reader=is_reader)
    return engine


def _tell_mysql(engine: AsyncEngine, *, is_reader: bool) -> None:
    def connected(connection: Any, _: object) -> None:
        if engine.driver == "aiomysql":
            _mend_escape(connection.driver_connection)
        if is_reader:
            cursor = connection.cursor()
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            cursor.close()

    event.listen(engine.sync_engine, "connect", connected)


def _mend_escape(connection: Any) -> None:
    """Lets aiomysql send bytes: its 0.3.2 calls a function that PyMySQL 1.2 replaced by a text, so every BLOB would be a TypeError."""
    converters = import_module("pymysql.converters")
    if callable(converters.escape_bytes_prefixed):
        return
    escape = connection.escape
    connection.escape = lambda value: converters.escape_bytes(value) if isinstance(value, bytes) else escape(value)


def _postgresql(name: str, timeout_s: float | None, *, is_reader: bool) -> dict[str, Any]:
    settings = {
        "application_name": f"bcce {name}",
        "timezone": "UTC",
        "lock_timeout": f"{_LOCK_WAIT_S}s",
        # Our statements are short; planning them with a compiler costs more than it saves.
        "jit": "off",
    }
    if is_reader:
        settings["default_transaction_read_only"] = "on"
    arguments: dict[str, Any] = {"server_settings": settings, "timeout": timeout_s or 30.0}
    if timeout_s is not None:
        arguments["command_timeout"] = timeout_s
        # A process that stops answering in the middle of a transaction must not hold its locks for ever.
        settings["idle_in_transaction_session_timeout"] = f"{timeout_s:.0f}s"
    return arguments


def _mysql(url: URL, name: str, timeout_s: float | None) -> dict[str, Any]:
    # Strict: what does not fit is an error, never cut. (asyncmy does not quote its own argument for this.)
    mode = "sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"
    arguments: dict[str, Any] = {
        "charset": "utf8mb4",
        "init_command": f"SET SESSION {mode}, time_zone = '+00:00', innodb_lock_wait_timeout = {_LOCK_WAIT_S}",
        "connect_timeout": timeout_s or 30.0,
        "program_name": f"bcce {name}",
    }
    if url.drivername.endswith("+asyncmy"):
        # Marks bytes as bytes; without it the server takes them for broken UTF-8 text and warns.
        arguments["binary_prefix"] = True
    return arguments
