"""Turns what came of a step's call into journal rows, and ends the run in the same commit as its last step."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import Connection

from bcce.kit.clock import Clock
from bcce.kit.errors import BcceError
from bcce.kit.redact import redact
from bcce.kit.text import canonical_json
from bcce.observability.metrics import Metrics
from bcce.storage.doors import Item
from bcce.workflows import repository
from bcce.workflows.definition import WorkflowDefinition
from bcce.workflows.errors import OutputTooLarge
from bcce.workflows.expressions import Expressions
from bcce.workflows.journal import Journal, add_items
from bcce.workflows.model import MAX_OUTPUT_BYTES, Effect, Run, RunState, StepError, StepRecord, StepResult, StepState
from bcce.workflows.planner import Finish, next_move
from bcce.workflows.step_type import Park

_ENDED = {"completed": StepState.COMPLETED, "failed": StepState.FAILED, "skipped": StepState.SKIPPED}
_EVENTS = {StepState.COMPLETED: "step.completed", StepState.FAILED: "step.failed", StepState.SKIPPED: "step.skipped"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One call of one step and all that is needed to record it.

    `records` are the run's other records; `is_stored` says whether the attempt has a row already; `inputs` is the digest of its rendered
    parameters.
    """

    run: Run
    definition: WorkflowDefinition
    records: Mapping[str, StepRecord]
    record: StepRecord
    effect: Effect
    inputs: str
    is_stored: bool


class Recorder:
    """Writes attempts and ends of runs."""

    def __init__(self, journal: Journal, expressions: Expressions, clock: Clock, metrics: Metrics) -> None:
        self._journal = journal
        self._expressions = expressions
        self._clock = clock
        self._metrics = metrics

    async def intend(self, attempt: Attempt) -> Attempt:
        """Writes that the attempt is about to act on the world, before it does."""
        if attempt.is_stored:
            return attempt
        await self._journal.append(attempt.run, self._journal.started(attempt.run, attempt.record, attempt.effect, attempt.inputs))
        return replace(attempt, is_stored=True)

    async def end(self, attempt: Attempt, record: StepRecord) -> StepRecord:
        """Records the attempt's end: in the group commit, or in one transaction with the run's own end."""
        if isinstance(next_move(attempt.definition, {**attempt.records, record.key: record}), Finish):
            await self._journal.write(attempt.run, lambda conn: self.write_end(conn, attempt, record))
        else:
            await self._journal.append(attempt.run, self._items(attempt, record))
        self.count(record)
        return record

    def write_end(self, conn: Connection, attempt: Attempt, record: StepRecord) -> None:
        """Records the attempt's end inside a write, closes its gate, and ends the run if nothing is left to do."""
        add_items(conn, self._items(attempt, record))
        repository.close_gate(conn, attempt.run.id, record.key, self._clock.now())
        after = {**attempt.records, record.key: record}
        move = next_move(attempt.definition, after)
        if isinstance(move, Finish):
            self.finish(conn, attempt.run, attempt.definition, after, move)

    async def park(self, attempt: Attempt, outcome: Park) -> StepRecord:
        """Records that the step waits, opening its gate the first time."""
        before = attempt.record
        wake_at = self._clock.now() + outcome.wake_after if outcome.wake_after is not None else None
        waiting = replace(before, state=StepState.WAITING, waiting_for=outcome.waiting_for[:255], wake_at=wake_at)
        is_new_gate = before.state is not StepState.WAITING
        if not is_new_gate and outcome.write is None:
            # The run's own `wake_at` carries the next look, so a poll that found nothing costs one write and not two.
            return waiting

        def commit(conn: Connection) -> None:
            if outcome.write is not None:
                outcome.write(conn)
            if attempt.is_stored:
                items = [self._journal.changed(attempt.run, waiting)]
            else:
                items = self._journal.started(attempt.run, waiting, attempt.effect, attempt.inputs)
            if is_new_gate:
                items.append(self._journal.step_event(attempt.run, waiting, "step.waiting", at=self._clock.now()))
                repository.open_gate(conn, self._journal.gate_values(attempt.run, waiting, outcome.kind, outcome.name))
            add_items(conn, items)

        await self._journal.write(attempt.run, commit)
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
            error = StepError(code="step-failed", message=str(result.output.get("message", "the step said that it failed"))).to_dict()
        return replace(record, state=state, output=output, error=error, ended_at=self._clock.now(), waiting_for=None)  # type: ignore[arg-type]  # redact keeps a mapping a mapping

    def finish(self, conn: Connection, run: Run, definition: WorkflowDefinition, records: Mapping[str, StepRecord], move: Finish) -> None:
        """Ends the run the way its steps ended; the caller holds its row lock."""
        if move.failed is not None:
            reason = {"step": move.failed.key, **(move.failed.error or {})}
            self._end(conn, run, RunState.FAILED, None, reason)
            return
        try:
            output = self._expressions.render(dict(definition.outputs), {"inputs": dict(run.inputs), "steps": scope_of(records)})
        except BcceError as error:
            self._end(conn, run, RunState.FAILED, None, {"step": None, **StepError.of(error).to_dict()})
            return
        self._end(conn, run, RunState.COMPLETED, output, None)  # type: ignore[arg-type]  # rendering keeps a mapping a mapping

    async def bury(self, run: Run) -> None:
        """Puts a run whose workers keep dying where it can do no more harm."""
        message = f"{run.crashes} workers in a row died while they ran this"
        error = StepError(code="run-dead", message=message, hint="look at the logs of that time, then start a new run")
        await self._journal.write(run, lambda conn: self._end(conn, run, RunState.DEAD, None, {"step": None, **error.to_dict()}))

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
        if attempt.is_stored:
            items = [self._journal.changed(attempt.run, record)]
        else:
            items = self._journal.started(attempt.run, record, attempt.effect, attempt.inputs)
        if record.state in _EVENTS:
            items.append(self._journal.step_event(attempt.run, record, _EVENTS[record.state], at=record.ended_at or self._clock.now()))
        return items

    def _end(
        self, conn: Connection, run: Run, state: RunState, output: Mapping[str, object] | None, error: Mapping[str, object] | None
    ) -> None:
        repository.end_run(conn, run.id, state, output=output, error=error)
        data: dict[str, object] = {"duration": round((self._clock.now() - run.created_at) / timedelta(milliseconds=1), 3)}
        if error is not None:
            data.update(error=error.get("message"), errorType=error.get("code"), stepId=error.get("step"))
        add_items(conn, [self._journal.run_event(run, "workflow.completed" if state is RunState.COMPLETED else "workflow.failed", data)])


def scope_of(records: Mapping[str, StepRecord]) -> dict[str, object]:
    """What expressions see as `steps`: the output and status of every step that has a record."""
    return {key: {"output": dict(record.output or {}), "status": str(record.state)} for key, record in records.items()}
