"""Approvals: what people are asked, and their answers, whether an incident or a workflow asks."""

from typing import Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from bcce.api.context import ActorDep, RuntimeDep
from bcce.api.wire import wire
from bcce.approvals.model import ApprovalState, Decision
from bcce.kit.errors import InvalidInput
from bcce.kit.ids import ApprovalId
from bcce.kit.text import clean
from bcce.remediation.view import revoke_unstarted

router = APIRouter(prefix="/api/v1/approvals", tags=["approvals"])


class Word(BaseModel):
    """A person's answer. `digest` is that of what the person looked at: if anything changed since, the answer is refused."""

    model_config = ConfigDict(extra="forbid")

    digest: str = Field(max_length=80)
    comment: str = Field(default="", max_length=2000)


class Withdrawal(BaseModel):
    """Why somebody takes an approval back; kept in the audit log."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=2000)


@router.get("", summary="List approvals, newest first")
async def list_approvals(
    runtime: RuntimeDep, actor: ActorDep, state: str | None = None, cursor: str | None = None, limit: int = Query(50, ge=1, le=500)
) -> dict[str, Any]:
    """A page of approvals."""
    if state is not None and state not in tuple(ApprovalState):
        raise InvalidInput(f"there is no state {clean(state, limit=60)!r}", hint=f"states: {', '.join(ApprovalState)}")
    wanted, before = ApprovalState(state) if state is not None else None, ApprovalId(cursor) if cursor is not None else None
    page = await runtime.approvals.list(actor, state=wanted, before=before, limit=limit)
    return {"items": wire(page), "next": page[-1].id if len(page) == limit else None}


@router.get("/{approval_id}", summary="Show an approval: what would run or is asked, why, and who said what")
async def show_approval(approval_id: str, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """One approval with its decisions."""
    details = await runtime.approvals.get(actor, ApprovalId(approval_id))
    return {**wire(details.approval), "decisions": wire(details.decisions), "missingCount": details.missing_count}


@router.post("/{approval_id}/approve", summary="Agree to what an approval is about")
async def approve(approval_id: str, word: Word, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """The run goes on when enough people have agreed."""
    return await _decide(approval_id, Decision.APPROVE, word, runtime, actor)


@router.post("/{approval_id}/reject", summary="Refuse what an approval is about")
async def reject(approval_id: str, word: Word, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """One refusal is final."""
    return await _decide(approval_id, Decision.REJECT, word, runtime, actor)


@router.post(
    "/{approval_id}/revoke",
    summary="Take an approval back that was asked for or given, before its script has started or its run has gone on",
)
async def revoke(approval_id: str, given: Withdrawal, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """A script that has started is not stopped by it."""
    approval = await runtime.db.write(
        lambda conn: revoke_unstarted(actor, conn, runtime.approvals, ApprovalId(approval_id), reason=given.reason)
    )
    runtime.ring(approval.run_id)
    return dict(wire(approval))


async def _decide(approval_id: str, decision: Decision, word: Word, runtime: Any, actor: Any) -> dict[str, Any]:
    approval = await runtime.approvals.submit_decision(
        actor, ApprovalId(approval_id), decision, comment=word.comment, digest_seen=word.digest
    )
    runtime.ring(approval.run_id)
    return dict(wire(approval))
