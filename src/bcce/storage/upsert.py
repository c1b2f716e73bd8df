"""Insert-or-update in one statement, the same on SQLite, PostgreSQL, MySQL and MariaDB."""

from collections.abc import Callable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from sqlalchemy import BindParameter, Column, ColumnElement, Insert, Table, case, insert, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement, visitors
from sqlalchemy.sql.base import SyntaxExtension
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import TypeEngine


class Row:
    """A row's columns by name: `row.times_seen` or `row["times_seen"]`."""

    def __init__(self, columns: Mapping[str, ColumnElement[Any]]) -> None:
        self._columns = columns

    def __getitem__(self, name: str) -> ColumnElement[Any]:
        return self._columns[name]

    def __getattr__(self, name: str) -> ColumnElement[Any]:
        try:
            return self._columns[name]
        except KeyError:
            raise AttributeError(name) from None


def upsert(
    table: Table,
    *,
    keys: Sequence[str],
    changes: Sequence[str] | Callable[[Row, Row], Mapping[str, object]] = (),
    where: Callable[[Row, Row], ColumnElement[bool]] | None = None,
) -> Insert:
    """An INSERT that changes the row with the same key instead, if there is one; a plain `Executable`, fit for an `Item`.

    Args:
        keys: the columns of the primary key or of a unique index. MySQL and MariaDB look at every unique index of the table.
        changes: what the existing row gets: names of columns that take the new row's value, or a function of the existing row (`old`)
            and the one that was to be inserted (`new`) that returns an expression for each column. All expressions see the existing row
            as it was before. Nothing: the existing row stays as it is.
        where: the existing row is only changed if this holds; None: always.

    Constants inside the expressions become part of the statement's text, so they must come from the program, not from data. The
    number of rows that the database reports differs between dialects: do not use it.

    Raises:
        KeyError: the table has no such column.
        ValueError: two columns each need the other's former value, which MySQL and MariaDB cannot do.
    """
    old = Row({column.name: column for column in table.c})
    new = Row({column.name: _Incoming(column) for column in table.c})
    given = changes(old, new) if callable(changes) else {name: new[name] for name in changes}
    assigned = {name: _expression(table.c[name], value) for name, value in given.items()}
    condition = None if where is None else _with_constants(where(old, new))
    names = _assignment_order(table, assigned, condition)
    clause = _OnConflict([table.c[name] for name in keys], [(table.c[name], assigned[name]) for name in names], condition)
    return insert(table).ext(clause)


class _Incoming(ColumnElement[Any]):
    """A column of the row that was to be inserted."""

    inherit_cache = True
    _traverse_internals = [("name", InternalTraversal.dp_string), ("type", InternalTraversal.dp_type)]  # noqa: RUF012 - SQLAlchemy's own form

    def __init__(self, column: Column[Any]) -> None:
        self.name = column.name
        self.type: TypeEngine[Any] = column.type


class _Constant(ColumnElement[Any]):
    """A value that is written into the statement's text and belongs to the statement's cache key.

    Bound parameters are no choice here: asyncmy joins the rows of an `executemany` into one INSERT, and then has no values for parameters
    that stand behind them.
    """

    inherit_cache = True
    _traverse_internals = [("shown", InternalTraversal.dp_string), ("type", InternalTraversal.dp_type)]  # noqa: RUF012 - SQLAlchemy's own form

    def __init__(self, parameter: BindParameter[Any]) -> None:
        self.value = parameter.effective_value
        # For the cache key, which needs something hashable: a JSON constant is not.
        self.shown = repr(self.value)
        self.type = parameter.type


class _OnConflict(SyntaxExtension, ClauseElement):
    """What follows the VALUES of an upsert."""

    inherit_cache = True
    _traverse_internals = [  # noqa: RUF012 - SQLAlchemy's own form
        ("key", InternalTraversal.dp_clauseelement_list),
        ("columns", InternalTraversal.dp_clauseelement_list),
        ("expressions", InternalTraversal.dp_clauseelement_list),
        ("condition", InternalTraversal.dp_clauseelement),
    ]

    def __init__(
        self, key: list[Column[Any]], assigned: list[tuple[Column[Any], ColumnElement[Any]]], condition: ColumnElement[bool] | None
    ) -> None:
        self.key = key
        self.columns = [column for column, _ in assigned]
        self.expressions = [expression for _, expression in assigned]
        self.condition = condition

    def apply_to_insert(self, insert_stmt: Insert) -> None:
        """SQLAlchemy's call when the clause is put onto its statement."""
        insert_stmt.apply_syntax_extension_point(self.append_replacing_same_type, "post_values")


