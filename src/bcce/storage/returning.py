"""UPDATE … RETURNING where the database has it, UPDATE then SELECT where it has not."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Update, select


def update_returning(conn: Connection, statement: Update, *columns: ColumnElement[Any], key: ColumnElement[bool]) -> RowMapping | None:
    """`columns` of the one row that `statement` changed, after the change; None when it changed none.

    Args:
        statement: the UPDATE with all conditions but `key`; conditions may name columns that it changes.
        key: names one row by columns that the statement does not change, as `runs.c.id == run_id`.
    """
    keyed = statement.where(key)
    if conn.dialect.update_returning:
        return conn.execute(keyed.returning(*columns)).mappings().first()
    # MySQL and MariaDB: the row stays locked by the UPDATE, so the SELECT sees what it wrote.
    if conn.execute(keyed).rowcount == 0:
        return None
    return conn.execute(select(*columns).where(key)).mappings().first()
