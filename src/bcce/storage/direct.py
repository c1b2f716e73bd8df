"""A commit of nothing but appends, straight through SQLite's driver: the journal's hot path.

The same statements as on the other way, in the same order and with the same values; what is left out is what SQLAlchemy does for each
statement and each transaction, which takes longer than SQLite itself. Whatever goes wrong before the COMMIT undoes the transaction, and
the writer then takes the other way, which finds the bad row and knows what to call its error.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import cast

from sqlalchemy import Connection, Executable, Table
from sqlalchemy.exc import DBAPIError

from bcce.storage.bulk import planned
from bcce.storage.doors import Append
from bcce.storage.errors import StaleEpoch
from bcce.storage.group import gather
from bcce.storage.outbox import HEAD, outbox, outbox_cursors
from bcce.storage.sequencer import Sequencer

_READ_HEAD = f"SELECT position FROM {outbox_cursors.name} WHERE name = ?"  # noqa: S608 - our own names
_MOVE_HEAD = (
    f"INSERT INTO {outbox_cursors.name} (name, position) VALUES (?, ?) "  # noqa: S608 - our own names
    "ON CONFLICT (name) DO UPDATE SET position = excluded.position"
)

#: How many rows one statement inserts: between two statements the event loop may take the interpreter, inside of one both threads work.
_BLOCKS = (64, 16, 4)

Batch = tuple[Executable, list[Mapping[str, object]]]


class DirectWriter:
    """Writes appends through the driver of a connection, if nothing in them needs more than that."""

    def __init__(self, fence_table: Table, sequencer: Sequencer) -> None:
        self._sequencer = sequencer
        # One row however many there are: between any two rows the event loop's thread may take the interpreter for milliseconds.
        self._epochs = (
            f"SELECT group_concat(epoch || ' ' || id, char(10)) FROM {fence_table.name} "  # noqa: S608 - our own name
            "WHERE id IN (SELECT value FROM json_each(?))"
        )
        #: How many events the last transaction gave their positions.
        self.events = 0

    def write(self, conn: Connection, appends: Sequence[Append]) -> list[Exception | None] | None:
        """Write `appends` in a transaction that `commit` ends; for each, why it was left out, or None.

        None instead of a list: nothing was written, and it has to be done in another way.

        Raises:
            DBAPIError: no transaction can begin.
        """
        batches = gather(appends)
        if any(self._is_beyond(conn, batch) for batch in batches):
            return None
        driver = _driver(conn)
        _say(driver, "BEGIN IMMEDIATE")
        try:
            held = self._held(driver, appends)
            outcomes = [_refusal(op, held) for op in appends]
            if any(outcomes):
                batches = gather([op for op, outcome in zip(appends, outcomes, strict=True) if outcome is None])
            self.events = 0
            for statement, rows in batches:
                self._execute(conn, driver, statement, rows)
        except Exception:
            # SQLite itself has undone it after some errors, a full disk for one.
            if driver.in_transaction:
                _say(driver, "ROLLBACK")
            return None
        return outcomes

    def commit(self, conn: Connection) -> None:
        """End the transaction.

        Raises:
            DBAPIError: the driver's error.
        """
        _say(_driver(conn), "COMMIT")

    def _is_beyond(self, conn: Connection, batch: Batch) -> bool:
        """The statement needs SQLAlchemy, or its rows a place in a sequence that only the layers above can give."""
        statement, rows = batch
        plan = planned(statement, conn.dialect, tuple(rows[0]))
        return not plan.is_fixed or (plan.is_insert and self._sequencer.is_hooked(plan.table))

    def _held(self, driver: sqlite3.Connection, appends: Sequence[Append]) -> frozenset[str]:
        """The present epochs of the runs that the fences name, each as `<epoch> <run>`."""
        run_ids = {fence.run_id for op in appends for fence in op.fences}
        found = driver.execute(self._epochs, (json.dumps(list(run_ids)),)).fetchone()[0] if run_ids else None
        return frozenset((found or "").split("\n"))

    def _execute(self, conn: Connection, driver: sqlite3.Connection, statement: Executable, rows: list[Mapping[str, object]]) -> None:
        if getattr(statement, "table", None) is outbox and getattr(statement, "is_insert", False):
            # One thread writes, so these are the next positions; on the other way a statement finds the rows that have none.
            head = driver.execute(_READ_HEAD, (HEAD,)).fetchone()
            last = head[0] if head is not None else 0
            rows = [{**row, "position": last + number} for number, row in enumerate(rows, 1)]
            driver.execute(_MOVE_HEAD, (HEAD, last + len(rows)))
            self.events += len(rows)
        plan = planned(statement, conn.dialect, tuple(rows[0]))
        values = [plan.values(row) for row in rows]
        done = 0
        for size in _BLOCKS if plan.columns is not None else ():
            while len(values) - done >= size:
                driver.execute(plan.block(size), tuple(chain.from_iterable(values[done : done + size])))
                done += size
        if done < len(values):
            driver.executemany(plan.text, values[done:])


def _refusal(op: Append, held: frozenset[str]) -> Exception | None:
    for fence in op.fences:
        if f"{fence.epoch} {fence.run_id}" not in held:
            return StaleEpoch(details={"runId": fence.run_id, "epoch": fence.epoch})
    return None


def _say(driver: sqlite3.Connection, text: str) -> None:
    try:
        driver.execute(text)
    except sqlite3.Error as error:
        raise DBAPIError(text, None, error) from error


def _driver(conn: Connection) -> sqlite3.Connection:
    return cast(sqlite3.Connection, conn.connection.driver_connection)
