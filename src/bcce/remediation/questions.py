"""Asking people whether a run may go on, and reading their answer; what an `approval` step with a `message` does."""

from dataclasses import replace

from sqlalchemy import Connection

from bcce.approvals import repository as approvals
from bcce.approvals.model import Approval, ApprovalDetails, ApprovalRequest, ApprovalState, Decision, DecisionRecord
from bcce.approvals.question import question, question_digest
from bcce.approvals.service import ApprovalService, approval_id_for
from bcce.kit.clock import Clock, format_time
from bcce.kit.errors import BcceError, InvalidInput
from bcce.kit.redact import redact
from bcce.kit.text import canonical_json, clean
from bcce.plugins import Services
from bcce.remediation.askers import people_who_asked
from bcce.remediation.errors import ApprovalRejected, ApprovalRevoked
from bcce.remediation.steps.approval_params import ApprovalParams
from bcce.storage.doors import Database
from bcce.workflows.errors import StepTimedOut
from bcce.workflows.model import StepResult, completed, failed
from bcce.workflows.step_type import Commit, Done, Park, StepContext, StepOutcome

_MAX_DETAILS_BYTES = 65_536
_MAX_TITLE_CHARS = 255


class Questions:
    """One question for each attempt of a step, written down when it is asked and found again by its gate: later changes of what
    expressions read change nothing of it.
    """

    def __init__(self, *, db: Database, clock: Clock, service: ApprovalService) -> None:
        self._db = db
        self._clock = clock
        self._service = service

    @classmethod
    def build(cls, services: Services) -> "Questions":
        """Wires it."""
        return cls(
            db=services.get(Database),  # type: ignore[type-abstract]  # a Protocol is the key
            clock=services.get(Clock),  # type: ignore[type-abstract]  # a Protocol is the key
            service=services.get(ApprovalService),
        )

    async def run(self, context: StepContext, given: ApprovalParams) -> StepOutcome:
        """Asks once; afterwards waits, or says what was answered.

        Raises:
            InvalidInput: the details are too large.
        """
        found = await self._db.read(lambda conn: _at_gate(conn, context))
        if found is None:
            return self._ask(context, given)
        approval = found.approval
        if approval.state is not ApprovalState.PENDING:
            return Done(result=_answer(context, found))
        now = self._clock.now()
        if now < approval.expires_at:
            waiting_for = f"approval of {approval.title!r}"
            return Park(waiting_for=waiting_for, kind="approval", name=approval.id, wake_after=approval.expires_at - now)
        await context.write(lambda conn: self._service.expire(conn, now, (context.run_id, context.gate_id)))
        return Done(result=_answer(context, replace(found, approval=replace(approval, state=ApprovalState.EXPIRED, decided_at=now))))

    async def stop(self, context: StepContext) -> Commit:
        """Ends the question if nobody has answered it: nobody is asked for a step that was stopped or is late."""
        now = self._clock.now()

        def write(conn: Connection) -> StepResult:
            # Under the lock of the run's row, which every answer takes first.
            found = approvals.at_gate(conn, context.gate_id, context.tenant_id)
            if found is not None and found.state is ApprovalState.PENDING:
                if now >= found.expires_at:
                    self._service.expire(conn, now, (found.run_id, found.gate_id))
                else:
                    self._service.revoke(context.actor, conn, found.id, reason="its run was stopped")
            return completed()

        return Commit(write=write)

    def _ask(self, context: StepContext, given: ApprovalParams) -> Park:
        request = _request(context, given)
        approval_id = approval_id_for(context.tenant_id, request)
        context.log(f"asks: {request.title}", facts={"approval": approval_id, "required": request.required_count})

        def write(conn: Connection) -> None:
            asked_by = people_who_asked(conn, context.tenant_id, context.run_id, None)
            self._service.request(context.actor, conn, replace(request, asked_by=asked_by))

        return Park(waiting_for=f"approval of {request.title!r}", kind="approval", name=approval_id, write=write)


def _request(context: StepContext, given: ApprovalParams) -> ApprovalRequest:
    if len(canonical_json(given.details)) > _MAX_DETAILS_BYTES:
        raise InvalidInput(f"the details of {context.key!r} have more than {_MAX_DETAILS_BYTES} bytes", hint="show what a person can read")
    shown = question(
        context.key,
        str(redact(given.message)),
        redact(given.details),
        required=given.required,
        role=given.role,
        approvers=given.approvers or (),
    )
    return ApprovalRequest(
        run_id=context.run_id,
        gate_id=context.gate_id,
        incident_id=None,
        digest=question_digest(shown),
        title=" ".join(clean(str(shown["message"]), limit=_MAX_TITLE_CHARS).split()) or f"step {context.key}",
        shown=shown,
        reasons=("the workflow asks whether its run may go on",),
        required_count=given.required,
        requested_by=context.started_by,
        correlation_id=context.correlation_id,
        expires_at=context.deadline_at,
    )


def _at_gate(conn: Connection, context: StepContext) -> ApprovalDetails | None:
    approval = approvals.at_gate(conn, context.gate_id, context.tenant_id)
    return ApprovalDetails(approval=approval, decisions=approvals.decisions(conn, approval.id)) if approval is not None else None


def _answer(context: StepContext, details: ApprovalDetails) -> StepResult:
    """How the step ends, with those whose word it was."""
    approval = details.approval
    decisive = Decision.APPROVE if approval.state is ApprovalState.APPROVED else Decision.REJECT
    words = [record for record in details.decisions if record.decision is decisive]
    for record in details.decisions:
        context.log(_said(record), facts={"by": record.actor_id, "approval": approval.id})
    output: dict[str, object] = {
        "approved": approval.state is ApprovalState.APPROVED,
        "by": [record.actor_name for record in words],
        "reason": "; ".join(record.comment for record in words if record.comment),
        "decided_at": format_time(approval.decided_at) if approval.decided_at is not None else None,
        "approval": approval.id,
    }
    return completed(output) if approval.state is ApprovalState.APPROVED else failed(_error(approval, words), output)


def _error(approval: Approval, words: list[DecisionRecord]) -> BcceError:
    if approval.state is ApprovalState.EXPIRED:
        return StepTimedOut(f"nobody answered in time: {approval.title}")
    if approval.state is ApprovalState.REVOKED:
        return ApprovalRevoked(f"the question was taken back: {approval.title}")
    return ApprovalRejected("; ".join(_said(record) for record in words))


def _said(record: DecisionRecord) -> str:
    what = "agreed" if record.decision is Decision.APPROVE else "said no"
    return f"{record.actor_name} {what}: {record.comment}" if record.comment else f"{record.actor_name} {what}"
