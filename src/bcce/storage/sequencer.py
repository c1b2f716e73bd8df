"""What must happen between a write and the moment others see it in order: outbox positions, and the hook of the layers above."""

from typing import Any, Final

from sqlalchemy import Connection, Engine, Insert, event

from bcce.storage.doors import Hooks
from bcce.storage.outbox import assign_positions, outbox

#: Key in `Connection.info` under which a transaction notes that it added rows which need a sequence.
_TOUCHED: Final = "bcce_touched"
#: Key in `Connection.info` under which a connection knows its sequencer.
_SEQUENCER: Final = "bcce_sequencer"


def touch(conn: Connection, table: str | None) -> None:
    """Note that the present transaction adds rows to `table` by another way than a statement of Core."""
    sequencer = conn.info.get(_SEQUENCER)
    if isinstance(sequencer, Sequencer) and sequencer.looks_at(table):
        conn.info[_TOUCHED].add(table)


class Sequencer:
    """Knows whether a transaction added rows that need a sequence, and gives it to them."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._tables = {outbox.name} | (hooks.sequenced or frozenset())
        self._is_any_table = hooks.before_commit is not None and hooks.sequenced is None

    def looks_at(self, table: str | None) -> bool:
        """Whether rows of the table need a sequence."""
        return self._is_any_table or table in self._tables

    def is_hooked(self, table: str | None) -> bool:
        """Whether rows of the table need a sequence that the layers above give."""
        is_ours = self._hooks.sequenced is None or table in self._hooks.sequenced
        return self._hooks.before_commit is not None and is_ours

    def watch(self, engine: Engine) -> None:
        """Notice insertions by Core statements through `engine`; what is written as text goes unnoticed."""

        def before_execute(conn: Connection, statement: Any, *_: Any) -> None:
            if isinstance(statement, Insert) and self.looks_at(getattr(statement.table, "name", None)):
                conn.info.setdefault(_TOUCHED, set()).add(statement.table.name)

        event.listen(engine, "before_execute", before_execute)

    def begin(self, conn: Connection) -> None:
        """A new transaction has added nothing yet."""
        conn.info[_SEQUENCER] = self
        conn.info[_TOUCHED] = set()

    def is_needed(self, conn: Connection) -> bool:
        """Whether the present transaction added rows that need a sequence."""
        return bool(conn.info.get(_TOUCHED))

    def run(self, conn: Connection) -> int:
        """Give what the present transaction added its place; returns how many events got a position.

        For the one writer of a database, in whose transactions nothing else can be without one.

        Raises:
            Exception: whatever the hook raises; the transaction must then be undone.
        """
        touched: set[str] = conn.info[_TOUCHED]
        count = assign_positions(conn) if outbox.name in touched else 0
        if self._hooks.before_commit is not None and (self._is_any_table or touched - {outbox.name}):
            self._hooks.before_commit(conn)
        return count

    def run_all(self, conn: Connection) -> int:
        """Give all rows that have none their place, whoever added them; returns how many events got a position.

        Raises:
            Exception: whatever the hook raises; the transaction must then be undone.
        """
        count = assign_positions(conn)
        if self._hooks.before_commit is not None:
            self._hooks.before_commit(conn)
        return count
