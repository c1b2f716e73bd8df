"""One worker's time with one run: begins what is ready, records what comes of it, stops what is to stop, until only waiting is left."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime

from bcce.kit.clock import Clock
from bcce.workflows.attempt import Attempt, Ending, Row
from bcce.workflows.calls import Caller, Setting
from bcce.workflows.definition import WorkflowDefinition
from bcce.workflows.journal import Journal
from bcce.workflows.limits import Limits
from bcce.workflows.model import LIVE_STEPS, Effect, Run, RunState, StepRecord, StepState
from bcce.workflows.planner import Call, Plan, plan
from bcce.workflows.recorder import Recorder
from bcce.workflows.records import Records

#: When to try again to stop what could not be stopped at this moment.
_AGAIN_S = 0.05


class Segment:
    """A claimed run. `records` also holds, as started, the calls in progress that have no row yet."""

    def __init__(
        self,
        run: Run,
        definition: WorkflowDefinition,
        *,
        caller: Caller,
        recorder: Recorder,
        journal: Journal,
        clock: Clock,
        limits: Limits,
    ) -> None:
        self.run = run
        self._definition = definition
        self._caller = caller
        self._recorder = recorder
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self._records = Records()
        self._settled: set[str] = set()  # turns of loops that need no look any more
        self._calls: dict[str, Call] = {}
        self._tasks: dict[str, asyncio.Task[StepRecord]] = {}
        self._resting: set[str] = set()
        self._asked: set[str] = set()
        self._queued: set[str] = set()
        self._rows: dict[tuple[str, int], Row] = {}
        self._something = asyncio.Event()
        self._must_look = False
        self._error: BaseException | None = None
        self._ending = Ending(is_stopping=run.cancel_at is not None)
        self._is_abandoned = False
        self._timer: asyncio.Task[None] | None = None
        #: As of when the last plan was made. What was due by then has been acted on, or nothing can be done about it for now.
        self._now = clock.now()

    def look(self) -> None:
        """A fact may have come: look at the run's row before anything else."""
        self._must_look = True
        self._something.set()

    async def load(self) -> bool:
        """Reads what is recorded; False when the run is no longer ours, or over. Only while no call is in progress."""
        self._must_look = False
        loaded = await self._journal.load(self.run.id)
        if loaded is None or loaded[0].epoch != self.run.epoch or loaded[0].state not in (RunState.ACTIVE, RunState.PAUSED):
            return False
        self.run, self._records = loaded[0], Records(loaded[1])
        self._settled.clear()
        self._rows.clear()
        self._ending.is_stopping = self.run.cancel_at is not None
        self._resting.clear()
        self._asked.clear()
        return True

    async def work(self) -> bool:
        """Moves on until the run is over (True), or everything in it waits (False)."""
        while True:
            self._something.clear()
            if self._error is not None:
                raise self._error
            if self._must_look and not await self._see():
                return True
            if self._ending.is_over:
                # With a step whose end was written while its row was being looked at.
                return True
            self._now = self._clock.now()
            todo = plan(self._definition, self._records, self._now, is_stopping=self._ending.is_stopping, settled=self._settled)
            if todo.finish is not None and not self._tasks:
                await self._recorder.endings.finish(self.run, self._definition, self._records, todo.finish)
                return True
            if await self._settle(todo):
                if self._ending.is_over:
                    return True
                continue
            if self._is_simple(todo):
                await self._do_now(todo.calls[0])
                if self._ending.is_over:
                    return True
                continue
            self._stop(todo)
            self._begin(todo.calls)
            if self._tasks:
                await self._next()
            elif not self._something.is_set():
                return False
            if self._ending.is_over:
                return True

    @property
    def wake_at(self) -> datetime | None:
        """When the run wants to be looked at without a fact: the earliest of the timers to come; None for never."""
        return min(self._moments(), default=None)

    def _moments(self) -> Iterator[datetime]:
        """When something will be due that is not yet."""
        for key, record in self._records.items():
            if key in self._tasks or record.state not in LIVE_STEPS or (record.state is StepState.RETRYING and self._is_paused):
                continue
            for moment in (record.wake_at, record.deadline_at):
                if moment is not None and moment > self._now:
                    yield moment

    @property
    def _is_paused(self) -> bool:
        return self.run.state is RunState.PAUSED

    async def abandon(self) -> None:
        """Cuts off what is in progress; the journal goes on from what is recorded."""
        self._is_abandoned = True
        for task in (*self._tasks.values(), *((self._timer,) if self._timer is not None else ())):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _see(self) -> bool:
        """Looks at the run's row; False when it is no longer ours."""
        self._must_look = False
        found = await self._journal.run(self.run.id)
        if found is None or found.epoch != self.run.epoch or found.state not in (RunState.ACTIVE, RunState.PAUSED):
            return False
        self.run = found
        self._ending.is_stopping = found.cancel_at is not None
        self._resting.clear()
        return True

    async def _settle(self, todo: Plan) -> bool:
        """Records the scopes in which everything has ended; whether there were any."""
        for settle in todo.settles:
            attempt = Attempt(
                run=self.run,
                definition=self._definition,
                records=self._records,
                ending=self._ending,
                record=settle.record,
                effect=Effect.PURE,
                row=Row(is_stored=True),
            )
            record = await self._recorder.settle(attempt, settle)
            self._records[record.key] = record
            if self._ending.is_over:
                break
        return bool(todo.settles)

    def _is_simple(self, todo: Plan) -> bool:
        """There is one thing to do, and it takes no time of its own: no task is needed that could be cut off."""
        if len(todo.calls) != 1 or self._tasks or todo.stops or self._is_paused:
            return False
        return todo.calls[0].record is None and self._caller.is_instant(todo.calls[0].place.step)

    async def _do_now(self, call: Call) -> None:
        record = self._caller.begin(call)
        self._records[call.place.key] = record
        self._records[call.place.key] = await self._caller.call(self._setting(), call, record)

    def _stop(self, todo: Plan) -> None:
        """Ends what is to be stopped: cuts off calls that may be repeated, gives up what waits, asks those that know how."""
        wanted = {call.place.key for call in todo.calls}
        for call in todo.stops:
            key = call.place.key
            task = self._tasks.get(key)
            if task is not None:
                self._interrupt(key, task)
            elif self._caller.is_stoppable(call):
                if key not in self._asked or not self._rests(call, is_stopping=True):
                    self._asked.add(key)
                    self._start(call, is_stopping=True)
            else:
                # It acts on the world and cannot be stopped, so it is followed to its end.
                self._begin([call])
        for key, task in self._tasks.items():
            if key not in wanted and self._calls[key].record is None:
                self._interrupt(key, task)

    def _interrupt(self, key: str, task: "asyncio.Task[StepRecord]") -> None:
        """Cuts a call off, but for one that may not be repeated or whose end is just being written."""
        if key in self._queued and (_is_new(self._calls[key]) or self._caller.is_stoppable(self._calls[key])):
            # It has not begun, so nothing of it can be under way.
            task.cancel()
            return
        if not self._caller.is_interruptible(self._calls[key].place.step):
            return
        if self._caller.is_calling(self.run.id, key):
            task.cancel()
        else:
            asyncio.get_running_loop().call_later(_AGAIN_S, self._something.set)

    def _begin(self, calls: Iterable[Call]) -> None:
        """Begins what may begin now."""
        for call in calls:
            key = call.place.key
            if key in self._tasks:
                continue
            if len(self._tasks) >= self._limits.per_run:
                break
            if (self._is_paused and _is_new(call)) or self._rests(call):
                continue
            self._start(call, is_stopping=False)

    def _rests(self, call: Call, *, is_stopping: bool = False) -> bool:
        """Whether a call now would only find what the last one found. What is being stopped is not late any more."""
        record = call.record
        if record is None or record.state is StepState.STARTED:
            return False
        is_due = record.wake_at is not None and record.wake_at <= self._now
        if record.state is StepState.RETRYING:
            return not is_due
        is_late = not is_stopping and record.deadline_at is not None and record.deadline_at <= self._now
        return record.key in self._resting and not is_due and not is_late

    def _start(self, call: Call, *, is_stopping: bool) -> None:
        key = call.place.key
        record = call.record if is_stopping and call.record is not None else self._caller.begin(call)
        self._calls[key] = call
        if call.record is None or call.record.attempt != record.attempt:
            self._records[key] = record
        if not is_stopping:
            self._queued.add(key)
        self._tasks[key] = task = asyncio.create_task(self._do(call, record, is_stopping=is_stopping))
        task.add_done_callback(lambda done: self._ended(key, done))

    async def _do(self, call: Call, record: StepRecord, *, is_stopping: bool) -> StepRecord:
        setting = self._setting()
        try:
            if is_stopping:
                return await self._caller.stop(setting, call, record)
            async with self._limits.slot(call.place.step.type):
                self._queued.discard(call.place.key)
                return await self._caller.call(setting, call, record)
        except asyncio.CancelledError:
            # What an earlier call began is still there, for the step type to stop.
            is_as_before = call.place.key in self._queued and not _is_new(call)
            self._queued.discard(call.place.key)
            if self._is_abandoned or is_as_before:
                raise
            return await self._caller.give_up(setting, call, record)

    def _setting(self) -> Setting:
        return Setting(run=self.run, definition=self._definition, records=self._records, ending=self._ending, rows=self._rows)

    def _ended(self, key: str, task: "asyncio.Task[StepRecord]") -> None:
        del self._tasks[key]
        self._queued.discard(key)
        error = None if task.cancelled() else task.exception()
        if task.cancelled():
            # It had not even begun, so all is as it was before.
            before = self._calls[key].record
            if before is None:
                del self._records[key]
            else:
                self._records[key] = before
        elif error is not None:
            self._error = self._error or error
        else:
            record = task.result()
            self._records[key] = record
            if record.state is StepState.WAITING:
                self._resting.add(key)
        self._something.set()

    async def _next(self) -> None:
        """Waits until a call ended, a fact came, or something that waits is due."""
        next_at = min(self._moments(), default=None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if next_at is not None:
            self._timer = asyncio.create_task(self._sleep(max(0.001, (next_at - self._clock.now()).total_seconds())))
        await self._something.wait()

    async def _sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._something.set()


def _is_new(call: Call) -> bool:
    """Whether the call is the first of an attempt."""
    return call.record is None or call.record.state is StepState.RETRYING
