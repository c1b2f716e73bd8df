"""Steps on the plan: create it, check its script."""

from typing import cast

from pydantic import BaseModel
from sqlalchemy import Connection

from bcce.alerts.repository import get_alerts
from bcce.execution.executor import Executor
from bcce.execution.model import Plan
from bcce.incidents import repository as incidents
from bcce.kit.clock import Clock
from bcce.kit.errors import NotFound
from bcce.kit.findings import Verdict
from bcce.kit.ids import IncidentId, PlanId, derived_id
from bcce.plugins import Services
from bcce.remediation.executors import Executors
from bcce.remediation.gate import Gate, why_blocked
from bcce.remediation.planner import Planner, PlanRequest
from bcce.remediation.plans import load_plan, store_plan
from bcce.remediation.settings import RemediationSettings
from bcce.remediation.steps.params import IncidentParams, PlanParams
from bcce.storage.doors import Database
from bcce.workflows.model import Effect, StepResult, completed
from bcce.workflows.step_type import Commit, Done, StepContext, StepOutcome


class CreatePlanStep:
    """`plan.create`: asks the planner, keeps what it wrote byte for byte."""

    name = "plan.create"
    effect = Effect.LOCAL
    params: type[BaseModel] = IncidentParams

    def __init__(self, db: Database, clock: Clock, planner: Planner, settings: RemediationSettings) -> None:
        self._db = db
        self._clock = clock
        self._planner = planner
        self._settings = settings

    @classmethod
    def build(cls, services: Services) -> "CreatePlanStep":
        """Wires the step."""
        return cls(services.get(Database), services.get(Clock), services.get(Planner), services.get(RemediationSettings))  # type: ignore[type-abstract]  # Protocols are the keys

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """A stored plan, or the reason why there is none."""
        incident_id = IncidentId(cast(IncidentParams, params).incident)
        plan_id = PlanId(derived_id("plan", context.idempotency_key, str(context.attempt)))
        request = await self._db.read(lambda conn: self._request(conn, context, incident_id, plan_id))
        proposal = await self._planner.propose(context.actor, request)
        plan, now = proposal.plan, self._clock.now()
        if plan is None:
            return Done(result=completed({"found": False, "reason": proposal.reason}))

        def write(conn: Connection) -> StepResult:
            store_plan(conn, context.tenant_id, context.run_id, plan, now)
            return completed(_summary(plan, proposal.reason))

        return Commit(write=write)

    def _request(self, conn: Connection, context: StepContext, incident_id: IncidentId, plan_id: PlanId) -> PlanRequest:
        incident = incidents.get(conn, context.tenant_id, incident_id)
        if incident is None:
            raise NotFound(f"there is no incident {incident_id}")
        alerts = get_alerts(conn, context.tenant_id, incidents.alert_ids(conn, incident_id))
        history = incidents.history(
            conn, context.tenant_id, incident.fingerprint, before=incident.opened_at, limit=self._settings.history_limit
        )
        return PlanRequest(plan_id=plan_id, incident=incident, alerts=alerts, history=history)


class CheckScriptStep:
    """`script.check`: what the plan's scripts can do, proven from their text; and whether the target is ready for them."""

    name = "script.check"
    effect = Effect.PURE
    params: type[BaseModel] = PlanParams

    def __init__(self, db: Database, gate: Gate, executors: Executors) -> None:
        self._db = db
        self._gate = gate
        self._executors = executors

    @classmethod
    def build(cls, services: Services) -> "CheckScriptStep":
        """Wires the step."""
        return cls(services.get(Database), services.get(Gate), services.get(Executors))  # type: ignore[type-abstract]  # a Protocol is a key

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """The verdict with its findings, effects and who would have to agree."""
        plan, severity = await self._db.read(lambda conn: load_plan(conn, context.tenant_id, cast(PlanParams, params).plan))
        action = plan.actions[0]
        now = self._gate.assess(context.actor, plan, action, severity)
        judgement = now.judgement
        output: dict[str, object] = {
            "verdict": str(judgement.verdict),
            "why": why_blocked(judgement),
            "findings": [finding.to_dict() for finding in judgement.findings],
            "effects": judgement.effects.to_dict(),
            "validator": judgement.validator_version,
            "policy": now.policy,
            "mayStart": self._gate.is_enabled,
            "approval": None
            if now.needed is None
            else {
                "needed": now.needed.needed,
                "count": now.needed.count,
                "role": str(now.needed.role),
                "reasons": list(now.needed.reasons),
            },
            "digest": now.digest,
        }
        if judgement.verdict is not Verdict.BLOCK:
            executor: Executor = self._executors.get(action.target.executor)
            output["target"] = (await executor.probe(action.target)).to_dict()
        return Done(result=completed(output))


def _summary(plan: Plan, reason: str) -> dict[str, object]:
    """What later steps and people see of a plan; the plan itself stays in its table."""
    action = plan.actions[0]
    return {
        "found": True,
        "reason": reason,
        "plan": plan.id,
        "digest": plan.digest,
        "title": action.title,
        "source": plan.source,
        "target": action.target.name,
        "hasUndo": action.undo is not None,
    }
