"""What a run does next, decided from its definition and its journal alone: no I/O, and the time only as an argument.

A *place* is a step and, inside loops, which turn of each: its key is the step's id with one `[index]` for each loop around it. The walk
looks at every place that can matter now and says which are to be called, which are to be stopped, and which scopes have ended.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from bcce.workflows.definition import CONDITION, FOREACH, OnFailure, Step, StepList, Strategy, WorkflowDefinition
from bcce.workflows.model import LIVE_STEPS, StepRecord, StepState

#: In the error of a scope: the step that failed in it wants what completed before to be undone.
COMPENSATES = "compensate"


@dataclass(frozen=True, slots=True)
class Place:
    """A step in one turn of the loops around it; `suffix` is that turn, as in `[2][0]`, and empty outside of loops."""

    step: Step
    suffix: str

    @property
    def key(self) -> str:
        """The name of the place in the journal."""
        return self.step.id + self.suffix


@dataclass(frozen=True, slots=True)
class Call:
    """`place` is to be begun (`record` None) or called again: it waits, retries, or was cut off by a crash."""

    place: Place
    record: StepRecord | None


@dataclass(frozen=True, slots=True)
class Failure:
    """What failed, and whether what completed before is to be undone."""

    record: StepRecord
    compensates: bool


@dataclass(frozen=True, slots=True)
class Settle:
    """Everything inside a scope has ended. `failure` None and not `is_stopped`: well. `failed` are the keys that did not end well."""

    place: Place
    record: StepRecord
    failure: Failure | None
    is_stopped: bool
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is left to do. `failed` is the record of the step that failed the run; `is_stopped`: it was stopped before its end."""

    failed: StepRecord | None
    is_stopped: bool = False


@dataclass(slots=True)
class Plan:
    """All that can be done now. `finish` is None while anything else is there to do."""

    calls: list[Call] = field(default_factory=list)
    stops: list[Call] = field(default_factory=list)
    settles: list[Settle] = field(default_factory=list)
    finish: Finish | None = None


class _Standing(Enum):
    """How a place or a list stands, beside having failed."""

    WELL = 1
    RUNNING = 2
    HELD = 3  # it would go on, but nothing may begin


_Result = _Standing | Failure


def plan(
    definition: WorkflowDefinition,
    records: Mapping[str, StepRecord],
    now: datetime,
    *,
    is_stopping: bool = False,
    settled: set[str] | None = None,
) -> Plan:
    """What to do now. `is_stopping`: the run was cancelled, so what runs is stopped and nothing begins but compensations.

    `settled` are turns of loops that ended well, which are passed over; those found now join them. Their records must not change.
    """
    walk = _Walk(records, now, set() if settled is None else settled)
    result = walk.list(definition.body, "", Strategy.ABORT, is_stopping=is_stopping)
    if not walk.is_idle:
        return walk.plan
    if is_stopping:
        # Also when everything ended well before it could be stopped: what was asked for is that it be undone.
        if walk.undo(definition):
            walk.plan.finish = Finish(None, is_stopped=True)
    elif result is _Standing.WELL:
        walk.plan.finish = Finish(None)
    elif isinstance(result, Failure) and (not result.compensates or walk.undo(definition)):
        walk.plan.finish = Finish(result.record)
    return walk.plan


