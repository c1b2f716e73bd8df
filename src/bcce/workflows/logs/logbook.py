"""Stores what steps say: with the rows that record their ends, or while they go on."""

from collections.abc import Mapping

from sqlalchemy import Connection

from bcce.kit.clock import Clock
from bcce.storage.doors import Item
from bcce.workflows.journal import Journal, add_items
from bcce.workflows.logs import repository
from bcce.workflows.logs.model import Batch, LogLimits, StepLog
from bcce.workflows.model import Run, StepRecord, StepState
from bcce.workflows.step_type import LogLevel

_ENDS = frozenset({StepState.COMPLETED, StepState.FAILED, StepState.SKIPPED, StepState.RETRYING, StepState.CANCELLED})


class Logbook:
    """One worker's part in the logs of runs."""

    def __init__(self, journal: Journal, clock: Clock, limits: LogLimits) -> None:
        self._journal = journal
        self._clock = clock
        self._limits = limits

    def say(self, log: StepLog | None, level: LogLevel, message: str, facts: Mapping[str, object] | None, *, is_continued: bool) -> StepLog:
        """The log of an attempt with a line more; a new one for None."""
        log = log or StepLog(self._limits, is_continued=is_continued)
        log.say(self._clock.now(), level, message, facts)
        return log

    def add(self, items: list[Item], run: Run, record: StepRecord, log: StepLog | None, conn: Connection | None = None) -> Batch | None:
        """Adds what was said to the rows that record what happened to the step; None when nothing was.

        Args:
            conn: needed for an attempt that was continued, to see what is stored of it.
        """
        if log is None or not log.is_waiting:
            return None
        limits, stored = None, (0, 0)
        if log.is_continued and conn is not None:
            limits, stored = self._limits, repository.stored(conn, run.id, record.key, record.attempt)
        batch = log.lines(at=record.ended_at or self._clock.now(), is_last=record.state in _ENDS, stored=stored, limits=limits)
        if batch.lines:
            # Under the event of the same step: the event of the run's end, if it ends too, comes behind it.
            event = next((values for _, values in items if values.get("type") in _OWN), None)
            if event is None:
                item = self._journal.step_event(run, record, "step.logged", at=self._clock.now())
                items.append(item)
                event = item[1]
            place = {"tenant_id": run.tenant_id, "run_id": run.id, "step_key": record.key, "attempt": record.attempt}
            items.append(repository.lines_item(str(event["id"]), batch.lines, **place))  # type: ignore[arg-type]  # ids by name
        return batch

    def stored(self, log: StepLog | None, batch: Batch | None) -> None:
        """What `add` gave has been committed."""
        if log is not None and batch is not None:
            log.stored(batch)

    async def store(self, run: Run, record: StepRecord, log: StepLog | None) -> None:
        """Stores what was said by an attempt that goes on."""
        if log is None or not log.has_lines:
            return

        def write(conn: Connection) -> Batch | None:
            items: list[Item] = []
            batch = self.add(items, run, record, log, conn)
            add_items(conn, items)
            return batch

        self.stored(log, await self._journal.write(run, write))


#: Events that tell of the end of an attempt, or of its wait.
_OWN = frozenset({"step.completed", "step.failed", "step.skipped", "step.retried", "step.cancelled", "step.waiting"})
