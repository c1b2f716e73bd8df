"""Many rows of one prepared statement, with the work that is the same for all of them done once.

SQLAlchemy builds a dictionary for each row before it makes a tuple of it; for the journal's rows that costs more than SQLite itself.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase

from bcce.storage.sequencer import touch
from bcce.storage.types import Name

#: Limits of names that are checked together: of words such as a state, of ids, of keys and digests.
_LIMITS = (range(64), range(64, 65), range(65, sys.maxsize))
#: From so many rows on COPY is worth its own exchange with the server.
_MANY = 8


class Plan:
    """A statement's text, and for each of its parameters where a row has it and how it becomes the driver's."""

    def __init__(self, statement: Executable, dialect: Dialect, keys: tuple[str, ...]) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=list(keys))  # type: ignore[attr-defined]  # every statement of Core can
        if not isinstance(compiled, SQLCompiler):
            raise TypeError("only statements of Core can be executed")
        self.text = str(compiled)
        #: Its text is the same for all rows, and nothing in it is filled in by Python.
        self.is_fixed = not (compiled.post_compile_params or compiled.insert_prefetch or compiled.update_prefetch)
        processors: Mapping[str, Any] = compiled._bind_processors
        constants = compiled.construct_params(dict.fromkeys(keys))
        names = compiled.positiontup or []
        self._constants = {name: constants[name] for name in names if name not in keys}
        self._pick = _picker(names)
        limits = {name: kind.length for name in names if isinstance(kind := compiled.binds[name].type, Name)}
        self._name_checks = [
            (_picker(alike), min(limits[name] for name in alike))
            for alike in ([name for name in limits if limits[name] in kind] for kind in _LIMITS)
            if alike
        ]
        processed = [(at, name, processors[name]) for at, name in enumerate(names) if processors.get(name) is not None]
        self._processed: list[tuple[int, Callable[[Any], Any]]] = [(at, process) for at, name, process in processed if name not in limits]
        self._checked = [(at, process) for at, name, process in processed if name in limits]
        self.table = getattr(statement.table, "name", None) if isinstance(statement, UpdateBase) else None
        self.is_insert = bool(getattr(statement, "is_insert", False))

        group = self.text.rpartition(" VALUES ")[2]
        is_plain = self.is_insert and len(names) > 1 and group.count("(") == 1 and group.endswith(")") and set(names) <= set(keys)
        self._group = group
        self._blocks: dict[int, str] = {}
        #: The columns of rows that need no statement of their own; None when the statement does more than to insert them.
        self.columns = tuple(names) if is_plain else None

    def block(self, size: int) -> str:
        """SQLite's text that inserts so many rows, whose values follow one another; only if there are `columns`."""
        if size not in self._blocks:
            self._blocks[size] = self.text + f", {self._group}" * (size - 1)
        return self._blocks[size]

    def values(self, row: Mapping[str, object]) -> tuple[Any, ...]:
        """The driver's values of one row."""
        given = {**self._constants, **row} if self._constants else row
        values = list(self._pick(given))
        for at, process in self._processed:
            # None is NULL in every type.
            if values[at] is not None:
                values[at] = process(values[at])
        # Half of all values are names, and nearly all of them are so short that they fit any column.
        for pick, limit in self._name_checks:
            if max(map(len, filter(None, pick(given))), default=0) > limit:
                for at, process in self._checked:
                    values[at] = process(values[at])
                break
        return tuple(values)


def _picker(names: Sequence[str]) -> Callable[[Mapping[str, object]], Sequence[Any]]:
    """The values of a row under these names, in this order."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda row: [row[name] for name in names]


@lru_cache(maxsize=256)
def planned(statement: Executable, dialect: Dialect, keys: tuple[str, ...]) -> Plan:
    """The plan for rows with these keys; the statement is one object of a module."""
    return Plan(statement, dialect, keys)


class CopyRefused(Exception):
    """PostgreSQL did not take rows by COPY; its error says so in the driver's own words. The transaction cannot go on."""


def execute_many(conn: Connection, statement: Executable, rows: Sequence[Mapping[str, object]], *, copies: bool = False) -> None:
    """Execute a prepared statement once for each of `rows`, which all have the same keys. The statement is one object of a module.

    Args:
        copies: many rows may go to PostgreSQL by COPY, which takes it and us half as long as a statement for each.

    Raises:
        CopyRefused: and then the caller does it all again without copying, to learn which row it was.
    """
    plan = planned(statement, conn.dialect, tuple(rows[0]))
    if plan.is_insert:
        touch(conn, plan.table)
    if not plan.is_fixed:
        conn.execute(statement, rows)
        return
    values = [plan.values(row) for row in rows]
    if copies and plan.columns is not None and len(values) >= _MANY and conn.dialect.name == "postgresql":
        _copy(conn, plan, values)
    else:
        conn.exec_driver_sql(plan.text, values)


def _copy(conn: Connection, plan: Plan, values: list[tuple[Any, ...]]) -> None:
    adapted: Any = conn.connection.dbapi_connection
    if not adapted.driver_connection.is_in_transaction():
        # SQLAlchemy begins it with the first statement that goes through its own hands.
        conn.exec_driver_sql("SELECT 1")
    try:
        adapted.run_async(lambda driver: driver.copy_records_to_table(plan.table, records=values, columns=plan.columns))
    except Exception as error:  # whatever the driver raises: SQLAlchemy does not translate it here
        raise CopyRefused from error
    except BaseException:
        # Cut off in the middle of an exchange with the server, so nobody may use the connection again.
        conn.invalidate()
        raise
