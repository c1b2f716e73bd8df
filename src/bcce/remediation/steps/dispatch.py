"""`script.dispatch`: starts the plan's script at most once and waits until its outcome is known."""

from typing import cast

from pydantic import BaseModel, Field
from sqlalchemy import Connection

from bcce.execution.model import DispatchState
from bcce.incidents.errors import IllegalTransition
from bcce.incidents.model import IncidentState
from bcce.incidents.service import IncidentService
from bcce.kit.errors import BcceError, Unavailable
from bcce.kit.findings import Severity
from bcce.kit.ids import ApprovalId, DispatchId, IncidentId
from bcce.plugins import Services
from bcce.remediation.jobs import Jobs
from bcce.remediation.launch import MAX_STARTS, JobEnd, Launch, dispatch_keys
from bcce.remediation.owners import check_may_repair
from bcce.remediation.plans import load_repair
from bcce.remediation.steps.params import RepairParams
from bcce.storage.doors import Database
from bcce.workflows.model import Effect, StepResult, completed
from bcce.workflows.step_type import Commit, Done, StepContext, StepOutcome


class DispatchParams(RepairParams):
    """Parameters of `script.dispatch`."""

    approval: str | None = Field(default=None, description="The approval that covers the script; null if none is needed.")


class DispatchStep:
    """Lets the script of an incident's plan run. Output: `{state, exitCode, detail, output, dispatch}`."""

    name = "script.dispatch"
    effect = Effect.MARKED
    params: type[BaseModel] = DispatchParams

    def __init__(self, *, db: Database, jobs: Jobs, incidents: IncidentService) -> None:
        self._db = db
        self._jobs = jobs
        self._incidents = incidents

    @classmethod
    def build(cls, services: Services) -> "DispatchStep":
        """Wires the step."""
        database: Database = services.get(Database)  # type: ignore[type-abstract]  # a Protocol is the key
        return cls(db=database, jobs=Jobs.build(services), incidents=services.get(IncidentService))

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Starts the script if no attempt to start it is recorded; else asks the target what became of it."""
        launch = await self._launch(context, cast(DispatchParams, params))
        ended = await self._jobs.advance(context, launch)
        return Commit(write=lambda conn: self._finish(conn, context, ended)) if isinstance(ended, JobEnd) else ended

    async def stop(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Ends the script on its target and records whether that is proven; the output then has `stop: {proven, detail}`."""
        ended = await self._jobs.stop(context, await self._launch(context, cast(DispatchParams, params), is_stopping=True))
        if ended is None:
            return Done(result=completed())

        def write(conn: Connection) -> StepResult:
            ended.record(conn)
            return completed(ended.to_dict())

        return Commit(write=write, ended_itself=ended.ended_itself)

    async def _launch(self, context: StepContext, given: DispatchParams, *, is_stopping: bool = False) -> Launch:
        try:
            plan, severity, incident_id = await self._db.read(lambda conn: load_repair(conn, context.tenant_id, given.plan))
        except Unavailable:
            raise
        except BcceError:
            # What was started is followed and stopped whatever has become of its plan.
            begun = await self._jobs.attempts(_keys(context))
            if not is_stopping and (not begun or begun[-1].state is DispatchState.ABANDONED):
                raise
            return Launch(plan=None, severity=Severity.CRITICAL, keys=_keys(context))
        action = plan.actions[0]

        def on_start(conn: Connection) -> None:
            reason = f"started {action.title!r} on {action.target.name}"
            self._move(conn, context, incident_id, IncidentState.REMEDIATING, reason)

        return Launch(
            plan=plan,
            severity=severity,
            keys=_keys(context),
            approval_id=ApprovalId(given.approval) if given.approval is not None else None,
            may_start=lambda conn: check_may_repair(conn, context, incident_id),
            on_start=on_start,
        )

    def _finish(self, conn: Connection, context: StepContext, ended: JobEnd) -> StepResult:
        """Records the outcome, and in the incident that it is looked at now."""
        ended.record(conn)
        if ended.exit_code is not None and ended.dispatch.incident_id is not None:
            reason = f"script ended with exit code {ended.exit_code}; looking whether it helped"
            self._move(conn, context, IncidentId(ended.dispatch.incident_id), IncidentState.VERIFYING, reason)
        return completed(ended.to_dict())

    def _move(self, conn: Connection, context: StepContext, incident_id: IncidentId, to: IncidentState, reason: str) -> None:
        """Moves the incident along with its script; one that was moved elsewhere meanwhile stays there, and is told.

        What became of a script must be recorded whatever has become of the incident.
        """
        try:
            self._incidents.transition(context.actor, conn, incident_id, to, reason, correlation_id=context.correlation_id)
        except IllegalTransition:
            kind = "script-started" if to is IncidentState.REMEDIATING else "script-ended"
            self._incidents.note(context.actor, conn, incident_id, kind, reason)


def _keys(context: StepContext) -> tuple[DispatchId, ...]:
    """The same for all attempts of the step, so that none starts again what one of them has started; with a few more for each, so that what
    could not be started can be once the reason is mended.
    """
    return dispatch_keys(context, starts=MAX_STARTS * context.attempt)
