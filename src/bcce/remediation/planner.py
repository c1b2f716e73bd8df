"""The planner door: who turns an incident into a plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bcce.alerts.model import Alert
from bcce.execution.model import Plan
from bcce.incidents.model import Incident
from bcce.kit.ids import PlanId
from bcce.security.actor import Actor


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanRequest:
    """What a planner may know: the incident, its alerts (the one that opened it first), and earlier incidents of its kind, newest first."""

    plan_id: PlanId
    incident: Incident
    alerts: Sequence[Alert]
    history: Sequence[Incident]


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A planner's answer. `plan` is None when it has none; `reason` then says why, else where the plan comes from."""

    plan: Plan | None
    reason: str


class Planner(Protocol):
    """Writes plans. Whatever it writes is judged by the validator and approved as if it came from a stranger."""

    name: str

    async def propose(self, actor: Actor, request: PlanRequest) -> Proposal:
        """A plan for the request's incident, with the id `request.plan_id`; the same request gives the same plan if nothing it reads has
        changed.

        Raises:
            Unavailable: what it needs does not answer now; may be called again.
        """
        ...
