"""`advance`: load what is recorded, do what is ready, record it, until nothing is ready; then the run ends or parks.

Recovery is this same function on the same rows. A crash at any point leaves rows from which it goes on.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from bcce.kit.clock import Clock
from bcce.kit.ids import RunId
from bcce.observability.correlation import bind_correlation
from bcce.storage.errors import DatabaseUnavailable, StaleEpoch
from bcce.workflows.calls import Caller
from bcce.workflows.definition import WorkflowDefinition
from bcce.workflows.errors import InvalidWorkflow
from bcce.workflows.journal import Journal
from bcce.workflows.limits import Limits
from bcce.workflows.model import Run, RunState
from bcce.workflows.recorder import Recorder
from bcce.workflows.segment import Segment
from bcce.workflows.suspects.trials import Trials

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parked:
    """A segment ended and the run lives on; `wake_at` is when it wants to be rung, None for only on a fact."""

    wake_at: datetime | None


class Engine:
    """Advances runs on behalf of one worker.

    Args:
        load_definition: the snapshot with the given id, read by the rules of the given format; it never changes, so it may be cached.
        worker: the id under which runs are claimed.
        crash_limit: a run that killed so many workers in a row, alone and without getting on, is buried.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        recorder: Recorder,
        caller: Caller,
        load_definition: Callable[[str, int], Awaitable[WorkflowDefinition]],
        clock: Clock,
        worker: str,
        limits: Limits,
        crash_limit: int,
    ) -> None:
        self._journal = journal
        self._recorder = recorder
        self._caller = caller
        self._load_definition = load_definition
        self._clock = clock
        self._worker = worker
        self._limits = limits
        self._crash_limit = crash_limit
        self._live: dict[RunId, Segment] = {}
        self._held: set[RunId] = set()
        #: Called with a run that has ended and the one that started it; None: nobody is told.
        self.tell_parent: Callable[[RunId, RunId], Awaitable[None]] | None = None
        #: Which runs may be begun, while suspects are tried; None: all that are not suspect.
        self.trials: Trials | None = None
        #: Called with a run that may wait for its turn, or has left its concurrency group; None: the sweep finds out.
        self.admit: Callable[[RunId], Awaitable[None]] | None = None

    async def advance(self, run_id: RunId) -> Parked | None:
        """Does all of a run that can be done now; None when it ended or was not to be had.

        Raises:
            DatabaseUnavailable: nothing more can be recorded now; the run is still ours, and `held` no longer has it.
        """
        if run_id in self._held:
            self.notify(run_id)
            return None
        is_tried = self.trials is not None and run_id in self.trials.tried
        if self.trials is not None and not self.trials.admits(run_id):
            # The end of the trial looks for everything that is due.
            return None
        self._held.add(run_id)
        try:
            run = await self._journal.claim(run_id, self._worker, even_suspect=is_tried)
            if run is None:
                await self._admit(run_id)
                return None
            bind_correlation(run.correlation_id)
            parked = await self._advance(run)
            if parked is None and run.parent_id is not None and self.tell_parent is not None:
                await self.tell_parent(run.id, run.parent_id)
            return parked
        except StaleEpoch:
            log.warning("run.taken_over", run_id=run_id)
            return None
        finally:
            self._held.discard(run_id)
            if self.trials is not None:
                self.trials.ended(run_id)

    @property
    def held(self) -> frozenset[RunId]:
        """The runs that are being advanced here."""
        return frozenset(self._held)

    async def _advance(self, run: Run) -> Parked | None:
        if run.crashes >= self._crash_limit:
            log.error("run.dead", run_id=run.id, crashes=run.crashes)
            await self._recorder.endings.bury(run)
            return None
        try:
            definition = await self._load_definition(run.definition_id, run.definition_format)
        except InvalidWorkflow as error:
            # It was accepted once, and no later attempt will read it otherwise.
            log.error("run.unreadable", run_id=run.id, definition=run.definition_id, reason=error.message)
            await self._recorder.endings.refuse(run, error)
            return None
        segment = Segment(
            run, definition, caller=self._caller, recorder=self._recorder, journal=self._journal, clock=self._clock, limits=self._limits
        )
        self._live[run.id] = segment
        try:
            # Nothing can be recorded of a run that nobody has ever advanced.
            parked = await self._segment(segment, is_first=run.epoch == 1)
        except (StaleEpoch, DatabaseUnavailable):
            raise
        except Exception:  # a bug of ours: it must neither end the worker nor be met again for ever
            await self._journal.give_back(run)
            raise
        finally:
            del self._live[run.id]
            await segment.abandon()
        if parked is None and definition.concurrency is not None:
            await self._admit(run.id)
        return parked

    async def _admit(self, run_id: RunId) -> None:
        if self.admit is not None:
            await self.admit(run_id)

    async def _segment(self, segment: Segment, *, is_first: bool) -> Parked | None:
        while True:
            if not is_first and not await segment.load():
                return None
            is_first = False
            if await segment.work():
                return None
            seen, wake_at = segment.run.wake_seq, segment.wake_at
            if segment.run.state in (RunState.ACTIVE, RunState.PAUSED) and await self._journal.park(
                segment.run, seen=seen, wake_at=wake_at
            ):
                return Parked(wake_at=wake_at)

    def notify(self, run_id: RunId) -> None:
        """Says that something may have happened to a run; if it is being advanced here, it looks."""
        segment = self._live.get(run_id)
        if segment is not None:
            segment.look()

    async def look(self) -> None:
        """Lets others see what takes long, and makes every run that is being advanced here look whose facts it has not seen."""
        self._caller.tell()
        known = {run_id: segment.run.wake_seq for run_id, segment in self._live.items()}
        if known:
            for run_id in await self._journal.unseen(known):
                self.notify(run_id)