def _expression(column: Column[Any], value: object) -> ColumnElement[Any]:
    return _with_constants(value if isinstance(value, ColumnElement) else literal(value, column.type))


def _with_constants(expression: ColumnElement[Any]) -> ColumnElement[Any]:
    def replace(element: Any, **_: Any) -> ColumnElement[Any] | None:
        return _Constant(element) if isinstance(element, BindParameter) else None

    replaced: ColumnElement[Any] = visitors.replacement_traverse(expression, {}, replace)
    return replaced


def _assignment_order(table: Table, assigned: Mapping[str, ColumnElement[Any]], condition: ColumnElement[bool] | None) -> list[str]:
    """The columns so ordered that each is assigned after all expressions that read it.

    MySQL and MariaDB carry out the assignments one after the other, each seeing the results of those before; standard SQL does not.
    """
    shared = _columns_read(table, condition)
    readers: dict[str, set[str]] = {name: set() for name in assigned}
    for reader, expression in assigned.items():
        for name in (_columns_read(table, expression) | shared) & assigned.keys():
            if name != reader:
                readers[name].add(reader)
    try:
        return list(TopologicalSorter(readers).static_order())
    except CycleError as error:
        raise ValueError(f"columns {sorted(set(error.args[1]))} of {table.name} each need the former value of the other") from error


def _columns_read(table: Table, expression: ColumnElement[Any] | None) -> set[str]:
    if expression is None:
        return set()
    return {element.name for element in visitors.iterate(expression) if isinstance(element, Column) and element.table is table}


@compiles(_Incoming)
def _incoming(element: _Incoming, compiler: SQLCompiler, **_: Any) -> str:
    return f"excluded.{compiler.preparer.quote(element.name)}"


@compiles(_Incoming, "mysql")
@compiles(_Incoming, "mariadb")
def _incoming_mysql(element: _Incoming, compiler: SQLCompiler, **_: Any) -> str:
    return f"VALUES({compiler.preparer.quote(element.name)})"


@compiles(_Constant)
def _constant(element: _Constant, compiler: SQLCompiler, **_: Any) -> str:
    return compiler.render_literal_value(element.value, element.type)


@compiles(_OnConflict)
def _on_conflict(element: _OnConflict, compiler: SQLCompiler, **kw: Any) -> str:
    key = ", ".join(compiler.preparer.quote(column.name) for column in element.key)
    if not element.columns:
        return f"ON CONFLICT ({key}) DO NOTHING"
    pairs = zip(element.columns, element.expressions, strict=True)
    changes = ", ".join(f"{compiler.preparer.quote(column.name)} = {compiler.process(expression, **kw)}" for column, expression in pairs)
    condition = "" if element.condition is None else f" WHERE {compiler.process(element.condition, **kw)}"
    return f"ON CONFLICT ({key}) DO UPDATE SET {changes}{condition}"


@compiles(_OnConflict, "mysql")
@compiles(_OnConflict, "mariadb")
def _on_duplicate_key(element: _OnConflict, compiler: SQLCompiler, **kw: Any) -> str:
    if not element.columns:
        # Not INSERT IGNORE: that would also swallow values that do not fit.
        name = compiler.preparer.quote(element.key[0].name)
        return f"ON DUPLICATE KEY UPDATE {name} = {name}"
    changes = []
    for column, expression in zip(element.columns, element.expressions, strict=True):
        chosen = expression if element.condition is None else case((element.condition, expression), else_=column)
        changes.append(f"{compiler.preparer.quote(column.name)} = {compiler.process(chosen, **kw)}")
    return f"ON DUPLICATE KEY UPDATE {', '.join(changes)}"
