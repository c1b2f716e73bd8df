"""Plans straight from an SOP: its own script, with parameters taken from the alert and passed as data. No model."""

from collections.abc import Mapping

from bcce.alerts.model import Alert
from bcce.execution.model import HttpCheck, Plan, PlannedAction, Script, Shell, Target, Verification
from bcce.kit.errors import BcceError
from bcce.knowledge.parameters import parameters_for
from bcce.knowledge.service import KnowledgeService
from bcce.knowledge.sop import Sop
from bcce.plugins import Services
from bcce.remediation.planner import PlanRequest, Proposal
from bcce.remediation.targets import Targets
from bcce.security.actor import Actor


class SopPlanner:
    """Finds the SOP that fits the incident's first alert and fills in its parameters."""

    name = "sop"

    def __init__(self, knowledge: KnowledgeService, targets: Targets) -> None:
        self._knowledge = knowledge
        self._targets = targets

    @classmethod
    def build(cls, services: Services) -> "SopPlanner":
        """Wires the planner."""
        return cls(services.get(KnowledgeService), services.get(Targets))

    async def propose(self, actor: Actor, request: PlanRequest) -> Proposal:
        """A plan of one action, or the reason why there is none."""
        alert = request.alerts[0]
        match = await self._knowledge.find_sop(actor, alert)
        if match is None:
            return Proposal(plan=None, reason=f"no SOP fits the alert {alert.name!r}")
        try:
            parameters = parameters_for(match.sop, alert)
            target = self._targets.get(match.sop.target)
            plan = _plan(request, match.sop, match.digest, match.slug, alert, parameters, target)
        except BcceError as error:
            return Proposal(plan=None, reason=f"the SOP {match.sop.title!r} cannot be used: {error.message}")
        return Proposal(plan=plan, reason=f"SOP {match.sop.title!r} ({match.how})")


def _plan(request: PlanRequest, sop: Sop, digest: str, slug: str, alert: Alert, parameters: Mapping[str, str], target: Target) -> Plan:
    shell = Shell(sop.shell)
    check = sop.verify.http
    http = None if check is None else HttpCheck(url=check.filled(parameters), expect_status=check.expect_status, contains=check.contains)
    action = PlannedAction(
        id="repair",
        title=sop.title,
        script=Script(shell=shell, text=sop.script, parameters=parameters),
        target=target,
        expected=f"{alert.name} is over",
        undo=None if sop.undo is None else Script(shell=shell, text=sop.undo, parameters=parameters),
    )
    return Plan(
        id=request.plan_id,
        incident_id=request.incident.id,
        diagnosis=alert.summary or alert.name,
        source=f"sop:{slug}@{digest}",
        actions=(action,),
        verification=Verification(http=http, resolved=sop.verify.resolved, timeout_s=sop.verify.timeout_s),
    )
