"""One incident with everything that belongs to it, for people and the API."""

from typing import Any

from sqlalchemy import Connection

from bcce.alerts.repository import get_alerts
from bcce.approvals import repository as approvals
from bcce.approvals.errors import ApprovalNotOpen
from bcce.approvals.model import Approval, ApprovalState
from bcce.approvals.question import is_question
from bcce.approvals.service import ApprovalService
from bcce.execution import repository as dispatches
from bcce.incidents import repository as incidents
from bcce.incidents.model import Incident, TimelineEntry
from bcce.incidents.service import IncidentService
from bcce.itsm.service import ItsmService
from bcce.kit.clock import format_time
from bcce.kit.errors import Conflict
from bcce.kit.ids import ApprovalId, IncidentId, TicketId
from bcce.remediation import repository
from bcce.security.actor import Actor
from bcce.security.authz import Permission, require
from bcce.storage.doors import Database
from bcce.workflows.service import WorkflowService


class NothingToDecide(Conflict):
    """The incident does not wait for an approval."""

    code = "nothing-to-decide"


async def pending_approval(actor: Actor, db: Database, incident_id: IncidentId) -> ApprovalId:
    """The approval that the incident waits for.

    Raises:
        NothingToDecide: it waits for none.
    """
    require(actor, Permission.APPROVALS_READ)
    pending = await db.read(lambda conn: repository.approvals_of(conn, actor.tenant_id, incident_id, {ApprovalState.PENDING}))
    if not pending:
        raise NothingToDecide(f"incident {incident_id} does not wait for an approval", hint="`bcce incident show` tells where it is")
    return pending[-1]


def revoke_approval(actor: Actor, conn: Connection, approvals: ApprovalService, incident_id: IncidentId, *, reason: str) -> Approval:
    """Takes the incident's newest approval back, asked for or given; its run is woken.

    Raises:
        NothingToDecide: it has none, or its script has started.
    """
    open_ones = repository.approvals_of(conn, actor.tenant_id, incident_id, {ApprovalState.PENDING, ApprovalState.APPROVED})
    if not open_ones:
        raise NothingToDecide(f"incident {incident_id} has no approval to take back", hint="`bcce incident show` tells where it is")
    return revoke_unstarted(actor, conn, approvals, open_ones[-1], reason=reason)


def revoke_unstarted(actor: Actor, conn: Connection, approvals: ApprovalService, approval_id: ApprovalId, *, reason: str) -> Approval:
    """Takes an approval back, asked for or given; its run is woken.

    Raises:
        UnknownApproval: the actor's tenant has none such.
        ApprovalNotOpen: it is rejected, revoked or expired, or its run has gone on.
        NothingToDecide: its script has started.
    """
    # Takes the run's row lock, which the gate holds while it writes a dispatch: what is seen afterwards is final.
    revoked = approvals.revoke(actor, conn, approval_id, reason=reason)
    if is_question(revoked) and not repository.is_gate_open(conn, revoked.gate_id):
        raise ApprovalNotOpen(f"the run has gone on since approval {approval_id} was given", hint=f"bcce run cancel {revoked.run_id}")
    if dispatches.has_started(conn, str(revoked.run_id), revoked.digest):
        raise NothingToDecide(f"the script of approval {approval_id} has started", hint="`bcce dispatch list` tells how it went")
    return revoked


async def incident_view(
    actor: Actor, *, db: Database, incidents: IncidentService, workflows: WorkflowService, itsm: ItsmService, incident_id: IncidentId
) -> dict[str, Any]:
    """The incident as JSON values.

    Raises:
        UnknownIncident: there is none in the actor's tenant.
    """
    incident, timeline = await incidents.get(actor, incident_id)
    view = {**_incident(incident), "timeline": [_entry(entry) for entry in timeline]}
    view.update(await db.read(lambda conn: _related(conn, actor, incident)))
    if incident.run_id is not None:
        run, steps = await workflows.run(actor, incident.run_id)
        view["run"] = {
            "id": run.id,
            "workflow": run.workflow,
            "state": str(run.state),
            "error": run.error,
            "steps": [
                {
                    "id": step.key,
                    "type": step.type,
                    "state": str(step.state),
                    "attempt": step.attempt,
                    "waitingFor": step.waiting_for,
                    "error": step.error,
                }
                for step in steps
            ],
        }
        ticket_id = next((step.output["ticket"] for step in steps if step.type == "ticket.open" and step.output), None)
        if ticket_id is not None:
            ticket = await itsm.get(actor, TicketId(str(ticket_id)))
            notes = [{"kind": str(note.kind), "text": note.text, "at": format_time(note.at)} for note in ticket.notes]
            view["ticket"] = {
                "id": ticket.ref.id,
                "state": str(ticket.state),
                "title": ticket.title,
                "resolution": ticket.resolution,
                "notes": notes,
            }
    return view


def _related(conn: Connection, actor: Actor, incident: Incident) -> dict[str, Any]:
    members = get_alerts(conn, actor.tenant_id, incidents.alert_ids(conn, incident.id))
    plan = repository.latest_plan(conn, actor.tenant_id, incident.id)
    asked = [
        approvals.get(conn, approval_id, actor.tenant_id) for approval_id in repository.approvals_of(conn, actor.tenant_id, incident.id)
    ]
    return {
        "alerts": [
            {"id": a.id, "name": a.name, "status": str(a.status), "timesSeen": a.times_seen, "labels": dict(a.labels)} for a in members
        ],
        "plan": None if plan is None else {**plan["body"], "digest": plan["digest"]},
        "approvals": [_approval(conn, item) for item in asked if item is not None],
        "dispatches": [
            {
                "id": item.key,
                "target": item.target.name,
                "state": str(item.state),
                "exitCode": item.exit_code,
                "output": item.output_excerpt,
                "startedAt": format_time(item.started_at) if item.started_at else None,
                "endedAt": format_time(item.ended_at) if item.ended_at else None,
            }
            for item in reversed(dispatches.list_dispatches(conn, actor.tenant_id, incident_id=incident.id, limit=20))
        ],
    }


def _approval(conn: Connection, approval: Approval) -> dict[str, Any]:
    return {
        "id": approval.id,
        "state": str(approval.state),
        "title": approval.title,
        "digest": approval.digest,
        "reasons": list(approval.reasons),
        "requiredCount": approval.required_count,
        "askedBy": list(approval.asked_by),
        "expiresAt": format_time(approval.expires_at),
        "shown": dict(approval.shown),
        "decisions": [
            {"by": item.actor_name, "decision": str(item.decision), "comment": item.comment, "at": format_time(item.decided_at)}
            for item in approvals.decisions(conn, approval.id)
        ],
    }


def _incident(incident: Incident) -> dict[str, Any]:
    lasted = incident.time_to_resolve
    return {
        "id": incident.id,
        "title": incident.title,
        "severity": str(incident.severity),
        "state": str(incident.state),
        "service": incident.service,
        "host": incident.host,
        "summary": incident.summary,
        "openedAt": format_time(incident.opened_at),
        "resolvedAt": format_time(incident.resolved_at) if incident.resolved_at else None,
        "closedAt": format_time(incident.closed_at) if incident.closed_at else None,
        "timeToResolveSeconds": None if lasted is None else lasted.total_seconds(),
    }


def _entry(entry: TimelineEntry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "at": format_time(entry.at),
        "actor": entry.actor,
        "kind": entry.kind,
        "text": entry.text,
        "data": dict(entry.data),
    }
