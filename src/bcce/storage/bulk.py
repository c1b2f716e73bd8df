"""Many rows of one prepared statement, with the work that is the same for all of them done once.

SQLAlchemy builds a dictionary for each row before it makes a tuple of it; for the journal's rows that costs more than SQLite itself.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase

from bcce.storage.sequencer import touch


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
        self._processed: list[tuple[int, Callable[[Any], Any]]] = [
            (at, processor) for at, processor in enumerate(map(processors.get, names)) if processor is not None
        ]
        self.table = getattr(statement.table, "name", None) if isinstance(statement, UpdateBase) else None
        self.is_insert = bool(getattr(statement, "is_insert", False))

    def values(self, row: Mapping[str, object]) -> tuple[Any, ...]:
        """The driver's values of one row."""
        values = list(self._pick({**self._constants, **row} if self._constants else row))
        for at, process in self._processed:
            # None is NULL in every type.
            if values[at] is not None:
                values[at] = process(values[at])
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


def execute_many(conn: Connection, statement: Executable, rows: Sequence[Mapping[str, object]]) -> None:
    """Execute a prepared statement once for each of `rows`, which all have the same keys. The statement is one object of a module."""
    plan = planned(statement, conn.dialect, tuple(rows[0]))
    if plan.is_insert:
        touch(conn, plan.table)
    if not plan.is_fixed:
        conn.execute(statement, rows)
        return
    conn.exec_driver_sql(plan.text, [plan.values(row) for row in rows])
