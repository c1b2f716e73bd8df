"""`script.dispatch`: starts the plan's script at most once and waits until its outcome is known."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import cast

import structlog
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from bcce.execution import repository as dispatches
from bcce.execution.executor import Executor
from bcce.execution.model import Dispatch, DispatchState, JobPhase, JobStatus, Plan, state_for
from bcce.incidents.model import IncidentState
from bcce.incidents.service import IncidentService
from bcce.kit.clock import Clock
from bcce.kit.errors import BcceError
from bcce.kit.events import Event
from bcce.kit.findings import Severity
from bcce.kit.ids import ApprovalId, DispatchId, Ids, IncidentId, derived_id
from bcce.kit.redact import mask_text
from bcce.kit.text import clean
from bcce.plugins import Services
from bcce.remediation.errors import DispatchFailed, TargetBusy
from bcce.remediation.executors import Executors
from bcce.remediation.gate import Gate
from bcce.remediation.plans import load_plan
from bcce.remediation.steps.params import RepairParams
from bcce.security.audit import AuditLog
from bcce.storage.doors import Database
from bcce.storage.doors import run as run_items
from bcce.storage.outbox import event_item
from bcce.workflows.model import Effect, StepResult, completed
from bcce.workflows.step_type import Commit, Park, StepContext, StepOutcome

log = structlog.get_logger(__name__)

#: Starts that are proven never to have run may be tried again, under a new key each.
MAX_STARTS = 3
OUTPUT_CHARS = 16_000
_BUSY_PAUSE = timedelta(seconds=1)


class DispatchParams(RepairParams):
    """Parameters of `script.dispatch`."""

    approval: str | None = Field(default=None, description="The approval that covers the script; null if none is needed.")


class DispatchStep:
    """The only step that lets a script run. Output: `{state, exitCode, output, dispatch}`."""

    name = "script.dispatch"
    effect = Effect.MARKED
    params: type[BaseModel] = DispatchParams

    def __init__(
        self, *, db: Database, clock: Clock, ids: Ids, gate: Gate, executors: Executors, incidents: IncidentService, audit: AuditLog
    ) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self._gate = gate
        self._executors = executors
        self._incidents = incidents
        self._audit = audit

    @classmethod
    def build(cls, services: Services) -> "DispatchStep":
        """Wires the step."""
        return cls(
            db=services.get(Database),  # type: ignore[type-abstract]  # a Protocol is the key
            clock=services.get(Clock),  # type: ignore[type-abstract]  # a Protocol is the key
            ids=services.get(Ids),
            gate=services.get(Gate),
            executors=services.get(Executors),
            incidents=services.get(IncidentService),
            audit=services.get(AuditLog),
        )

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Starts the script if no attempt to start it is recorded; else asks the target what became of it."""
        given = cast(DispatchParams, params)
        plan, severity = await self._db.read(lambda conn: load_plan(conn, context.tenant_id, given.plan))
        executor = self._executors.get(plan.actions[0].target.executor)
        attempts = await self._db.read(lambda conn: dispatches.list_for_step(conn, context.run_id, context.key))
        current = attempts[-1] if attempts else None
        if current is None or current.state is DispatchState.ABANDONED:
            if len(attempts) >= MAX_STARTS:
                raise DispatchFailed(
                    f"the script could not be started in {MAX_STARTS} tries; it never ran", hint="see the log for what the target said"
                )
            return await self._start(context, plan, severity, executor, given.approval, number=len(attempts) + 1)
        return await self._look(context, plan, current, executor)

    async def _start(
        self, context: StepContext, plan: Plan, severity: Severity, executor: Executor, approval: str | None, *, number: int
    ) -> StepOutcome:
        action = plan.actions[0]
        dispatch_id = DispatchId(derived_id("dsp", context.idempotency_key, str(number)))
        approval_id = ApprovalId(approval) if approval is not None else None
        try:
            signed = await self._gate.clear(context, plan, action, dispatch_id=dispatch_id, severity=severity, approval_id=approval_id)
        except TargetBusy as error:
            # Until the other script ends, the approval runs out, or the alerts are resolved: the gate looks at all of it each time.
            return Park(waiting_for=error.message, kind="dispatch", name="target", wake_after=_BUSY_PAUSE)
        try:
            await executor.start(dispatch_id, signed, action.script)
        except BcceError as error:
            # Whether anything started is for the target to say: the next call reconciles under the same key.
            log.warning("dispatch.start_failed", dispatch_id=dispatch_id, code=error.code, reason=error.message)
            return self._wait(timedelta(milliseconds=200))

        await context.write(lambda conn: self._record_start(conn, context, plan, dispatch_id))
        return self._wait(timedelta(milliseconds=100))

    async def _look(self, context: StepContext, plan: Plan, current: Dispatch, executor: Executor) -> StepOutcome:
        """Asks the target. The status call fences first, so an answer of `never started` is final."""
        status = await executor.status(current.key, current.target, since=current.created_at)
        # A worker that died between the start and the record of it leaves it to its successor.
        is_unrecorded = current.state is DispatchState.CLEARED
        if status.phase is JobPhase.RUNNING:
            elapsed = self._clock.now() - current.created_at
            write = (lambda conn: self._record_start(conn, context, plan, current.key)) if is_unrecorded else None
            return self._wait(min(timedelta(seconds=2), max(timedelta(milliseconds=100), elapsed / 5)), write)
        if status.phase is JobPhase.NEVER_STARTED:
            await context.write(lambda conn: dispatches.transition(conn, current.key, DispatchState.ABANDONED, at=self._clock.now()))
            log.warning("dispatch.abandoned", dispatch_id=current.key, detail=status.detail)
            return self._wait(timedelta(0))
        output = ""
        if status.phase is JobPhase.EXITED:
            chunk = await executor.output(current.key, current.target, 0)
            output = clean(mask_text(chunk.data.decode("utf-8", "replace")), limit=OUTPUT_CHARS)

        def finish(conn: Connection) -> StepResult:
            if is_unrecorded:
                self._record_start(conn, context, plan, current.key)
            return self._finish(conn, context, current, status, output)

        return Commit(write=finish)

    def _record_start(self, conn: Connection, context: StepContext, plan: Plan, key: str) -> None:
        """Says in the dispatch and in the incident that the script runs."""
        action = plan.actions[0]
        dispatches.transition(conn, key, DispatchState.STARTED, at=self._clock.now())
        self._incidents.transition(
            context.actor,
            conn,
            IncidentId(plan.incident_id),
            IncidentState.REMEDIATING,
            f"started {action.title!r} on {action.target.name}",
            correlation_id=context.correlation_id,
        )

    def _wait(self, after: timedelta, write: Callable[[Connection], None] | None = None) -> Park:
        return Park(waiting_for="the script to end", kind="dispatch", name="script", wake_after=after, write=write)

    def _finish(self, conn: Connection, context: StepContext, current: Dispatch, status: JobStatus, output: str) -> StepResult:
        """Records the outcome; the target stays locked when it cannot be known."""
        known = status.phase is JobPhase.EXITED
        state = state_for(status) or DispatchState.STARTED
        now = self._clock.now()
        dispatches.transition(conn, current.key, state, at=now, exit_code=status.exit_code, output_excerpt=output)
        if known:
            dispatches.unlock_target(conn, context.tenant_id, current.target_digest, current.id)
        facts: Mapping[str, object] = {
            "dispatchId": current.key,
            "incidentId": current.incident_id,
            "state": str(state),
            "exitCode": status.exit_code,
            "detail": status.detail,
        }
        kind = "dispatch.finished" if known else "dispatch.indeterminate"
        event = Event(type=kind, timestamp=now, source="remediation", tenant_id=context.tenant_id, data=facts)
        run_items(
            conn,
            [
                self._audit.item(context.actor, kind, current.key, facts, correlation_id=context.correlation_id),
                event_item(self._ids, event, correlation_id=context.correlation_id),
            ],
        )
        if known and current.incident_id is not None:
            reason = f"script ended with exit code {status.exit_code}; looking whether it helped"
            self._incidents.transition(
                context.actor, conn, IncidentId(current.incident_id), IncidentState.VERIFYING, reason, correlation_id=context.correlation_id
            )
        return completed(
            {"state": str(state), "exitCode": status.exit_code, "detail": status.detail, "output": output, "dispatch": current.key}
        )
