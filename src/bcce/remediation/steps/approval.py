"""`approval`: asks people, if anybody has to be asked, and waits for their answer."""

from contextlib import suppress
from datetime import timedelta
from typing import cast

from pydantic import BaseModel
from sqlalchemy import Connection

from bcce.approvals import repository as approvals
from bcce.approvals.errors import ApprovalNotOpen
from bcce.approvals.model import Approval, ApprovalRequest, ApprovalState, DecisionRecord
from bcce.approvals.requirement import Requirement
from bcce.approvals.service import ApprovalService, approval_id_for
from bcce.execution.model import Plan
from bcce.incidents.model import IncidentState
from bcce.incidents.service import IncidentService
from bcce.kit.clock import Clock
from bcce.kit.ids import IncidentId
from bcce.plugins import Services
from bcce.remediation.errors import NotCleared
from bcce.remediation.gate import Assessment, Gate, why_blocked
from bcce.remediation.plans import load_plan
from bcce.remediation.steps.params import RepairParams
from bcce.storage.doors import Database
from bcce.workflows.model import Effect, StepResult, completed
from bcce.workflows.step_type import Commit, Done, Park, StepContext, StepOutcome

_SOON = timedelta(seconds=1)


class ApprovalStep:
    """Output: `{decision: approved|rejected|expired|revoked|not-needed, by, reason, approval}`."""

    name = "approval"
    effect = Effect.LOCAL
    params: type[BaseModel] = RepairParams

    def __init__(self, *, db: Database, clock: Clock, gate: Gate, service: ApprovalService, incidents: IncidentService) -> None:
        self._db = db
        self._clock = clock
        self._gate = gate
        self._service = service
        self._incidents = incidents

    @classmethod
    def build(cls, services: Services) -> "ApprovalStep":
        """Wires the step."""
        return cls(
            db=services.get(Database),  # type: ignore[type-abstract]  # a Protocol is the key
            clock=services.get(Clock),  # type: ignore[type-abstract]  # a Protocol is the key
            gate=services.get(Gate),
            service=services.get(ApprovalService),
            incidents=services.get(IncidentService),
        )

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Asks once for what is to run as it is now; afterwards says what was answered."""
        given = cast(RepairParams, params)
        plan, severity = await self._db.read(lambda conn: load_plan(conn, context.tenant_id, given.plan))
        now = self._gate.assess(context.actor, plan, plan.actions[0], severity)
        if now.needed is None:
            raise NotCleared(f"the script is blocked, so nobody can approve it: {why_blocked(now.judgement)}")
        if not now.needed.needed:
            return Done(
                result=completed(
                    {"decision": "not-needed", "by": None, "reason": "it only reads, or the policy allows it", "approval": None}
                )
            )
        request = _request(context, plan, now, now.needed)
        approval_id = approval_id_for(context.tenant_id, request)
        asked = await self._db.read(
            lambda conn: (approvals.get(conn, approval_id, context.tenant_id), approvals.decisions(conn, approval_id))
        )
        if asked[0] is None:
            return self._ask(context, plan, request)
        return self._answer(asked[0], asked[1])

    async def stop(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Takes the request back: nobody is asked for a run that was stopped."""
        given = cast(RepairParams, params)
        plan, severity = await self._db.read(lambda conn: load_plan(conn, context.tenant_id, given.plan))
        now = self._gate.assess(context.actor, plan, plan.actions[0], severity)
        found = None
        if now.needed is not None and now.needed.needed:
            approval_id = approval_id_for(context.tenant_id, _request(context, plan, now, now.needed))
            found = await self._db.read(lambda conn: approvals.get(conn, approval_id, context.tenant_id))

        def write(conn: Connection) -> StepResult:
            if found is not None:
                with suppress(ApprovalNotOpen):
                    self._service.revoke(context.actor, conn, found.id, reason="its run was stopped")
            return completed()

        return Commit(write=write)

    def _ask(self, context: StepContext, plan: Plan, request: ApprovalRequest) -> Park:
        def write(conn: Connection) -> None:
            self._service.request(context.actor, conn, request)
            self._incidents.transition(
                context.actor,
                conn,
                IncidentId(plan.incident_id),
                IncidentState.AWAITING_APPROVAL,
                f"{request.title!r} waits for approval",
                correlation_id=context.correlation_id,
            )

        return Park(waiting_for=f"approval of {request.title!r}", kind="approval", name=plan.incident_id, write=write)

    def _answer(self, approval: Approval, decisions: tuple[DecisionRecord, ...]) -> StepOutcome:
        if approval.state is ApprovalState.PENDING:
            # The fact of a decision wakes the run; the look at the end of the time is for a process that was down when it ran out.
            left = approval.expires_at - self._clock.now()
            return Park(waiting_for=f"approval of {approval.title!r}", kind="approval", name=approval.id, wake_after=max(left, _SOON))
        last = decisions[-1] if decisions else None
        said = f"{last.actor_name}: {last.comment}" if last and last.comment else last.actor_name if last else ""
        reason = f"{approval.state}{f' by {said}' if said else ''}"
        return Done(
            result=completed(
                {"decision": str(approval.state), "by": last.actor_name if last else None, "reason": reason, "approval": approval.id}
            )
        )


def _request(context: StepContext, plan: Plan, now: Assessment, needed: Requirement) -> ApprovalRequest:
    action = plan.actions[0]
    shown = {
        "plan": plan.id,
        "source": plan.source,
        "target": action.target.name,
        "script": action.script.text,
        "parameters": dict(action.script.parameters),
        "undo": None if action.undo is None else action.undo.text,
        "verdict": str(now.judgement.verdict),
        "findings": [finding.to_dict() for finding in now.judgement.findings],
        "effects": now.judgement.effects.to_dict(),
        "policy": now.policy,
    }
    return ApprovalRequest(
        run_id=context.run_id,
        gate_id=context.gate_id,
        incident_id=IncidentId(plan.incident_id),
        digest=now.digest,
        title=f"{action.title} on {action.target.name}",
        shown=shown,
        reasons=needed.reasons,
        required_count=needed.count,
        correlation_id=context.correlation_id,
    )
