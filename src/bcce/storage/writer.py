"""The one thread that writes to a SQLite file. Whatever is handed in during a commit goes into the next."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, RootTransaction, Table
from sqlalchemy.exc import DBAPIError

from bcce.storage.direct import DirectWriter
from bcce.storage.doors import Append
from bcce.storage.errors import CommitUnknown, DatabaseBusy, DatabaseUnavailable, RowRefused
from bcce.storage.faults import caused, is_definite, is_isolatable
from bcce.storage.group import apply_appends
from bcce.storage.jobs import Job, JobQueue
from bcce.storage.sequencer import Sequencer

log = structlog.get_logger(__name__)


class Writer:
    """Takes jobs in the event loop, carries them out in its thread, answers in the event loop.

    Args:
        engine: makes the writing connection; its transactions begin with BEGIN IMMEDIATE.
        notify: called in the event loop after a commit that gave events their positions.
        limit: how many jobs may be unanswered.
    """

    def __init__(self, engine: Engine, *, fence_table: Table, sequencer: Sequencer, notify: Callable[[], None], limit: int) -> None:
        self._engine = engine
        self._fence_table = fence_table
        self._sequencer = sequencer
        self._direct = DirectWriter(fence_table, sequencer)
        self._notify = notify
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._queue = JobQueue()
        self._is_closing = False
        self._has_crashed = False
        self._is_sick = False
        self._unanswered = 0
        self._events = 0
        self._conn: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="bcce-sqlite-writer", daemon=True)
        self._thread.start()

    @property
    def is_healthy(self) -> bool:
        """The thread lives and its last commit did not fail."""
        return not (self._has_crashed or self._is_closing or self._is_sick) and self._thread.is_alive()

    async def submit(self, work: Append | Callable[[Connection], Any], *, is_alone: bool = False) -> Any:
        """What came of `work`, once it is committed; a caller that is cancelled does not take it back.

        Raises:
            DatabaseBusy: too many jobs wait.
            DatabaseUnavailable: closed or crashed; nothing was stored.
        """
        if self._has_crashed or self._is_closing:
            raise DatabaseUnavailable("the database is closed" if self._is_closing else "the database's writer has crashed; restart BCCE")
        if self._unanswered >= self._limit:
            raise DatabaseBusy(
                f"{self._unanswered} writes are waiting already", details={"waiting": self._unanswered, "limit": self._limit}
            )
        job = Job(work, self._loop.create_future(), is_alone)
        self._unanswered += 1
        self._queue.put(job)
        if self._has_crashed:
            # In this very moment, so nobody may be left to take it.
            self._fail(self._queue.drain())
        return await job.future

    async def close(self) -> None:
        """Take nothing more, write what was taken, end the thread."""
        self._is_closing = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        jobs: list[Job] = []
        try:
            while jobs := self._queue.take(waits=lambda: not self._is_closing):
                self._commit(jobs, isolate=False)
                self._answer(jobs)
                jobs = []
        except BaseException:  # the writer's loop: however it ends, nobody may be left waiting
            log.critical("database.writer_crashed", exc_info=True)
            self._crash(jobs)
        finally:
            self._disconnect()

    def _commit(self, jobs: Sequence[Job], *, isolate: bool) -> None:
        """Write `jobs`; afterwards each has its result or its error."""
        for job in jobs:
            job.result = job.error = None
        try:
            if jobs[0].is_alone:
                self._migrate(jobs[0])
            else:
                self._transact(jobs, isolate=isolate)
            self._is_sick = False
            for job in jobs:
                job.is_decided = True
            return
        except Exception as error:  # belongs to the callers, who get it; the transaction has been undone
            problem = caused(error)
        self._is_sick = isinstance(problem, DatabaseUnavailable)
        if len(jobs) == 1:
            jobs[0].error = problem
        elif self._is_sick:
            for job in jobs:
                # A copy for each: an exception that is raised in several tasks collects the tracebacks of all.
                job.error = copy(problem)
                job.error.__cause__ = problem.__cause__
        elif not isolate:
            self._commit(jobs, isolate=True)
        else:
            # Not even savepoints help: the fault shows only at the end of the transaction, in the hook or in the COMMIT.
            middle = len(jobs) // 2
            self._commit(jobs[:middle], isolate=True)
            self._commit(jobs[middle:], isolate=True)

    def _transact(self, jobs: Sequence[Job], *, isolate: bool) -> None:
        conn = self._connection()
        if not isolate and self._write_directly(conn, jobs):
            return
        transaction = conn.begin()
        try:
            self._sequencer.begin(conn)
            appends = [job for job in jobs if isinstance(job.work, Append)]
            outcomes = apply_appends(
                conn, [job.work for job in appends if isinstance(job.work, Append)], self._fence_table, isolate=isolate
            )
            for job, outcome in zip(appends, outcomes, strict=True):
                job.error = outcome
            for job in jobs:
                if not isinstance(job.work, Append):
                    self._call(conn, job, job.work)
            events = self._sequencer.run(conn) if self._sequencer.is_needed(conn) else 0
        except BaseException:
            self._undo(transaction)
            raise
        self._end(transaction.commit)
        self._events += events

    def _write_directly(self, conn: Connection, jobs: Sequence[Job]) -> bool:
        """Write jobs of which each is an append the short way; False when nothing was written because that is not possible."""
        appends = [job.work for job in jobs if isinstance(job.work, Append)]
        outcomes = self._direct.write(conn, appends) if len(appends) == len(jobs) else None
        if outcomes is None:
            return False
        self._end(lambda: self._direct.commit(conn))
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.error = outcome
        self._events += self._direct.events
        return True

    def _call(self, conn: Connection, job: Job, fn: Callable[[Connection], Any]) -> None:
        """One write under its own savepoint, so that its failure undoes nothing else."""
        try:
            with conn.begin_nested():
                job.result = fn(conn)
        except Exception as error:
            if not is_isolatable(error):
                raise
            job.error = caused(error)

    def _migrate(self, job: Job) -> None:
        conn = self._connection()
        driver = conn.connection.driver_connection
        if driver is None or isinstance(job.work, Append):
            raise TypeError("only a function can be run alone")
        # Not possible inside a transaction, and without it a table that is rebuilt would take its children along.
        driver.execute("PRAGMA foreign_keys=OFF")
        try:
            transaction = conn.begin()
            try:
                before = _changes(conn, driver)
                job.result = job.work(conn)
                # Looks at every row that refers to another one, so not when nothing was done, as at most starts of the program.
                orphan = conn.exec_driver_sql("PRAGMA foreign_key_check").first() if _changes(conn, driver) != before else None
                if orphan is not None:
                    raise RowRefused(f"a row of {orphan[0]} would refer to nothing", details={"table": orphan[0], "parent": orphan[2]})
            except BaseException:
                self._undo(transaction)
                raise
            self._end(transaction.commit)
        finally:
            # The next job gets a new connection, with foreign keys on and no statement that knows the old schema.
            self._disconnect()

    def _undo(self, transaction: RootTransaction) -> None:
        try:
            transaction.rollback()
        except Exception:
            # A connection that cannot even roll back is dropped; the cause of all this is about to be raised.
            self._disconnect()

    def _end(self, commit: Callable[[], None]) -> None:
        try:
            commit()
        except Exception as error:
            self._disconnect()
            if isinstance(error, DBAPIError) and not is_definite(error):
                raise CommitUnknown from error
            raise

    def _connection(self) -> Connection:
        if self._conn is None:
            self._conn = self._engine.connect()
        return self._conn

    def _disconnect(self) -> None:
        """Drop the connection with whatever it has not committed; cheaper to reason about than one that failed half-way."""
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.invalidate()
            conn.close()

    def _answer(self, jobs: Sequence[Job]) -> None:
        has_events, self._events = self._events > 0, 0
        try:
            self._loop.call_soon_threadsafe(self._settle, jobs, has_events)
        except RuntimeError:
            # The event loop was closed without closing the database; what is committed stays committed, but nobody is left to hear it.
            log.warning("database.nobody_listens", answers=len(jobs))

    def _settle(self, jobs: Sequence[Job], has_events: bool) -> None:
        self._unanswered -= len(jobs)
        for job in jobs:
            if job.future.done():
                continue  # its caller was cancelled
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)
        if has_events:
            self._notify()

    def _crash(self, jobs: Sequence[Job]) -> None:
        self._has_crashed = True
        self._fail([*jobs, *self._queue.drain()])

    def _fail(self, left: Sequence[Job]) -> None:
        for job in left:
            # Some of the group may have been committed or refused apart from the others before the crash.
            if not job.is_decided and job.error is None:
                job.error = DatabaseUnavailable("the database's writer has crashed; restart BCCE")
        self._answer(left)


def _changes(conn: Connection, driver: sqlite3.Connection) -> tuple[int, int]:
    """Two numbers of which at least one grows with any change of rows or of the schema."""
    return driver.total_changes, conn.exec_driver_sql("PRAGMA schema_version").scalar_one()
