"""Tries suspects again, apart from everything else.

A process that dies takes everything along that it was advancing, and nobody can say afterwards what killed it. So what it held is tried
again in *trials*: during one, this worker advances the trial's runs and nothing else. The first trial has up to half of what the dead
worker held; when that one dies too, its runs may only be tried half as many at a time, until one that kills its worker is alone. Only then
is it counted.

What is innocent is soon cleared: by parking, by ending, or by living on for the time of a probation, so that a run that takes hours does
not hold up the others. Each further death makes the probation of all who were there longer, so that one who takes its time to kill is found
as well.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog

from bcce.kit.clock import Clock
from bcce.kit.ids import RunId
from bcce.storage.doors import Database
from bcce.workflows.suspects import repository
from bcce.workflows.suspects.repository import Suspect

log = structlog.get_logger(__name__)

_PROBATION_S = 1.0
_MAX_PROBATION_S = 60.0
#: How long what runs already may take to make room for a trial; then it is held beside it, and a death blames them all.
_ROOM_S = 5.0
#: After so long the others get their turn again before the next trial.
_TURN_S = 5.0
_LOOK_S = 0.01


def choose(suspects: Sequence[Suspect]) -> list[Suspect]:
    """As many of them as may be tried together, the least suspicious first: most of what a dead worker held is innocent."""
    batch: list[Suspect] = []
    for suspect in sorted(suspects, key=lambda one: -one.company):
        if len(batch) >= max(1, suspect.company):
            break
        batch.append(suspect)
    return batch


def probation_s(batch: Collection[Suspect]) -> float:
    """How long runs have to live to be cleared, the more so the more workers died with one of them."""
    deaths = max((suspect.deaths for suspect in batch), default=1)
    return float(min(_MAX_PROBATION_S, _PROBATION_S * 2 ** min(16, max(0, deaths - 1))))


class Trials:
    """One worker's trials.

    Args:
        limit: how many runs the worker advances at the same time.
        held: the runs that the worker is advancing now.
        ring: hands a suspect to the dispatcher.
    """

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        worker: str,
        limit: int,
        held: Callable[[], frozenset[RunId]],
        ring: Callable[[Suspect], None],
    ) -> None:
        self._db = db
        self._clock = clock
        self._worker = worker
        self._limit = limit
        self._held = held
        self._ring = ring
        self._batch: list[Suspect] = []
        self._tried: frozenset[RunId] = frozenset()
        self._left: set[RunId] = set()

    @property
    def is_on(self) -> bool:
        """A trial is in progress: nothing but its runs may be begun."""
        return bool(self._batch)

    @property
    def tried(self) -> frozenset[RunId]:
        """The suspects that may be begun; none while there is no trial, or while it waits for what was begun before."""
        return self._tried

    def admits(self, run_id: RunId) -> bool:
        """Whether the run may be begun now."""
        return not self._batch or run_id in self._tried

    def ended(self, run_id: RunId) -> None:
        """The worker has let go of a run."""
        self._left.discard(run_id)

    async def choose(self) -> bool:
        """Looks for suspects, and begins a trial if there are any: from now on nothing else begins."""
        found = await self._db.read(lambda conn: repository.due_suspects(conn, self._limit, worker=self._worker))
        held = self._held()
        self._batch = choose([suspect for suspect in found if suspect.id not in held])
        return self.is_on

    async def round(self, others: Callable[[], Awaitable[None]]) -> None:
        """Holds trials until there are no suspects, or it is the others' turn: `others` is called when they may go on."""
        began = self._clock.monotonic()
        had_any = False
        try:
            while self._batch or await self.choose():
                had_any = True
                await self._try()
                self._end()
                if self._clock.monotonic() - began > _TURN_S:
                    break
        finally:
            self._end()
        if had_any:
            await others()

    async def _try(self) -> None:
        before = self._held()
        await self._until(lambda: not self._held() & before, _ROOM_S)
        batch, seconds = self._batch, probation_s(self._batch)
        self._left = {suspect.id for suspect in batch}
        self._tried = frozenset(self._left)
        log.info("run.tried_apart", runs=len(batch), probation_s=seconds, beside=len(self._held() - self._tried))
        for suspect in batch:
            self._ring(suspect)
        await self._until(lambda: not self._left, seconds)
        alive = sorted(self._left & self._held())
        if alive:
            await self._db.write(lambda conn: repository.clear(conn, alive, self._worker))

    def _end(self) -> None:
        self._batch, self._tried = [], frozenset()
        self._left.clear()

    async def _until(self, holds: Callable[[], bool], seconds: float) -> None:
        deadline = self._clock.monotonic() + seconds
        while not holds() and self._clock.monotonic() < deadline:
            await self._clock.sleep(_LOOK_S)
