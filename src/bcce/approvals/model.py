"""What an approval is and how it may change. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from bcce.kit.ids import ApprovalId, GateId, IncidentId, RunId, TenantId


class ApprovalState(StrEnum):
    """Where an approval is. Only `approved` lets a script run, and only until it expires."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    REVOKED = "revoked"


#: The one table of how a state may change; what is not in it never happens.
TRANSITIONS: Mapping[ApprovalState, frozenset[ApprovalState]] = MappingProxyType(
    {
        ApprovalState.PENDING: frozenset({ApprovalState.APPROVED, ApprovalState.REJECTED, ApprovalState.EXPIRED, ApprovalState.REVOKED}),
        ApprovalState.APPROVED: frozenset({ApprovalState.REVOKED}),
        ApprovalState.REJECTED: frozenset(),
        ApprovalState.EXPIRED: frozenset(),
        ApprovalState.REVOKED: frozenset(),
    }
)


class Decision(StrEnum):
    """What one person said."""

    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalRequest:
    """What a person is asked to agree to.

    `digest` is what `approval_digest` says of everything that would happen; `shown` holds the same for the person's eyes, as JSON values:
    the plan, the scripts, the findings. `reasons` say why a person is asked. `required_count` different people must agree.
    `requested_by` is who started what asks, None for whoever calls; `asked_by` are all people whose wish it is, of whom nobody may agree.
    `expires_at` is when the time to decide is over, None for as long as settings say.
    """

    run_id: RunId
    gate_id: GateId
    incident_id: IncidentId | None
    digest: str
    title: str
    shown: Mapping[str, object]
    reasons: tuple[str, ...]
    required_count: int = 1
    requested_by: str | None = None
    correlation_id: str | None = None
    asked_by: tuple[str, ...] = ()
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """One request and what became of it.

    Times are UTC. While it is pending, `expires_at` is when the time to decide is over; once approved, when the approval stops to hold.
    `decided_at` is when the state last changed, None while it is pending.
    """

    id: ApprovalId
    tenant_id: TenantId
    run_id: RunId
    gate_id: GateId
    incident_id: IncidentId | None
    digest: str
    title: str
    shown: Mapping[str, object]
    reasons: tuple[str, ...]
    required_count: int
    requested_by: str
    state: ApprovalState
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    correlation_id: str | None
    asked_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionRecord:
    """One person's word. `actor_id` is that person, whichever of their tokens they used; `digest_seen` names exactly what they saw;
    `comment` may be empty.
    """

    actor_id: str
    actor_name: str
    decision: Decision
    comment: str
    digest_seen: str
    decided_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalDetails:
    """An approval with every decision about it, in order."""

    approval: Approval
    decisions: tuple[DecisionRecord, ...]

    @property
    def missing_count(self) -> int:
        """How many more people must agree; 0 when it is no longer pending."""
        if self.approval.state is not ApprovalState.PENDING:
            return 0
        return max(0, self.approval.required_count - sum(record.decision is Decision.APPROVE for record in self.decisions))


def state_after(approval: Approval, decision: Decision, agreed: int) -> ApprovalState:
    """The state of a pending approval after `decision`, when `agreed` people have agreed including this one. One refusal is final."""
    if decision is Decision.REJECT:
        return ApprovalState.REJECTED
    return ApprovalState.APPROVED if agreed >= approval.required_count else ApprovalState.PENDING
