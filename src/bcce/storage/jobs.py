"""What waits for the thread that writes to a SQLite file."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final

from sqlalchemy import Connection

from bcce.storage.doors import Append

#: How many jobs share one commit at most, so that none waits for the rows of ten thousand others.
_JOBS_PER_COMMIT: Final = 2_000


@dataclass(slots=True, eq=False)
class Job:
    """Something to write and what came of it.

    `is_alone`: a change of the schema, which shares its commit with nothing. `is_decided`: its transaction has ended, so its result or its
    error is final.
    """

    work: Append | Callable[[Connection], Any]
    future: "asyncio.Future[Any]"
    is_alone: bool = False
    is_decided: bool = False
    result: Any = None
    error: Exception | None = None


class JobQueue:
    """Jobs in the order in which they came; many threads may put, one takes."""

    def __init__(self) -> None:
        #: None wakes the one who takes, without giving it anything to do.
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._next: Job | None = None

    def put(self, job: Job | None) -> None:
        """Adds a job; None only wakes the one who takes."""
        self._queue.put(job)

    def take(self, *, waits: Callable[[], bool]) -> list[Job]:
        """What goes into the next commit. Waits for it as long as `waits` says so; empty when nothing is there."""
        jobs: list[Job] = []
        while len(jobs) < _JOBS_PER_COMMIT:
            job, self._next = self._next, None
            if job is None:
                try:
                    job = self._queue.get(block=not jobs and waits())
                except Empty:
                    break
            if job is None:
                continue
            if job.is_alone and jobs:
                self._next = job
                break
            jobs.append(job)
            if job.is_alone:
                break
        return jobs

    def drain(self) -> list[Job]:
        """Everything that is left."""
        left, self._next = [self._next] if self._next is not None else [], None
        with suppress(Empty):
            while True:
                job = self._queue.get_nowait()
                if job is not None:
                    left.append(job)
        return left
