"""Turns what came of a step's call into journal rows, and ends the run in the same commit as its last step."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import Connection

from bcce.kit.clock import Clock
from bcce.kit.errors import BcceError
from bcce.kit.redact import redact
from bcce.kit.text import canonical_json
from bcce.kit.values import value
from bcce.observability.metrics import Metrics
from bcce.storage.doors import Item
from bcce.workflows import repository
from bcce.workflows.definition import FOREACH, WorkflowDefinition
from bcce.workflows.errors import OutputTooLarge, StepTimedOut
from bcce.workflows.expressions import Expressions
from bcce.workflows.journal import Journal, add_items
from bcce.workflows.model import LIVE_STEPS, MAX_OUTPUT_BYTES, Effect, Run, RunState, StepError, StepRecord, StepResult, StepState
from bcce.workflows.planner import COMPENSATES, Finish, Settle, plan
from bcce.workflows.scope import scope_at
from bcce.workflows.step_type import Park
from bcce.workflows.suspects.repository import progressed

_ENDED = {"completed": StepState.COMPLETED, "failed": StepState.FAILED, "skipped": StepState.SKIPPED}
_EVENTS = {
    StepState.COMPLETED: "step.completed",
    StepState.FAILED: "step.failed",
    StepState.SKIPPED: "step.skipped",
    StepState.RETRYING: "step.retried",
    StepState.CANCELLED: "step.cancelled",
}
_RUN_EVENTS = {RunState.COMPLETED: "workflow.completed", RunState.CANCELLED: "workflow.cancelled"}


@dataclass(slots=True)
class Ending:
    """How the run is to end, shared by all calls in progress.

    `is_stopping`: it was cancelled. `is_over`: it has ended, together with one of its steps.
    """

    is_stopping: bool = False
    is_over: bool = False


@dataclass(slots=True)
class Row:
    """Whether an attempt has a row in the journal; `telling` is the write that is just making one, None when there is none."""

    is_stored: bool = False
    telling: "asyncio.Task[None] | None" = None


@value
class Attempt:
    """One call of one step and all that is needed to record it.

    `records` are the run's other records; `row` says whether the attempt has one already; `inputs` is the digest of its rendered
    parameters.
    """

    run: Run
    definition: WorkflowDefinition
    records: Mapping[str, StepRecord]
    ending: Ending
    record: StepRecord
    effect: Effect
    inputs: str
    row: Row


class Recorder:
    """Writes attempts and ends of runs."""

    def __init__(self, journal: Journal, expressions: Expressions, clock: Clock, metrics: Metrics) -> None:
        self._journal = journal
        self._expressions = expressions
        self._clock = clock
        self._metrics = metrics

    async def intend(self, attempt: Attempt) -> None:
        """Writes that the attempt is about to act on the world, before it does."""
        if not attempt.row.is_stored:
            await self._journal.append(attempt.run, self._journal.started(attempt.run, attempt.record, attempt.effect, attempt.inputs))
            attempt.row.is_stored = True

    def tell(self, attempt: Attempt) -> None:
        """Lets others see an attempt that takes long."""
        if not attempt.row.is_stored and attempt.row.telling is None:
            attempt.row.telling = asyncio.create_task(self.intend(attempt))

    async def end(self, attempt: Attempt, record: StepRecord) -> StepRecord:
        """Records the attempt's end, and in the same commit the run's own if nothing is left to do."""
        await _told(attempt)
        items, is_last = self._end_items(attempt, record)
        await self._journal.append(attempt.run, items, changes_run=is_last or attempt.run.crashes > 0)
        attempt.row.is_stored = True
        attempt.ending.is_over = is_last
        self.count(record)
        return record

    async def end_with(self, attempt: Attempt, write: Callable[[Connection], StepResult], *, is_stopped: bool = False) -> StepRecord:
        """Records the attempt's end, or that it was stopped, in one transaction with the database work of the step."""
        await _told(attempt)
        is_last = False

        def fn(conn: Connection) -> StepRecord:
            nonlocal is_last
            record = self.ended(attempt.record, write(conn))
            if is_stopped:
                record = replace(record, state=StepState.CANCELLED, wake_at=None)
            items, is_last = self._end_items(attempt, record)
            add_items(conn, items)
            return record

        ended = await self._journal.write(attempt.run, fn)
        attempt.row.is_stored = True
        attempt.ending.is_over = is_last
        self.count(ended)
        return ended

    def _end_items(self, attempt: Attempt, record: StepRecord) -> tuple[list[Item], bool]:
        """The rows that record the end of the attempt, and whether the run ends with it."""
        items = self._items(attempt, record)
        if attempt.record.state is StepState.WAITING:
            items.append(repository.close_gate(attempt.run.id, record.key))
        if attempt.run.crashes > 0:
            items.append(progressed(attempt.run.id))
        finish = self._finish(attempt, record)
        if finish is not None:
            items += self._finished(attempt.run, attempt.definition, {**attempt.records, record.key: record}, finish)
        return items, finish is not None

    def _finish(self, attempt: Attempt, record: StepRecord) -> Finish | None:
        """How the run ends with `record`; None when it does not."""
        if len(attempt.records) + 1 < len(attempt.definition.steps) and record.state is StepState.COMPLETED:
            return None
        if any(other.state in LIVE_STEPS and other.key != record.key for other in attempt.records.values()):
            # As at the end of each but the last of many steps at once.
            return None
        after = {**attempt.records, record.key: record}
        return plan(attempt.definition, after, self._clock.now(), is_stopping=attempt.ending.is_stopping).finish

    async def settle(self, attempt: Attempt, settle: Settle) -> StepRecord:
        """Records how a scope ended."""
        now, key = self._clock.now(), settle.place.key
        is_late = settle.record.deadline_at is not None and settle.record.deadline_at <= now
        state, error = StepState.COMPLETED, None
        if settle.is_stopped and is_late:
            late = StepTimedOut(f"step {key!r} did not end within {settle.place.step.timeout_s or 0:g} s")
            state, error = StepState.FAILED, StepError.of(late).to_dict()
        elif settle.is_stopped:
            state = StepState.CANCELLED
        elif settle.failure is not None:
            state, error = StepState.FAILED, {**(settle.failure.record.error or {}), "step": settle.failure.record.key}
            if settle.failure.compensates:
                error[COMPENSATES] = True
        output = {**(settle.record.output or {}), **self._collected(attempt, settle)}
        return await self.end(attempt, replace(settle.record, state=state, output=output, error=error, ended_at=now))

    def _collected(self, attempt: Attempt, settle: Settle) -> dict[str, object]:
        """What a scope's output tells of what was inside it."""
        found: dict[str, object] = {"failed": list(settle.failed)}
        if settle.place.step.type == FOREACH:
            last = settle.place.step.branches["steps"].in_order_of_needs[-1]
            items = (settle.record.output or {}).get("items")
            turns = range(len(items) if isinstance(items, list) else 0)
            records = [attempt.records.get(f"{last.id}{settle.place.suffix}[{turn}]") for turn in turns]
            results = [dict(record.output or {}) if record is not None else None for record in records]
            found |= {"count": len(results), "results": results}
            if len(canonical_json(results)) > MAX_OUTPUT_BYTES // 2:
                found["results"] = None
        return found

    async def park(self, attempt: Attempt, outcome: Park) -> StepRecord:
        """Records that the step waits, opening its gate the first time."""
        await _told(attempt)
        before = attempt.record
        wake_at = self._clock.now() + outcome.wake_after if outcome.wake_after is not None else None
        waiting = replace(before, state=StepState.WAITING, waiting_for=outcome.waiting_for[:255], wake_at=wake_at)
        is_new_gate = before.state is not StepState.WAITING
        if not is_new_gate and outcome.write is None:
            # The run's own `wake_at` carries the next look, so a poll that found nothing costs one write and not two.
            return waiting

        if attempt.row.is_stored:
            items = [self._journal.changed(attempt.run, waiting)]
        else:
            items = self._journal.started(attempt.run, waiting, attempt.effect, attempt.inputs)
        if is_new_gate:
            items.append(self._journal.step_event(attempt.run, waiting, "step.waiting", at=self._clock.now()))
            items.append(repository.open_gate(self._journal.gate_values(attempt.run, waiting, outcome.kind, outcome.name)))
        write = outcome.write
        if write is None:
            await self._journal.append(attempt.run, items)
        else:
            await self._journal.write(attempt.run, lambda conn: _both(conn, write, items))
        attempt.row.is_stored = True
        return waiting

    def ended(self, record: StepRecord, result: StepResult) -> StepRecord:
        """The record of an attempt that ended with `result`, masked and checked for size.

        Raises:
            OutputTooLarge: the journal does not take so much.
        """
        output = redact(dict(result.output))
        size = len(canonical_json(output))
        if size > MAX_OUTPUT_BYTES:
            raise OutputTooLarge(
                f"the output has {size} bytes; the journal takes {MAX_OUTPUT_BYTES}", details={"bytes": size, "limit": MAX_OUTPUT_BYTES}
            )
        state = _ENDED[result.status]
        error = None
        if state is StepState.FAILED:
            said = StepError(code="step-failed", message=str(result.output.get("message", "the step said that it failed")))
            error = (result.error or said).to_dict()
        return replace(record, state=state, output=output, error=error, ended_at=self._clock.now(), waiting_for=None)  # type: ignore[arg-type]  # redact keeps a mapping a mapping

    async def finish(self, run: Run, definition: WorkflowDefinition, records: Mapping[str, StepRecord], move: Finish) -> None:
        """Ends a run that has nothing left to do, apart from any step."""
        await self._journal.append(run, self._finished(run, definition, records, move), changes_run=True)

    def _finished(self, run: Run, definition: WorkflowDefinition, records: Mapping[str, StepRecord], move: Finish) -> list[Item]:
        """The rows that end the run the way its steps ended."""
        if move.is_stopped:
            return self._end(run, RunState.CANCELLED, None, None)
        if move.failed is not None:
            reason = {"step": move.failed.key, "code": "step-cancelled", "message": "it was stopped", **(move.failed.error or {})}
            return self._end(run, RunState.FAILED, None, reason)
        try:
            output = (
                self._expressions.render(dict(definition.outputs), scope_at(definition, run, records, None)) if definition.outputs else {}
            )
        except BcceError as error:
            return self._end(run, RunState.FAILED, None, {"step": None, **StepError.of(error).to_dict()})
        return self._end(run, RunState.COMPLETED, output, None)  # type: ignore[arg-type]  # rendering keeps a mapping a mapping

    async def bury(self, run: Run) -> None:
        """Puts a run whose workers keep dying where it can do no more harm."""
        message = f"{run.crashes} workers in a row died while they ran nothing but this"
        error = StepError(code="run-dead", message=message, hint="look at the logs of that time, then start a new run")
        await self._journal.append(run, self._end(run, RunState.DEAD, None, {"step": None, **error.to_dict()}), changes_run=True)
        self._metrics.run_died()

    async def refuse(self, run: Run, reason: BcceError) -> None:
        """Ends a run that cannot go on whatever its steps say."""
        error: dict[str, object] = {"step": None, **StepError.of(reason).to_dict()}
        await self._journal.append(run, self._end(run, RunState.FAILED, None, error), changes_run=True)

    def count(self, record: StepRecord) -> None:
        """Adds an ended attempt to the metrics."""
        if record.ended_at is None:
            return
        duration = record.ended_at - record.started_at
        error = (record.error or {}).get("code")
        self._metrics.step_ended(
            record.type, status=str(record.state), duration_ms=duration / timedelta(milliseconds=1), error=str(error) if error else None
        )

    def _items(self, attempt: Attempt, record: StepRecord) -> list[Item]:
        if attempt.row.is_stored:
            items = [self._journal.changed(attempt.run, record)]
        else:
            items = self._journal.started(attempt.run, record, attempt.effect, attempt.inputs)
        if record.state in _EVENTS:
            items.append(self._journal.step_event(attempt.run, record, _EVENTS[record.state], at=record.ended_at or self._clock.now()))
        return items

    def _end(self, run: Run, state: RunState, output: Mapping[str, object] | None, error: Mapping[str, object] | None) -> list[Item]:
        data: dict[str, object] = {"duration": round((self._clock.now() - run.created_at) / timedelta(milliseconds=1), 3)}
        if error is not None:
            data.update(error=error.get("message"), errorType=error.get("code"), stepId=error.get("step"))
        event = self._journal.run_event(run, _RUN_EVENTS.get(state, "workflow.failed"), data)
        return [*repository.end_run(run.id, state, output=output, error=error), event]


def _both(conn: Connection, write: Callable[[Connection], None], items: list[Item]) -> None:
    write(conn)
    add_items(conn, items)


async def _told(attempt: Attempt) -> None:
    """Waits for the write that tells of the attempt, so that it comes before what is written next."""
    if attempt.row.telling is not None:
        await attempt.row.telling
