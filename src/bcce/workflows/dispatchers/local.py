"""Hands runs to tasks of this process."""

import asyncio
import itertools
from datetime import datetime

import structlog

from bcce.kit.clock import Clock
from bcce.kit.ids import RunId
from bcce.plugins import Services
from bcce.workflows.dispatcher import Advance
from bcce.workflows.settings import WorkflowSettings

log = structlog.get_logger(__name__)

#: A timer farther away than this is left to the sweep, so that 100,000 parked runs hold nothing in memory.
_NEAR_S = 5.0
_GRACE_S = 5.0


class LocalDispatcher:
    """A priority queue and `concurrency` tasks; the same run is never queued twice."""

    name = "local"

    def __init__(self, *, clock: Clock, concurrency: int) -> None:
        self._clock = clock
        self._concurrency = concurrency
        self._queue: asyncio.PriorityQueue[tuple[int, int, RunId]] = asyncio.PriorityQueue()
        self._queued: set[RunId] = set()
        self._running: set[RunId] = set()
        self._again: dict[RunId, int] = {}
        self._order = itertools.count()
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    def build(cls, services: Services) -> "LocalDispatcher":
        """A dispatcher with the configured concurrency."""
        return cls(clock=services.get(Clock), concurrency=services.get(WorkflowSettings).max_concurrent_workflows)  # type: ignore[type-abstract]  # a Protocol is the key

    def ring(self, run_id: RunId, wake_seq: int, queue: str, priority: int) -> None:
        """Queues the run unless it is queued; a run that is being advanced is queued again when that call ends."""
        if run_id in self._running:
            self._again[run_id] = priority
        elif run_id not in self._queued:
            self._queued.add(run_id)
            self._queue.put_nowait((priority, next(self._order), run_id))

    async def start(self, advance: Advance) -> None:
        """Starts the tasks."""
        self._tasks = [asyncio.create_task(self._work(advance), name=f"dispatcher-{number}") for number in range(self._concurrency)]

    async def stop(self) -> None:
        """Waits a few seconds for the calls that run, then cancels them."""
        deadline = self._clock.monotonic() + _GRACE_S
        while self._running and self._clock.monotonic() < deadline:  # noqa: ASYNC110 - a set that many tasks change; it is only waited for once
            await asyncio.sleep(0.02)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _work(self, advance: Advance) -> None:
        while True:
            priority, _, run_id = await self._queue.get()
            self._queued.discard(run_id)
            self._running.add(run_id)
            try:
                parked = await advance(run_id)
            except Exception:  # the worker's loop: whatever broke, the sweep rings this run again and the others must go on
                log.exception("run.advance_failed", run_id=run_id)
                parked = None
            finally:
                self._running.discard(run_id)
            if run_id in self._again:
                self.ring(run_id, 0, "", self._again.pop(run_id))
            elif parked is not None and parked.wake_at is not None:
                self._remember(run_id, priority, parked.wake_at)

    def _remember(self, run_id: RunId, priority: int, wake_at: datetime) -> None:
        """Rings for a near timer to the millisecond; the sweep would be up to a second late."""
        delay = (wake_at - self._clock.now()).total_seconds()
        if delay <= _NEAR_S:
            asyncio.get_running_loop().call_later(max(0.0, delay), self.ring, run_id, 0, "", priority)