class _Walk:
    def __init__(self, records: Mapping[str, StepRecord], now: datetime, settled: set[str]) -> None:
        self._records = records
        self._settled = settled
        self._now = now
        self.plan = Plan()

    @property
    def is_idle(self) -> bool:
        """Nothing was found to do."""
        return not (self.plan.calls or self.plan.stops or self.plan.settles)

    def list(self, body: StepList, suffix: str, strategy: Strategy, *, is_stopping: bool) -> _Result:
        """How the list stands. What there is to do in it joins the plan."""
        before = self._extent
        over: set[str] = set()
        dead: set[str] = set()
        failures: list[Failure] = []
        is_running = is_held = False
        for step, needs, is_simple in body.walked:
            if dead and not dead.isdisjoint(needs):
                dead.add(step.id)
                continue
            if not over.issuperset(needs):
                is_held = True
                continue
            if is_simple:
                record = self._records.get(step.id + suffix)
                if record is not None and record.state is StepState.COMPLETED:
                    # Most steps of most lists, so they are passed without another look.
                    over.add(step.id)
                    continue
            result = self._place(Place(step, suffix), is_stopping=is_stopping)
            if result is _Standing.RUNNING:
                is_running = True
            elif result is _Standing.HELD:
                is_held = True
            elif isinstance(result, Failure) and _ends_list(step, strategy):
                dead.add(step.id)
                failures.append(result)
            else:
                over.add(step.id)
                if is_stopping and isinstance(result, Failure) and result.record.state is StepState.CANCELLED:
                    # What comes behind it may have begun before; but the list did not come to its end.
                    failures.append(result)
        if failures and strategy is Strategy.ABORT and not is_stopping:
            # Once more, now that it is known that nothing may begin: a block that had begun and holds nothing yet has to end too.
            self._forget_since(before)
            stopping = self.list(body, suffix, strategy, is_stopping=True)
            return _Standing.RUNNING if stopping is _Standing.RUNNING else _worst(failures)
        if is_stopping:
            self._stop_since(before[0])
            is_running = is_running and (len(self.plan.calls) > before[0] or bool(self.plan.stops) or bool(self.plan.settles))
        if is_running:
            return _Standing.RUNNING
        if failures:
            return _worst(failures)
        return _Standing.HELD if is_held else _Standing.WELL

    @property
    def _extent(self) -> tuple[int, int, int]:
        """How much the plan holds: calls, stops, settles."""
        return len(self.plan.calls), len(self.plan.stops), len(self.plan.settles)

    def _forget_since(self, extent: tuple[int, int, int]) -> None:
        """Takes everything out of the plan that came behind `extent`."""
        calls, stops, settles = extent
        del self.plan.calls[calls:]
        del self.plan.stops[stops:]
        del self.plan.settles[settles:]

    def _stop_since(self, index: int) -> None:
        """What was to be called is to be stopped instead, and what was to begin does not."""
        self.plan.stops += [call for call in self.plan.calls[index:] if call.record is not None]
        del self.plan.calls[index:]

    def _place(self, place: Place, *, is_stopping: bool) -> _Result:
        step, record = place.step, self._records.get(place.key)
        if record is None:
            return self._call(place, None, is_stopping=is_stopping)
        if step.fallback is not None and record.state is not StepState.FAILED:
            self._leave_fallback(place)
        if record.state is StepState.SKIPPED:
            return _Standing.WELL
        if record.state is StepState.RETRYING:
            return self._call(place, record, is_stopping=False)
        if record.state is StepState.FAILED:
            return self._fallback(place, record, is_stopping=is_stopping)
        if record.state is StepState.CANCELLED:
            return Failure(record, step.on_failure is OnFailure.COMPENSATE)
        if step.is_scope and record.output is None:
            # It is only just being entered, so nobody can know yet what is in it.
            return self._call(place, record, is_stopping=False)
        if step.type == CONDITION:
            branch = "then" if (record.output or {}).get("branch") == "then" else "else"
            return _through(step, self.list(step.branches[branch], place.suffix, Strategy.ABORT, is_stopping=is_stopping))
        if record.state is StepState.COMPLETED:
            return _Standing.WELL
        return self._scope(place, record, is_stopping=is_stopping) if step.is_scope else self._call(place, record, is_stopping=False)

    def _call(self, place: Place, record: StepRecord | None, *, is_stopping: bool) -> _Result:
        if is_stopping:
            return _Standing.HELD
        self.plan.calls.append(Call(place, record))
        return _Standing.RUNNING

    def _fallback(self, place: Place, record: StepRecord, *, is_stopping: bool) -> _Result:
        """How a place stands whose step has failed for good."""
        other = place.step.fallback
        inside = bool((record.error or {}).get(COMPENSATES))
        failure = Failure(record, inside or place.step.on_failure is OnFailure.COMPENSATE)
        if other is None:
            return failure
        instead = Place(other, place.suffix)
        found = self._records.get(instead.key)
        if found is None and is_stopping:
            return failure
        if found is None or found.state in LIVE_STEPS:
            return self._call(instead, found, is_stopping=False)
        return failure if found.state in (StepState.FAILED, StepState.CANCELLED) else _Standing.WELL

    def _leave_fallback(self, place: Place) -> None:
        """A fallback that was to be tried again is not, once its step did not fail this time."""
        record = self._records.get(place.key)
        if place.step.fallback is None or record is None or record.state in LIVE_STEPS:
            return
        instead = Place(place.step.fallback, place.suffix)
        found = self._records.get(instead.key)
        if found is not None and found.state is StepState.RETRYING:
            self.plan.stops.append(Call(instead, found))

    def _scope(self, place: Place, record: StepRecord, *, is_stopping: bool) -> _Result:
        """How a scope stands that has begun; when all in it has ended, it is to be settled."""
        is_late = record.deadline_at is not None and record.deadline_at <= self._now
        must_stop = is_stopping or is_late
        before = self._extent
        if place.step.type == FOREACH:
            result, failed = self._loop(place, record, is_stopping=must_stop)
        else:
            body = place.step.branches["steps"]
            result = self.list(body, place.suffix, place.step.strategy, is_stopping=must_stop)
            failed = tuple(key for key in (step.id + place.suffix for step in body.steps) if self._has_failed(key))
        if result is _Standing.RUNNING or self._extent != before:
            return _Standing.RUNNING
        failure = result if isinstance(result, Failure) else None
        is_stopped = result is _Standing.HELD or (failure is not None and failure.record.state is StepState.CANCELLED)
        self.plan.settles.append(Settle(place, record, failure, is_stopped, failed))
        return _Standing.RUNNING

    def _loop(self, place: Place, record: StepRecord, *, is_stopping: bool) -> tuple[_Result, tuple[str, ...]]:
        """The turns of a loop: at most `limit` of them at a time, in order."""
        step, before = place.step, self._extent
        items = (record.output or {}).get("items")
        count = len(items) if isinstance(items, list) else 0
        failures: list[Failure] = []
        failed: list[str] = []
        running, is_held = 0, False
        for index in range(count):
            is_full = step.limit is not None and running >= step.limit
            may_begin = not is_full and not (failures and step.strategy is Strategy.ABORT)
            turn = f"{place.suffix}[{index}]"
            if step.id + turn in self._settled:
                continue
            if not may_begin and not self._has_begun(step.branches["steps"], turn):
                is_held = True
                continue
            result = self.list(step.branches["steps"], turn, Strategy.ABORT, is_stopping=is_stopping)
            if result is _Standing.WELL:
                self._settled.add(step.id + turn)
            if isinstance(result, Failure):
                failed.append(f"{step.id}{turn}")
                if step.strategy is not Strategy.CONTINUE or is_stopping:
                    failures.append(result)
            running += result is _Standing.RUNNING
            is_held = is_held or result is _Standing.HELD
        if failures and step.strategy is Strategy.ABORT and not is_stopping:
            # As in a list: what had begun in the other turns has to end, also where nothing is recorded yet that could be stopped.
            self._forget_since(before)
            stopping, _ = self._loop(place, record, is_stopping=True)
            return (_Standing.RUNNING if stopping is _Standing.RUNNING else _worst(failures)), tuple(failed)
        if running:
            return _Standing.RUNNING, tuple(failed)
        if failures:
            return _worst(failures), tuple(failed)
        return (_Standing.HELD if is_held else _Standing.WELL), tuple(failed)

    def _has_begun(self, body: StepList, suffix: str) -> bool:
        return any(step.id + suffix in self._records for step in body.steps)

    def _has_failed(self, key: str) -> bool:
        record = self._records.get(key)
        return record is not None and record.state in (StepState.FAILED, StepState.CANCELLED)

    def _done_places(self, definition: WorkflowDefinition) -> Iterator[Place]:
        """The places that did their work, those whose fallback did it instead too."""
        for key in self._records:
            step = definition.by_id.get(key.partition("[")[0])
            if step is not None and self._doer(place := Place(step, key[len(step.id) :])).state is StepState.COMPLETED:
                yield place

    def _doer(self, place: Place) -> StepRecord:
        """The record of the step at the place, or of its fallback once that took over."""
        record, other = self._records[place.key], place.step.fallback
        instead = self._records.get(other.id + place.suffix) if other is not None else None
        return instead if instead is not None and record.state is StepState.FAILED else record

    def _ended_at(self, place: Place) -> datetime:
        return self._doer(place).ended_at or self._now

    def undo(self, definition: WorkflowDefinition) -> bool:
        """Whether all that completed and can be undone has been; else the next compensation joins the plan, the latest step's first."""
        done = [place for place in self._done_places(definition) if place.step.compensate is not None]
        done.sort(key=lambda place: (self._ended_at(place), place.key), reverse=True)
        for place in done:
            if place.step.compensate is None:
                continue
            instead = Place(place.step.compensate, place.suffix)
            record = self._records.get(instead.key)
            if record is None or record.state in LIVE_STEPS:
                self.plan.calls.append(Call(instead, record))
                return False
        return True


def _worst(failures: list[Failure]) -> Failure:
    """The first that failed by itself, else the first that was stopped."""
    return next((item for item in failures if item.record.state is not StepState.CANCELLED), failures[0])


def _ends_list(step: Step, strategy: Strategy) -> bool:
    return step.on_failure is not OnFailure.CONTINUE and strategy is not Strategy.CONTINUE


def _through(step: Step, result: _Result) -> _Result:
    """The result of what stands inside a condition, as the condition's own."""
    if isinstance(result, Failure) and step.on_failure is OnFailure.COMPENSATE:
        return Failure(result.record, compensates=True)
    return result
