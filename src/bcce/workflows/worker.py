"""One process's part in running workflows: its heartbeat, its sweep, its dispatcher."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from bcce.kit.clock import Clock
from bcce.kit.errors import BcceError
from bcce.kit.ids import Ids, RunId
from bcce.observability.metrics import Metrics
from bcce.storage.doors import Database
from bcce.workflows import repository
from bcce.workflows.calls import Worker as WorkerIdentity
from bcce.workflows.concurrency.admission import Admission
from bcce.workflows.dispatcher import Dispatcher
from bcce.workflows.engine import Engine
from bcce.workflows.journal import Journal, wake
from bcce.workflows.settings import WorkflowSettings
from bcce.workflows.suspects import repository as suspects
from bcce.workflows.suspects.trials import Trials

log = structlog.get_logger(__name__)

_SWEEP_LIMIT = 2_000


class Lease:
    """How long others surely still take this worker for alive, measured on its own monotonic clock.

    Counted from before the heartbeat was sent, so it is never longer than what the database says.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = 0.0

    def extend(self, sent_at: float, seconds: float) -> None:
        """A heartbeat that was sent at `sent_at` (monotonic) has been committed."""
        self._until = sent_at + seconds

    async def remaining_s(self) -> float:
        """Seconds left; zero or less means that another worker may take over at any moment."""
        return self._until - self._clock.monotonic()


class WorkflowWorker:
    """Runs until `stop`. One per process.

    `alone` says that the database file can have no other process (embedded SQLite under its lock file): every other worker in the table
    is then a dead
    one, and its runs need not wait for its lease to run out.
    """

    def __init__(
        self,
        *,
        db: Database,
        journal: Journal,
        dispatcher: Dispatcher,
        admission: Admission,
        clock: Clock,
        ids: Ids,
        settings: WorkflowSettings,
        metrics: Metrics,
        alone: bool,
    ) -> None:
        self._db = db
        self._journal = journal
        self._dispatcher = dispatcher
        self._admission = admission
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._alone = alone
        self._incarnation = ids.new("wrk")
        self._lease = Lease(clock)
        self.identity = WorkerIdentity(id=self._incarnation, lease_remaining_s=self._lease.remaining_s)
        self._engine: Engine | None = None
        self._trials = Trials(
            db=db,
            clock=clock,
            worker=self._incarnation,
            limit=settings.max_concurrent_workflows,
            held=lambda: self._held,
            ring=lambda run: dispatcher.ring(run.id, run.wake_seq, run.queue, run.priority),
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, engine: Engine) -> None:
        """Announces the worker, takes over what dead ones left, and begins to advance runs."""
        if self._alone:
            await self._db.write(suspects.forget_all_workers)
        await self._beat()
        await self._db.write(repository.park_unknown_formats)
        await self._revive()
        self._engine = engine
        # The sweep would do it within a second.
        engine.tell_parent = self._tell_parent
        engine.trials = self._trials
        engine.admit = self.admit
        await self._take_from_dead()
        await self._trials.choose()
        await self._dispatcher.start(engine.advance)
        await self._sweep()
        self._tasks = [
            asyncio.create_task(self._every(self._settings.heartbeat_s, self._beat), name="worker-heartbeat"),
            asyncio.create_task(self._every(self._settings.sweep_s, self._sweep), name="worker-sweep"),
            asyncio.create_task(self._every(self._settings.sweep_s, self._hold_trials, at_once=True), name="worker-trials"),
        ]

    async def stop(self) -> None:
        """Stops advancing and says that this worker is gone, so that others need not wait for its lease."""
        await self._dispatcher.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._db.write(lambda conn: suspects.forget_worker(conn, self._incarnation))

    def ring(self, run_id: RunId) -> None:
        """Says that the run may be ready; the sweep would notice within a second anyway."""
        self._dispatcher.ring(run_id, 0, "default", 100)
        if self._engine is not None:
            self._engine.notify(run_id)

    async def wake(self, run_id: RunId) -> None:
        """Tells a run that something that it may wait for has happened."""
        await self._db.write(lambda conn: wake(conn, run_id))
        self.ring(run_id)

    async def admit(self, run_id: RunId) -> None:
        """Gives turns in the concurrency group of a run that came or ended; does nothing for any other run."""
        for admitted in await self._admission.admit_beside(run_id):
            self.ring(admitted)

    async def _beat(self) -> None:
        sent_at = self._clock.monotonic()
        await self._journal.heartbeat(self._incarnation, self._incarnation, self._settings.lease_s)
        self._lease.extend(sent_at, self._settings.lease_s)

    async def _sweep(self) -> None:
        """Rings every run that is ready and that nobody advances: the guarantee behind all other rings."""
        await self._take_from_dead()
        await self._revive()
        for run_id, parent_id in await self._db.read(lambda conn: repository.untold(conn, _SWEEP_LIMIT)):
            await self._tell_parent(run_id, parent_id)
        for run_id in await self._admission.sweep():
            self.ring(run_id)
        await self._ring_due()
        if self._engine is not None:
            await self._engine.look()

    async def _ring_due(self) -> None:
        if self._trials.is_on:
            return
        held = self._held
        due = await self._db.read(lambda conn: repository.due(conn, _SWEEP_LIMIT, worker=self._incarnation, held=held))
        for run_id, wake_seq, queue, priority in due:
            self._dispatcher.ring(run_id, wake_seq, queue, priority)

    async def _hold_trials(self) -> None:
        await self._trials.round(self._ring_due)

    async def _take_from_dead(self) -> None:
        """Makes the runs of dead workers free, and suspect."""
        if not await self._db.read(lambda conn: suspects.dead_owners(conn, self._incarnation)):
            return
        for worker, count in (await self._db.write(lambda conn: suspects.take_from_dead(conn, self._incarnation))).items():
            log.warning("worker.died", worker=worker, runs=count)
            self._metrics.worker_died(count)

    async def _revive(self) -> None:
        """Makes runs active that an older release has parked, which may start beside this one at any time."""
        if await self._db.read(repository.has_known_formats):
            await self._db.write(repository.revive_known_formats)

    async def _tell_parent(self, run_id: RunId, parent_id: RunId) -> None:
        await self._db.write(lambda conn: repository.tell_parent(conn, run_id, parent_id))
        self.ring(parent_id)

    @property
    def _held(self) -> frozenset[RunId]:
        return self._engine.held if self._engine is not None else frozenset()

    async def _every(self, seconds: float, action: Callable[[], Awaitable[None]], *, at_once: bool = False) -> None:
        while True:
            await self._clock.sleep(0 if at_once else seconds)
            at_once = False
            try:
                await action()
            except BcceError as error:
                # A database that is away for a moment must not end the loop that would notice its return.
                log.warning("worker.loop_failed", action=getattr(action, "__name__", "?"), code=error.code, reason=error.message)
