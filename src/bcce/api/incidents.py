"""Looking at incidents, and answering what they ask."""

from typing import Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from bcce.api.context import ActorDep, RuntimeDep
from bcce.api.wire import wire
from bcce.approvals.model import Decision
from bcce.kit.ids import IncidentId
from bcce.remediation.view import incident_view, pending_approval, revoke_approval

router = APIRouter(prefix="/api/v1/incidents", tags=["incidents"])


class Answer(BaseModel):
    """A person's answer to an approval. `digest` is that of what the person looked at: if anything changed since, the answer is refused."""

    model_config = ConfigDict(extra="forbid")

    digest: str = Field(max_length=80)
    comment: str = Field(default="", max_length=2000)


class Reason(BaseModel):
    """Why somebody takes an approval back; kept in the audit log."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=2000)


@router.get("", summary="List incidents, newest first")
async def list_incidents(
    runtime: RuntimeDep, actor: ActorDep, state: str | None = None, cursor: str | None = None, limit: int = Query(50, ge=1, le=500)
) -> dict[str, Any]:
    """A page of incidents."""
    page, following = await runtime.incidents.list(actor, state=state, cursor=cursor, limit=limit)
    return {"items": wire(page), "next": following}


@router.get("/{incident_id}", summary="Show an incident: timeline, alerts, plan, approvals, dispatches, ticket, run")
async def show_incident(incident_id: str, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """Everything about one incident."""
    return await incident_view(
        actor,
        db=runtime.db,
        incidents=runtime.incidents,
        workflows=runtime.workflows,
        itsm=runtime.itsm,
        incident_id=IncidentId(incident_id),
    )


@router.post("/{incident_id}/approve", summary="Agree to the script that the incident waits for")
async def approve(incident_id: str, answer: Answer, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """The run goes on at once."""
    return await _decide(incident_id, "approve", answer, runtime, actor)


@router.post("/{incident_id}/reject", summary="Refuse the script that the incident waits for")
async def reject(incident_id: str, answer: Answer, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """The incident is handed to a person."""
    return await _decide(incident_id, "reject", answer, runtime, actor)


@router.post("/{incident_id}/revoke", summary="Take an approval back that was asked for or given, before its script has started")
async def revoke(incident_id: str, reason: Reason, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """The incident is handed to a person; a script that has started is not stopped by it."""
    await runtime.incidents.get(actor, IncidentId(incident_id))
    approval = await runtime.db.write(
        lambda conn: revoke_approval(actor, conn, runtime.approvals, IncidentId(incident_id), reason=reason.reason)
    )
    runtime.ring(approval.run_id)
    return {"incidentId": incident_id, "approvalId": approval.id, "state": str(approval.state)}


async def _decide(incident_id: str, decision: Literal["approve", "reject"], answer: Answer, runtime: Any, actor: Any) -> dict[str, Any]:
    await runtime.incidents.get(actor, incident_id)
    approval_id = await pending_approval(actor, runtime.db, IncidentId(incident_id))
    approval = await runtime.approvals.submit_decision(
        actor, approval_id, Decision(decision), comment=answer.comment, digest_seen=answer.digest
    )
    runtime.ring(approval.run_id)
    return {"incidentId": incident_id, "approvalId": approval.id, "state": str(approval.state)}
