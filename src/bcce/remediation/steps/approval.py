"""`approval`: asks people whether a run may go on, or a plan's script may start if anybody has to be asked, and waits for their answer."""

from collections.abc import Mapping
from typing import cast

from pydantic import BaseModel
from sqlalchemy import Connection

from bcce.approvals.model import Approval, ApprovalRequest, DecisionRecord
from bcce.incidents.model import IncidentState
from bcce.incidents.service import IncidentService
from bcce.kit.ids import IncidentId
from bcce.plugins import Services
from bcce.remediation.errors import ScriptBlocked
from bcce.remediation.plans import load_repair
from bcce.remediation.questions import Questions
from bcce.remediation.requests import Requests, is_pending, said
from bcce.remediation.steps.approval_params import ApprovalParams
from bcce.remediation.steps.params import RepairParams
from bcce.storage.doors import Database
from bcce.workflows.model import Effect, StepResult, completed
from bcce.workflows.step_type import Commit, Done, Park, StepContext, StepOutcome


class ApprovalStep:
    """Output: `{approved, by, reason, decided_at, approval}`; about a plan `{decision: approved|rejected|expired|revoked|not-needed, by,
    reason, approval}`.
    """

    name = "approval"
    effect = Effect.LOCAL
    params: type[BaseModel] = ApprovalParams

    def __init__(self, *, db: Database, requests: Requests, questions: Questions, incidents: IncidentService) -> None:
        self._db = db
        self._requests = requests
        self._questions = questions
        self._incidents = incidents

    @classmethod
    def build(cls, services: Services) -> "ApprovalStep":
        """Wires the step."""
        database: Database = services.get(Database)  # type: ignore[type-abstract]  # a Protocol is the key
        questions = Questions.build(services)
        return cls(db=database, requests=Requests.build(services), questions=questions, incidents=services.get(IncidentService))

    def asks_anew(self, given: Mapping[str, object]) -> bool:
        """An answer is for the run in which the question was asked. What is agreed to about a plan, the gate looks at again anyway."""
        return given.get("message") is not None

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Asks once for what is to run as it is now; afterwards says what was answered."""
        asked = cast(ApprovalParams, params)
        if asked.message is not None:
            return await self._questions.run(context, asked)
        given = _repair(asked)
        plan, severity, incident_id = await self._db.read(lambda conn: load_repair(conn, context.tenant_id, given.plan))
        request = self._requests.needed(context, plan, severity)
        if request is None:
            return Done(
                result=completed(
                    {"decision": "not-needed", "by": None, "reason": "it only reads, or the policy allows it", "approval": None}
                )
            )
        approval, decisions = await self._requests.find(context, request)
        if approval is None:
            return self._ask(context, incident_id, request)
        return self._requests.wait(approval) if is_pending(approval) else _answer(approval, decisions)

    async def stop(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Takes the request back: nobody is asked for a run that was stopped."""
        asked = cast(ApprovalParams, params)
        if asked.message is not None:
            return await self._questions.stop(context)
        given = _repair(asked)
        plan, severity, _ = await self._db.read(lambda conn: load_repair(conn, context.tenant_id, given.plan))
        try:
            request = self._requests.needed(context, plan, severity)
        except ScriptBlocked:
            request = None
        found = (await self._requests.find(context, request))[0] if request is not None else None

        def write(conn: Connection) -> StepResult:
            if found is not None:
                self._requests.withdraw(context, conn, found.id)
            return completed()

        return Commit(write=write)

    def _ask(self, context: StepContext, incident_id: IncidentId, request: ApprovalRequest) -> Park:
        def write(conn: Connection) -> None:
            self._requests.ask(context, conn, request)
            self._incidents.transition(
                context.actor,
                conn,
                incident_id,
                IncidentState.AWAITING_APPROVAL,
                f"{request.title!r} waits for approval",
                correlation_id=context.correlation_id,
            )

        return Park(waiting_for=f"approval of {request.title!r}", kind="approval", name=incident_id, write=write)


def _repair(given: ApprovalParams) -> RepairParams:
    return RepairParams.model_validate({"plan": given.plan, "incident": given.incident})


def _answer(approval: Approval, decisions: tuple[DecisionRecord, ...]) -> Done:
    by = decisions[-1].actor_name if decisions else None
    output = {"decision": str(approval.state), "by": by, "reason": said(approval, decisions), "approval": approval.id}
    return Done(result=completed(output))
