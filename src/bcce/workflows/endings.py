"""How a run ends: the way its steps ended, or because it cannot go on; in the same commit as whatever ended it."""

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import Connection

from bcce.kit.clock import Clock
from bcce.kit.errors import BcceError
from bcce.observability.metrics import Metrics
from bcce.storage.doors import Item
from bcce.workflows import repository
from bcce.workflows.artifacts.model import pack
from bcce.workflows.artifacts.restoring import needs_restoring, restored
from bcce.workflows.artifacts.service import ArtifactStore, Packed
from bcce.workflows.definition import WorkflowDefinition
from bcce.workflows.expressions import Expressions
from bcce.workflows.journal import Journal, add_items
from bcce.workflows.model import Run, RunState, StepError, StepRecord
from bcce.workflows.planner import Finish
from bcce.workflows.scope import scope_at

_RUN_EVENTS = {RunState.COMPLETED: "workflow.completed", RunState.CANCELLED: "workflow.cancelled"}


class RunEndings:
    """Writes the ends of runs."""

    def __init__(self, journal: Journal, expressions: Expressions, artifacts: ArtifactStore, clock: Clock, metrics: Metrics) -> None:
        self._journal = journal
        self._expressions = expressions
        self._artifacts = artifacts
        self._clock = clock
        self._metrics = metrics

    async def finish(self, run: Run, definition: WorkflowDefinition, records: Mapping[str, StepRecord], move: Finish) -> None:
        """Ends a run that has nothing left to do, apart from any step."""
        if reads_artifacts(definition, records):
            await self._journal.write(run, lambda conn: add_items(conn, self.items(run, definition, records, move, conn)))
            return
        await self._journal.append(run, self.items(run, definition, records, move), changes_run=True)

    def items(
        self, run: Run, definition: WorkflowDefinition, records: Mapping[str, StepRecord], move: Finish, conn: Connection | None = None
    ) -> list[Item]:
        """The rows that end the run the way its steps ended; with `conn`, outputs may be read from artifacts and become such."""
        if move.is_stopped:
            return self._end(run, RunState.CANCELLED, None, None)
        if move.failed is not None:
            reason = {"step": move.failed.key, "code": "step-cancelled", "message": "it was stopped", **(move.failed.error or {})}
            return self._end(run, RunState.FAILED, None, reason)
        try:
            output = self._outputs(run, definition, records, conn) if definition.outputs else {}
        except BcceError as error:
            return self._end(run, RunState.FAILED, None, {"step": None, **StepError.of(error).to_dict()})
        return self._end(run, RunState.COMPLETED, output, None)

    def _outputs(
        self, run: Run, definition: WorkflowDefinition, records: Mapping[str, StepRecord], conn: Connection | None
    ) -> Mapping[str, object]:
        given = dict(definition.outputs)
        if conn is not None:
            records = restored(conn, run.id, records, self._expressions.reads_of(given))
        output: dict[str, object] = self._expressions.render(given, scope_at(definition, run, records, None))  # type: ignore[assignment]  # rendering keeps a mapping a mapping
        if conn is None:
            return output
        packed, pieces = pack(output, limit_bytes=self._artifacts.limits.artifact_bytes)
        if pieces:
            self._artifacts.store(conn, run, Packed.of(pieces), None)
        return packed

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

    def _end(self, run: Run, state: RunState, output: Mapping[str, object] | None, error: Mapping[str, object] | None) -> list[Item]:
        data: dict[str, object] = {"duration": round((self._clock.now() - run.created_at) / timedelta(milliseconds=1), 3)}
        if error is not None:
            data.update(error=error.get("message"), errorType=error.get("code"), stepId=error.get("step"))
        event = self._journal.run_event(run, _RUN_EVENTS.get(state, "workflow.failed"), data)
        return [*repository.end_run(run.id, state, output=output, error=error), event]


def reads_artifacts(definition: WorkflowDefinition, records: Mapping[str, StepRecord]) -> bool:
    """Whether the run's outputs may be made of artifacts."""
    return bool(definition.outputs) and needs_restoring(records)
