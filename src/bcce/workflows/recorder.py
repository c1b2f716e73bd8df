"""Turns what came of a step's call into journal rows, and ends the run in the same commit as its last step."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection

from bcce.kit.clock import Clock
from bcce.kit.redact import redact
from bcce.observability.metrics import Metrics
from bcce.storage.doors import Item
from bcce.workflows import repository
from bcce.workflows.artifacts.model import Piece, has_reference, pack, pack_files, pack_value
from bcce.workflows.artifacts.service import ArtifactStore, Packed
from bcce.workflows.attempt import Attempt
from bcce.workflows.definition import FOREACH
from bcce.workflows.endings import RunEndings, reads_artifacts
from bcce.workflows.errors import STEP_FAILED, ArtifactsOverLimit, OutputTooLarge, StepTimedOut
from bcce.workflows.expressions import Expressions
from bcce.workflows.journal import Journal, add_items
from bcce.workflows.logs.logbook import Logbook
from bcce.workflows.model import LIVE_STEPS, StepError, StepRecord, StepResult, StepState
from bcce.workflows.planner import COMPENSATES, Finish, Settle, plan
from bcce.workflows.step_type import Park
from bcce.workflows.suspects.repository import progressed

#: What a call says while it goes on is stored this often at most, in seconds.
_LOG_S = 2.0
_ENDED = {"completed": StepState.COMPLETED, "failed": StepState.FAILED, "skipped": StepState.SKIPPED}
_EVENTS = {
    StepState.COMPLETED: "step.completed",
    StepState.FAILED: "step.failed",
    StepState.SKIPPED: "step.skipped",
    StepState.RETRYING: "step.retried",
    StepState.CANCELLED: "step.cancelled",
}


class Recorder:
    """Writes attempts and ends of runs."""

    def __init__(
        self, journal: Journal, expressions: Expressions, artifacts: ArtifactStore, logbook: Logbook, clock: Clock, metrics: Metrics
    ) -> None:
        self._journal = journal
        self._artifacts = artifacts
        self._logbook = logbook
        self.endings = RunEndings(journal, expressions, artifacts, clock, metrics)
        self._clock = clock
        self._metrics = metrics

    async def intend(self, attempt: Attempt) -> None:
        """Writes that the attempt is about to act on the world, before it does."""
        if not attempt.row.is_stored:
            await self._journal.append(attempt.run, self._journal.started(attempt.run, attempt.record, attempt.effect, attempt.row.inputs))
            attempt.row.is_stored = True

    def tell(self, attempt: Attempt) -> None:
        """Lets others see an attempt that takes long, and what it says."""
        row, now = attempt.row, self._clock.monotonic()
        if row.telling is not None and (not row.telling.done() or row.telling.cancelled() or row.telling.exception() is not None):
            # What went wrong is for the one who waits for it before the attempt's end.
            return
        if not row.is_stored or (row.log is not None and row.log.has_lines and now - row.told_at >= _LOG_S):
            row.told_at = now
            row.telling = asyncio.create_task(self._tell(attempt))

    async def _tell(self, attempt: Attempt) -> None:
        await self.intend(attempt)
        await self._logbook.store(attempt.run, attempt.record, attempt.row.log)

    async def end(self, attempt: Attempt, record: StepRecord, pieces: Sequence[Piece] = ()) -> StepRecord:
        """Records the attempt's end with what it left, and in the same commit the run's own if nothing is left to do.

        Raises:
            ArtifactsOverLimit: the run has too much already; nothing is recorded.
        """
        await _told(attempt)
        if pieces or reads_artifacts(attempt.definition, attempt.records):
            packed = await Packed.apart(pieces)
            return await self._end_writing(attempt, lambda conn: (record, packed))
        log = attempt.row.log
        if log is not None and log.is_continued and log.is_waiting:
            return await self._end_writing(attempt, lambda conn: (record, Packed()))
        items, is_last = self._end_items(attempt, record)
        batch = self._logbook.add(items, attempt.run, record, log)
        await self._journal.append(attempt.run, items, changes_run=is_last or attempt.run.crashes > 0)
        self._logbook.stored(log, batch)
        attempt.row.is_stored = True
        attempt.ending.is_over = is_last
        self.count(record)
        return record

    async def end_with(self, attempt: Attempt, write: Callable[[Connection], StepResult], *, is_stopped: bool = False) -> StepRecord:
        """Records the attempt's end, or that it was stopped, in one transaction with the database work of the step."""
        await _told(attempt)

        is_announced = not attempt.row.is_stored and attempt.record.attempt == 1

        def end(conn: Connection) -> tuple[StepRecord, Packed]:
            if is_announced:
                # Before whatever the step publishes itself.
                began = self._journal.step_event(attempt.run, attempt.record, "step.started", at=attempt.record.started_at)
                add_items(conn, [began])
            record, pieces = self.ended(attempt.record, write(conn))
            return replace(record, state=StepState.CANCELLED, wake_at=None) if is_stopped else record, Packed.of(pieces)

        return await self._end_writing(attempt, end, is_announced=is_announced)

    async def _end_writing(
        self, attempt: Attempt, end: Callable[[Connection], tuple[StepRecord, Packed]], *, is_announced: bool = False
    ) -> StepRecord:
        """Records the attempt's end in a write of its own, which can also look at what is stored.

        `is_announced`: `end` has published that the attempt began.
        """
        is_last, batch = False, None

        def fn(conn: Connection) -> StepRecord:
            nonlocal is_last, batch
            record, packed = end(conn)
            if packed.pieces:
                self._artifacts.store(conn, attempt.run, packed, record)
            items, is_last = self._end_items(attempt, record, conn, is_announced=is_announced)
            batch = self._logbook.add(items, attempt.run, record, attempt.row.log, conn)
            add_items(conn, items)
            return record

        ended = await self._journal.write(attempt.run, fn)
        self._logbook.stored(attempt.row.log, batch)
        attempt.row.is_stored = True
        attempt.ending.is_over = is_last
        self.count(ended)
        return ended

    def _end_items(
        self, attempt: Attempt, record: StepRecord, conn: Connection | None = None, *, is_announced: bool = False
    ) -> tuple[list[Item], bool]:
        """The rows that record the end of the attempt, and whether the run ends with it; `conn` as for `RunEndings.items`."""
        items = self._items(attempt, record, is_announced=is_announced)
        if attempt.record.state is StepState.WAITING:
            items.append(repository.close_gate(attempt.run.id, record.key))
        if attempt.run.crashes > 0:
            items.append(progressed(attempt.run.id))
        finish = self._finish(attempt, record)
        if finish is not None:
            items += self.endings.items(attempt.run, attempt.definition, {**attempt.records, record.key: record}, finish, conn)
        return items, finish is not None

    def _finish(self, attempt: Attempt, record: StepRecord) -> Finish | None:
        """How the run ends with `record`; None when it does not."""
        if len(attempt.records) + 1 < len(attempt.definition.steps) and record.state is StepState.COMPLETED:
            return None
        # A copy, made at once: in a write this is another thread than the one that begins steps.
        if any(other.state in LIVE_STEPS and other.key != record.key for other in list(attempt.records.values())):
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
        found, pieces = self._collected(attempt, settle)
        ended = replace(settle.record, state=state, output={**(settle.record.output or {}), **found}, error=error, ended_at=now)
        try:
            return await self.end(attempt, ended, pieces)
        except ArtifactsOverLimit:
            # A loop does not fail because its results find no room: whoever needs them sees that they are not there.
            return await self.end(attempt, replace(ended, output={**(ended.output or {}), "results": None}))

    def _collected(self, attempt: Attempt, settle: Settle) -> tuple[dict[str, object], tuple[Piece, ...]]:
        """What a scope's output tells of what was inside it, and what of that becomes artifacts."""
        found: dict[str, object] = {"failed": list(settle.failed)}
        if settle.place.step.type == FOREACH:
            last = settle.place.step.branches["steps"].in_order_of_needs[-1]
            items = (settle.record.output or {}).get("items")
            turns = range(len(items) if isinstance(items, list) else 0)
            records = [attempt.records.get(f"{last.id}{settle.place.suffix}[{turn}]") for turn in turns]
            results = [dict(record.output or {}) if record is not None else None for record in records]
            found |= {"count": len(results), "results": results}
            try:
                return self._packed_results(found, results)
            except OutputTooLarge:
                found["results"] = None
        return found, ()

    def _packed_results(
        self, found: dict[str, object], results: list[dict[str, object] | None]
    ) -> tuple[dict[str, object], tuple[Piece, ...]]:
        limit = self._artifacts.limits.artifact_bytes
        if any(has_reference(result) for result in results):
            # So that references stand in no output but at its top, where they are looked for.
            piece = pack_value("output.results", results, limit_bytes=limit)
            return {**found, "results": piece.reference}, (piece,)
        packed, pieces = pack({"results": results}, limit_bytes=limit)
        return {**found, "results": packed["results"]}, pieces

    async def park(self, attempt: Attempt, outcome: Park) -> StepRecord:
        """Records that the step waits, opening its gate the first time."""
        await _told(attempt)
        before = attempt.record
        wake_at = self._clock.now() + outcome.wake_after if outcome.wake_after is not None else None
        waiting = replace(before, state=StepState.WAITING, waiting_for=outcome.waiting_for[:255], wake_at=wake_at)
        is_new_gate = before.state is not StepState.WAITING
        if not is_new_gate and outcome.write is None:
            # The run's own `wake_at` carries the next look, so a poll that found nothing costs one write and not two.
            await self._logbook.store(attempt.run, waiting, attempt.row.log)
            return waiting

        if attempt.row.is_stored:
            items = [self._journal.changed(attempt.run, waiting)]
        else:
            items = self._journal.started(attempt.run, waiting, attempt.effect, attempt.row.inputs)
        if is_new_gate:
            items.append(self._journal.step_event(attempt.run, waiting, "step.waiting", at=self._clock.now()))
            items.append(repository.open_gate(self._journal.gate_values(attempt.run, waiting, outcome.kind, outcome.name)))
        log = attempt.row.log
        batch = self._logbook.add(items, attempt.run, waiting, log) if log is not None and not log.is_continued else None
        write = outcome.write
        if write is None:
            await self._journal.append(attempt.run, items)
        else:
            await self._journal.write(attempt.run, lambda conn: _both(conn, write, items))
        attempt.row.is_stored = True
        self._logbook.stored(log, batch)
        await self._logbook.store(attempt.run, waiting, log)
        return waiting

    def ended(self, record: StepRecord, result: StepResult) -> tuple[StepRecord, tuple[Piece, ...]]:
        """The record of an attempt that ended with `result`, masked, and what of it becomes artifacts.

        Raises:
            OutputTooLarge: a part of it is larger than an artifact may be.
        """
        limit = self._artifacts.limits.artifact_bytes
        output, pieces = pack(redact(dict(result.output)), limit_bytes=limit)  # type: ignore[arg-type]  # redact keeps a mapping a mapping
        if result.artifacts:
            pieces += pack_files(result.artifacts, limit_bytes=limit)
        state = _ENDED[result.status]
        error = None
        if state is StepState.FAILED:
            message = str(redact(result.output.get("message", "the step said that it failed")))
            error = (result.error or StepError(code=STEP_FAILED, message=message)).to_dict()
        return record.ended(state, self._clock.now(), output=output, error=error), pieces

    def count(self, record: StepRecord) -> None:
        """Adds an ended attempt to the metrics."""
        if record.ended_at is None:
            return
        duration = record.ended_at - record.started_at
        error = (record.error or {}).get("code")
        self._metrics.step_ended(
            record.type, status=str(record.state), duration_ms=duration / timedelta(milliseconds=1), error=str(error) if error else None
        )

    def _items(self, attempt: Attempt, record: StepRecord, *, is_announced: bool) -> list[Item]:
        if attempt.row.is_stored:
            items = [self._journal.changed(attempt.run, record)]
        else:
            items = self._journal.started(attempt.run, record, attempt.effect, attempt.row.inputs)
            # The event comes behind the row.
            del items[1 if is_announced else 2 :]
        if record.state in _EVENTS:
            items.append(self._journal.step_event(attempt.run, record, _EVENTS[record.state], at=record.ended_at or self._clock.now()))
        return items


def _both(conn: Connection, write: Callable[[Connection], None], items: list[Item]) -> None:
    write(conn)
    add_items(conn, items)


async def _told(attempt: Attempt) -> None:
    """Waits for the write that tells of the attempt, so that it comes before what is written next."""
    if attempt.row.telling is not None:
        await attempt.row.telling
