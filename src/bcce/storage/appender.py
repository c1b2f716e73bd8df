"""The group commit on a server: whatever is handed in while a group commits goes into the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import Connection, Table

from bcce.storage.bulk import CopyRefused
from bcce.storage.doors import Append
from bcce.storage.errors import DatabaseUnavailable
from bcce.storage.group import apply_appends

log = structlog.get_logger(__name__)

#: Runs a function in a transaction; the function says for each append why it was left out.
Transact = Callable[[Callable[[Connection], list[Exception | None]]], Awaitable[list[Exception | None]]]

#: How many appends share one transaction at most; bounds how long it holds its locks.
_OPS_PER_COMMIT: Final = 1_000


@dataclass(slots=True, eq=False)
class _Waiting:
    """An append and whoever waits for it. `is_decided`: its transaction has ended."""

    op: Append
    future: "asyncio.Future[None]"
    is_decided: bool = False
    error: Exception | None = None


class Appender:
    """Stores appends in groups, one group at a time.

    Args:
        transact: runs a function in a transaction, again after a deadlock.
    """

    def __init__(self, transact: Transact, *, fence_table: Table) -> None:
        self._transact = transact
        self._fence_table = fence_table
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._is_closing = False
        self.waiting = 0
        self._task = asyncio.create_task(self._run(), name="bcce-appender")

    @property
    def is_healthy(self) -> bool:
        """The task lives."""
        return not self._task.done()

    async def append(self, op: Append) -> None:
        """Durable when it returns; a caller that is cancelled does not take `op` back.

        Raises:
            DatabaseUnavailable: closed or crashed; nothing was stored.
        """
        if self._is_closing or self._task.done():
            raise DatabaseUnavailable("the database is closed" if self._is_closing else "the database's appender has crashed; restart BCCE")
        waiting = _Waiting(op, asyncio.get_running_loop().create_future())
        self.waiting += 1
        self._queue.append(waiting)
        self._wake.set()
        await waiting.future

    async def close(self) -> None:
        """Take nothing more, store what was taken."""
        self._is_closing = True
        self._wake.set()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        group: list[_Waiting] = []
        try:
            while True:
                while not self._queue and not self._is_closing:
                    self._wake.clear()
                    await self._wake.wait()
                if not self._queue:
                    return
                group = [self._queue.popleft() for _ in range(min(len(self._queue), _OPS_PER_COMMIT))]
                await self._store(group, isolate=False)
                self._answer(group)
                group = []
        except BaseException as crash:  # the appender's loop: however it ends, nobody may be left waiting
            if not isinstance(crash, asyncio.CancelledError):
                log.critical("database.appender_crashed", exc_info=True)
            left = [*group, *self._queue]
            self._queue.clear()
            for waiting in left:
                # Some of the group may have been committed or refused apart from the others before the crash.
                if not waiting.is_decided and waiting.error is None:
                    waiting.error = DatabaseUnavailable("the database's appender has crashed; restart BCCE")
            self._answer(left)
            raise

    async def _store(self, group: Sequence[_Waiting], *, isolate: bool) -> None:
        """Store `group`; afterwards each that was not stored has its error."""

        def unit(conn: Connection) -> list[Exception | None]:
            return apply_appends(conn, [waiting.op for waiting in group], self._fence_table, isolate=isolate)

        try:
            outcomes = await self._transact(unit)
        except Exception as problem:  # belongs to the callers, who get it; the transaction has been undone
            await self._store_apart(group, problem, isolate=isolate)
            return
        for waiting, outcome in zip(group, outcomes, strict=True):
            waiting.error, waiting.is_decided = outcome, True

    async def _store_apart(self, group: Sequence[_Waiting], problem: Exception, *, isolate: bool) -> None:
        if isinstance(problem, CopyRefused):
            # Whichever row it was, or whether it was a row at all: the other way knows what to call it.
            await self._store(group, isolate=True)
        elif len(group) == 1:
            group[0].error = problem
        elif isinstance(problem, DatabaseUnavailable):
            for waiting in group:
                # A copy for each: an exception that is raised in several tasks collects the tracebacks of all.
                waiting.error = copy(problem)
                waiting.error.__cause__ = problem.__cause__
        elif not isolate:
            await self._store(group, isolate=True)
        else:
            # Not even savepoints help: the fault shows only in the COMMIT.
            middle = len(group) // 2
            await self._store(group[:middle], isolate=True)
            await self._store(group[middle:], isolate=True)

    def _answer(self, group: Sequence[_Waiting]) -> None:
        self.waiting -= len(group)
        for waiting in group:
            if waiting.future.done():
                continue  # its caller was cancelled
            if waiting.error is not None:
                waiting.future.set_exception(waiting.error)
            else:
                waiting.future.set_result(None)
