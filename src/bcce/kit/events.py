"""What happened, for whoever listens: the event's form and the list of names.

The form `{type, timestamp, source, data}` and the six `step.*`/`workflow.*` names are the product's public wire format; keys
inside `data` are camelCase and durations are milliseconds.
"""

from collections.abc import Mapping
from datetime import datetime

from bcce.kit.clock import format_time
from bcce.kit.ids import TenantId
from bcce.kit.values import value

#: Every event type, and what has happened when it is published.
EVENT_TYPES: dict[str, str] = {
    "alert.received": "an alert was stored for the first time",
    "alert.updated": "a stored alert fired again or changed its labels",
    "alert.resolved": "the source monitor said that the alert is over",
    "incident.opened": "the first alert of an incident was stored",
    "incident.updated": "an incident changed its state",
    "incident.resolved": "an incident's repair was verified",
    "incident.escalated": "an incident was handed to a person",
    "incident.closed": "an incident is finished",
    "workflow.waiting": "a run waits for its turn in its concurrency group",
    "workflow.started": "a run began",
    "workflow.completed": "a run ended well",
    "workflow.failed": "a run ended in failure",
    "workflow.event": "a step of a workflow published something of its own",
    "workflow.paused": "a run begins nothing until it is resumed",
    "workflow.resumed": "a paused run goes on, or one that failed is tried again",
    "workflow.cancelling": "somebody asked for a run to be stopped",
    "workflow.recovered": "a run whose worker died or broke is taken up again",
    "notification.requested": "a step of a workflow asked that people be told something",
    "workflow.cancelled": "a run was stopped on request",
    "step.started": "a step began for the first time",
    "step.completed": "a step ended well",
    "step.failed": "a step ended in failure",
    "step.skipped": "a step was not needed",
    "step.retried": "an attempt of a step failed, and it will be tried again",
    "step.cancelled": "a step was stopped before its end",
    "step.waiting": "a step waits at a gate",
    "step.logged": "a step that goes on said something, which is in its run's log",
    "approval.requested": "a person is asked to agree to a script, or whether a run may go on",
    "approval.decided": "a person agreed or refused, or the time ran out",
    "dispatch.cleared": "a clearance was made for one script on one target",
    "dispatch.finished": "a script's outcome is known",
    "dispatch.settled": "a person said what became of a script whose outcome could not be known; its target is free again",
    "dispatch.indeterminate": "a script's outcome cannot be known; its target stays locked",
}


@value
class Event:
    """One fact in the past tense. `timestamp` is UTC; `source` names the component; `data` holds JSON values only."""

    type: str
    timestamp: datetime
    source: str
    tenant_id: TenantId
    data: Mapping[str, object]

    def __post_init__(self) -> None:
        if self.type not in EVENT_TYPES:
            raise ValueError(f"unknown event type {self.type!r}")

    def to_wire(self) -> dict[str, object]:
        """The public form, without the tenant: a reader only ever sees its own."""
        return {"type": self.type, "timestamp": format_time(self.timestamp), "source": self.source, "data": dict(self.data)}
