"""What a driver's error means, in the words of `errors`: the one place that knows SQLSTATEs and error numbers.

Messages of drivers hold values of rows, so none of them gets into ours; the driver's error stays the cause.
"""

import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bcce.kit.errors import BcceError
from bcce.storage.errors import DatabaseBusy, DatabaseUnavailable, Duplicate, ReadOnly, RowRefused, ValueRefused

#: SQLSTATE: serialization failure, deadlock, lock not available. MySQL: lock wait timeout, deadlock, row changed since the snapshot.
_TRANSIENT_STATES: Final = frozenset({"40001", "40P01", "55P03"})
_TRANSIENT_NUMBERS: Final = frozenset({1020, 1205, 1213})

_MYSQL_DUPLICATE: Final = frozenset({1022, 1062, 1586})
_MYSQL_ROW: Final = frozenset({1048, 1216, 1217, 1364, 1451, 1452, 3819, 4025})
_MYSQL_VALUE: Final = frozenset({1153, 1264, 1265, 1292, 1366, 1406, 1690})
_MYSQL_READ_ONLY: Final = frozenset({1792})
_MYSQL_OUTAGE: Final = frozenset(
    {1021, 1037, 1040, 1041, 1053, 1114, 1203, 1226, 1290, 1836, 1927, 1969, 2002, 2003, 2006, 2013, 2055, 3024}
)
_MYSQL_MISSING_TABLE: Final = 1146

_SQLITE_DUPLICATE: Final = frozenset({"SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_ROWID"})
_SQLITE_VALUE: Final = frozenset({"SQLITE_TOOBIG", "SQLITE_MISMATCH", "SQLITE_RANGE"})
_SQLITE_OUTAGE: Final = ("BUSY", "LOCKED", "FULL", "IOERR", "CANTOPEN", "CORRUPT", "NOTADB", "NOMEM", "PROTOCOL", "PERM", "AUTH")
#: Classes of SQLSTATE that say that the server cannot work now: connection, resources, operator intervention, system error.
_OUTAGE_CLASSES: Final = frozenset({"08", "53", "57", "58"})


def translate(error: Exception) -> Exception:
    """The error of ours that says the same; `error` itself when it is one of ours, a caller's, or a mistake in the SQL."""
    if isinstance(error, StatementError) and isinstance(error.orig, BcceError):
        return error.orig
    if isinstance(error, PoolTimeout):
        return DatabaseBusy("no connection to the database became free in time")
    if not isinstance(error, DBAPIError):
        return error
    return _of_sqlite(error, error.orig) if isinstance(error.orig, sqlite3.Error) else _of_server(error)


def caused(error: Exception) -> Exception:
    """`translate(error)` with `error` as its cause, for one that is handed to a caller instead of being raised here."""
    problem = translate(error)
    if problem is not error:
        problem.__cause__ = error
    return problem


def is_transient(error: Exception) -> bool:
    """Another transaction was in the way; the whole unit may be repeated at once."""
    return isinstance(error, DBAPIError) and (_state(error) in _TRANSIENT_STATES or _number(error) in _TRANSIENT_NUMBERS)


def is_disconnect(error: Exception) -> bool:
    """The connection is gone or never was; before a commit, the unit may be repeated on a new one."""
    return isinstance(error, DBAPIError) and (error.connection_invalidated or (_state(error) or "")[:2] == "08")


def is_isolatable(error: Exception) -> bool:
    """Without the statement that failed, the rest of the transaction can go on under its savepoint."""
    return not isinstance(error, DBAPIError) or not (is_transient(error) or isinstance(translate(error), DatabaseUnavailable))


def is_definite(error: Exception) -> bool:
    """A failed COMMIT that certainly stored nothing: the database itself refused it."""
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return False
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_name(error.orig).startswith(("SQLITE_CONSTRAINT", "SQLITE_FULL", "SQLITE_BUSY"))
    return (_state(error) or "")[:2] in ("23", "40") or _number(error) in _TRANSIENT_NUMBERS | _MYSQL_ROW | _MYSQL_DUPLICATE


def is_missing_table(error: Exception) -> bool:
    """The schema has not been made yet."""
    return isinstance(error, DBAPIError) and (_state(error) == "42P01" or _number(error) == _MYSQL_MISSING_TABLE)


def _of_sqlite(error: DBAPIError, original: sqlite3.Error) -> Exception:
    name = _sqlite_name(original)
    if name in _SQLITE_DUPLICATE:
        return Duplicate(details={"reason": name})
    if name.startswith("SQLITE_CONSTRAINT"):
        return RowRefused(details={"reason": name})
    if name.startswith("SQLITE_READONLY"):
        return ReadOnly()
    if name in _SQLITE_VALUE or isinstance(error, InterfaceError) or str(original).startswith("Error binding parameter"):
        return ValueRefused(details={"reason": name or "type"})
    if name.startswith(tuple(f"SQLITE_{outage}" for outage in _SQLITE_OUTAGE)):
        hint = "make room on the disk" if name == "SQLITE_FULL" else "look at the disk and at the permissions of the database's folder"
        return DatabaseUnavailable(f"SQLite cannot use the file ({name})", hint=hint, details={"reason": name})
    return error


def _of_server(error: DBAPIError) -> Exception:
    state, number = _state(error) or "", _number(error)
    details: dict[str, object] = {"reason": state or number or type(error.orig).__name__}
    if state == "23505" or number in _MYSQL_DUPLICATE:
        return Duplicate(details=details)
    if state.startswith("23") or number in _MYSQL_ROW:
        return RowRefused(details=details)
    if state.startswith("22") or number in _MYSQL_VALUE:
        hint = "raise the server's max_allowed_packet" if number == 1153 else None
        return ValueRefused(details=details, hint=hint)
    if state == "25006" or number in _MYSQL_READ_ONLY:
        return ReadOnly()
    if is_disconnect(error) or is_transient(error) or state[:2] in _OUTAGE_CLASSES or number in _MYSQL_OUTAGE:
        return DatabaseUnavailable(details=details)
    return error


def _sqlite_name(original: sqlite3.Error) -> str:
    # Errors of the Python module itself (a type it cannot bind, say) have no name.
    return str(getattr(original, "sqlite_errorname", ""))


def _state(error: DBAPIError) -> str | None:
    state = getattr(error.orig, "sqlstate", None)
    return str(state) if state else None


def _number(error: DBAPIError) -> int | None:
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None
