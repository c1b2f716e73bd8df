"""What must happen between a write and the moment others see it in order: outbox positions, and the hook of the layers above."""

from typing import Any, Final

from sqlalchemy import Connection, Engine, Insert, event

from bcce.storage.doors import Hooks
from bcce.storage.outbox import assign_positions, outbox

#: Key in `Connection.info` under which a transaction notes that it added rows which need a sequence.
_TOUCHED: Final = "bcce_touched"


class Sequencer:
    """Knows whether a transaction added rows that need a sequence, and gives it to them."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._tables = {outbox.name} | (hooks.sequenced or frozenset())
        self._is_any_table = hooks.before_commit is not None and hooks.sequenced is None

    def watch(self, engine: Engine) -> None:
        """Notice insertions by Core statements through `engine`; what is written as text goes unnoticed."""

        def before_execute(conn: Connection, statement: Any, *_: Any) -> None:
            if isinstance(statement, Insert) and (self._is_any_table or getattr(statement.table, "name", None) in self._tables):
                conn.info[_TOUCHED] = True

        event.listen(engine, "before_execute", before_execute)

    def begin(self, conn: Connection) -> None:
        """A new transaction has added nothing yet."""
        conn.info[_TOUCHED] = False

    def is_needed(self, conn: Connection) -> bool:
        """Whether the present transaction added rows that need a sequence."""
        return bool(conn.info.get(_TOUCHED))

    def run(self, conn: Connection) -> int:
        """Give all rows that have none their place; returns how many events got a position.

        Raises:
            Exception: whatever the hook raises; the transaction must then be undone.
        """
        count = assign_positions(conn)
        if self._hooks.before_commit is not None:
            self._hooks.before_commit(conn)
        return count
