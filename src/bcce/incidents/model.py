"""An incident: alerts that belong together, and the one table of how it may move on. Pure.

`docs/incidents.md` shows the table as a diagram; a test keeps the two equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bcce.kit.findings import Severity
from bcce.kit.ids import IncidentId, RunId, TenantId


class IncidentState(StrEnum):
    """Where an incident is."""

    OPEN = "open"
    INVESTIGATING = "investigating"
    AWAITING_APPROVAL = "awaiting_approval"
    REMEDIATING = "remediating"
    VERIFYING = "verifying"
    RESOLVED = "resolved"
    ESCALATED = "escalated"
    CLOSED = "closed"


_S = IncidentState

#: From each state, the states that may follow. A script runs only after a look at the matter, and after a script only what was verified
#: counts as resolved. Whatever is not closed can be handed to a person.
TRANSITIONS: Mapping[IncidentState, frozenset[IncidentState]] = {
    _S.OPEN: frozenset({_S.INVESTIGATING, _S.RESOLVED, _S.ESCALATED}),
    _S.INVESTIGATING: frozenset({_S.AWAITING_APPROVAL, _S.REMEDIATING, _S.RESOLVED, _S.ESCALATED}),
    _S.AWAITING_APPROVAL: frozenset({_S.INVESTIGATING, _S.REMEDIATING, _S.RESOLVED, _S.ESCALATED}),
    _S.REMEDIATING: frozenset({_S.VERIFYING, _S.ESCALATED}),
    _S.VERIFYING: frozenset({_S.INVESTIGATING, _S.RESOLVED, _S.ESCALATED}),
    _S.RESOLVED: frozenset({_S.CLOSED, _S.ESCALATED}),
    _S.ESCALATED: frozenset({_S.INVESTIGATING, _S.RESOLVED, _S.CLOSED}),
    _S.CLOSED: frozenset(),
}

#: An alert that fires again while its incident is in one of these opens a new incident: nobody works on the old one any more.
OVER: frozenset[IncidentState] = frozenset({_S.RESOLVED, _S.CLOSED})

#: Nothing follows these.
TERMINAL: frozenset[IncidentState] = frozenset(state for state, following in TRANSITIONS.items() if not following)

#: The event that reaching a state publishes.
EVENTS: Mapping[IncidentState, str] = {
    _S.OPEN: "incident.opened",
    _S.INVESTIGATING: "incident.updated",
    _S.AWAITING_APPROVAL: "incident.updated",
    _S.REMEDIATING: "incident.updated",
    _S.VERIFYING: "incident.updated",
    _S.RESOLVED: "incident.resolved",
    _S.ESCALATED: "incident.escalated",
    _S.CLOSED: "incident.closed",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Incident:
    """One incident.

    Times are UTC; `resolved_at` and `closed_at` are when it first reached those states, None before. `fingerprint` is that of the alert
    that opened it. `run_id` is None until a workflow was started for it. `summary` says what fixed it, or why it was handed over; None
    before. `version` counts its changes from 1.
    """

    id: IncidentId
    tenant_id: TenantId
    title: str
    severity: Severity
    state: IncidentState
    service: str | None
    host: str | None
    fingerprint: str
    run_id: RunId | None
    opened_at: datetime
    resolved_at: datetime | None
    closed_at: datetime | None
    summary: str | None
    version: int

    @property
    def time_to_resolve(self) -> timedelta | None:
        """From the opening to the first resolution; None while it is not resolved."""
        return None if self.resolved_at is None else self.resolved_at - self.opened_at


@dataclass(frozen=True, kw_only=True, slots=True)
class TimelineEntry:
    """Something that happened to an incident.

    `seq` counts from 1 within the incident, without gaps. `kind` is the state that was reached, or a word for what else happened.
    `actor` is the id of who did it; `text` is a sentence for people, `data` holds facts as JSON values.
    """

    seq: int
    at: datetime
    actor: str
    kind: str
    text: str
    data: Mapping[str, object]
