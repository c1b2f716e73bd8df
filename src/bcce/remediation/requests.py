"""Asking people to agree to what a plan would start, and reading their answer."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection

from bcce.approvals import repository as approvals
from bcce.approvals.errors import ApprovalNotOpen
from bcce.approvals.model import Approval, ApprovalRequest, ApprovalState, DecisionRecord
from bcce.approvals.requirement import Requirement
from bcce.approvals.service import ApprovalService, approval_id_for
from bcce.execution.model import Plan
from bcce.kit.clock import Clock
from bcce.kit.findings import Severity
from bcce.kit.ids import ApprovalId, IncidentId
from bcce.plugins import Services
from bcce.remediation.askers import people_who_asked
from bcce.remediation.errors import ScriptBlocked
from bcce.remediation.gate import Assessment, Gate, why_blocked
from bcce.storage.doors import Database
from bcce.workflows.step_type import Park, StepContext

_SOON = timedelta(seconds=1)


class Requests:
    """Approvals that steps ask for: one for each gate and digest, found again after any crash."""

    def __init__(self, *, db: Database, clock: Clock, gate: Gate, service: ApprovalService) -> None:
        self._db = db
        self._clock = clock
        self._gate = gate
        self._service = service

    @classmethod
    def build(cls, services: Services) -> "Requests":
        """Wires it."""
        return cls(
            db=services.get(Database),  # type: ignore[type-abstract]  # a Protocol is the key
            clock=services.get(Clock),  # type: ignore[type-abstract]  # a Protocol is the key
            gate=services.get(Gate),
            service=services.get(ApprovalService),
        )

    def needed(self, context: StepContext, plan: Plan, severity: Severity) -> ApprovalRequest | None:
        """What people have to be asked before the plan's script may start as it is now; None when nobody has to be.

        Raises:
            ScriptBlocked: nobody can agree to it.
        """
        now = self._gate.assess(context.actor, plan, plan.actions[0], severity)
        if now.needed is None:
            raise ScriptBlocked(
                f"the script is blocked, so nobody can approve it: {why_blocked(now.judgement)}", hint="`bcce script check` shows why"
            )
        return _request(context, plan, now, now.needed) if now.needed.needed else None

    async def find(self, context: StepContext, request: ApprovalRequest) -> tuple[Approval | None, tuple[DecisionRecord, ...]]:
        """The approval that was asked for with exactly this request, and what was said; None when it was not asked for yet."""
        approval_id = approval_id_for(context.tenant_id, request)
        return await self._db.read(
            lambda conn: (approvals.get(conn, approval_id, context.tenant_id), approvals.decisions(conn, approval_id))
        )

    def ask(self, context: StepContext, conn: Connection, request: ApprovalRequest) -> None:
        """Asks, inside the caller's transaction; whoever wanted it until now cannot be the one who agrees."""
        asked_by = people_who_asked(conn, context.tenant_id, request.run_id, request.incident_id)
        self._service.request(context.actor, conn, replace(request, asked_by=asked_by))

    def wait(self, approval: Approval) -> Park:
        """Waits for the answer. Its fact wakes the run; the look at the end of the time is for a process that was down when it ran out."""
        left = approval.expires_at - self._clock.now()
        return Park(waiting_for=f"approval of {approval.title!r}", kind="approval", name=approval.id, wake_after=max(left, _SOON))

    def withdraw(self, context: StepContext, conn: Connection, approval_id: ApprovalId) -> None:
        """Takes a request back, if it can still be: nobody is asked for a step that was stopped."""
        with suppress(ApprovalNotOpen):
            self._service.revoke(context.actor, conn, approval_id, reason="its run was stopped")


def said(approval: Approval, decisions: tuple[DecisionRecord, ...]) -> str:
    """What became of an approval, in words."""
    last = decisions[-1] if decisions else None
    words = f"{last.actor_name}: {last.comment}" if last and last.comment else last.actor_name if last else ""
    return f"{approval.state}{f' by {words}' if words else ''}"


def is_pending(approval: Approval) -> bool:
    """Whether people have not answered yet."""
    return approval.state is ApprovalState.PENDING


def _request(context: StepContext, plan: Plan, now: Assessment, needed: Requirement) -> ApprovalRequest:
    action = plan.actions[0]
    shown = {
        "plan": plan.id,
        "source": plan.source,
        "why": plan.diagnosis,
        "target": action.target.name,
        "script": action.script.text,
        "parameters": dict(action.script.parameters),
        "references": {name: str(sealed) for name, sealed in action.script.references.items()},
        "undo": None if action.undo is None else action.undo.text,
        "verdict": str(now.judgement.verdict),
        "findings": [finding.to_dict() for finding in now.judgement.findings],
        "effects": now.judgement.effects.to_dict(),
        "policy": now.policy,
    }
    return ApprovalRequest(
        run_id=context.run_id,
        gate_id=context.gate_id,
        incident_id=IncidentId(plan.incident_id) if plan.incident_id is not None else None,
        digest=now.digest,
        title=f"{action.title} on {action.target.name}",
        shown=shown,
        reasons=needed.reasons,
        required_count=needed.count,
        requested_by=context.started_by,
        correlation_id=context.correlation_id,
    )
