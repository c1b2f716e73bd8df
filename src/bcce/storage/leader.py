"""The sequencer on a server: one process at a time gives committed rows their places, soon after their commit."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog
from sqlalchemy import Connection

from bcce.storage.errors import DatabaseUnavailable
from bcce.storage.faults import is_missing_table
from bcce.storage.outbox import head, try_lead
from bcce.storage.sequencer import Sequencer
from bcce.storage.transactor import Transactor

log = structlog.get_logger(__name__)

#: The shortest time from one look to the next, so that a stream of commits costs at most this many looks; seconds.
_SHORTEST_PAUSE_S: Final = 0.02


class Leader:
    """Looks for rows without a place, each time that this process committed some and at the latest after `tick_s` seconds.

    Every process does this; the head's row lock lets one of them at a time do the work. All of them look where the head is afterwards,
    so each tells its own listeners, no matter who moved it.

    Args:
        notify: called when the head has moved.
    """

    def __init__(self, transactor: Transactor, *, sequencer: Sequencer, notify: Callable[[], None], tick_s: float) -> None:
        self._transactor = transactor
        self._sequencer = sequencer
        self._notify = notify
        self._tick_s = tick_s
        self._head = 0
        self._has_failed = False
        self._is_closing = False
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="bcce-sequencer")

    @property
    def is_healthy(self) -> bool:
        """The task lives."""
        return not self._task.done()

    def poke(self) -> None:
        """Rows that need a place were just committed."""
        self._wake.set()

    async def close(self) -> None:
        """Do one last look for what was committed, then stop."""
        self._is_closing = True
        self._wake.set()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            is_last = self._is_closing
            self._wake.clear()
            try:
                await self._look()
                self._has_failed = False
            except Exception as error:  # the sequencer's loop: a server that is away for a moment must not end it
                self._report(error)
            if is_last:
                return
            if not self._is_closing:
                await asyncio.sleep(_SHORTEST_PAUSE_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._tick_s)

    def _report(self, error: Exception) -> None:
        """Log the first of a row of failures; the next ones come four times a second."""
        if not self._has_failed and not is_missing_table(error):
            # A server that is away says all in its sentence; whatever else it is needs its place in the code.
            trace = None if isinstance(error, DatabaseUnavailable) else error
            log.error("database.sequencer_failed", error=type(error).__name__ if trace else str(error), exc_info=trace)
        self._has_failed = True

    async def _look(self) -> None:
        found = await self._transactor.run(self._advance)
        before, self._head = self._head, found
        if found > before:
            self._notify()

    def _advance(self, conn: Connection) -> int:
        if try_lead(conn):
            self._sequencer.run_all(conn)
        return head(conn)
