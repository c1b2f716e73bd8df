"""Looking at dispatches, and settling one whose outcome cannot be known."""

from typing import Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from bcce.api.context import ActorDep, RuntimeDep
from bcce.api.wire import wire

router = APIRouter(prefix="/api/v1/dispatches", tags=["dispatches"])


class Settlement(BaseModel):
    """What became of the script, and how somebody knows."""

    model_config = ConfigDict(extra="forbid")

    outcome: Literal["succeeded", "failed", "stopped", "never-ran"]
    reason: str = Field(min_length=1, max_length=2000)


@router.get("", summary="List attempts to run a script, newest first")
async def list_dispatches(
    runtime: RuntimeDep, actor: ActorDep, state: str | None = None, cursor: str | None = None, limit: int = Query(50, ge=1, le=500)
) -> dict[str, Any]:
    """A page of dispatches."""
    page = await runtime.dispatches.list(actor, state=state, before=cursor, limit=limit)
    return {"items": wire(page), "next": page[-1].id if len(page) == limit else None}


@router.get("/{dispatch_id}", summary="Show an attempt to run a script")
async def show_dispatch(dispatch_id: str, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """One dispatch with its target and the end of its output."""
    return dict(wire(await runtime.dispatches.get(actor, dispatch_id)))


@router.post(
    "/{dispatch_id}/settle",
    summary="Say what became of a script that nobody else can tell of; frees its target",
)
async def settle_dispatch(dispatch_id: str, given: Settlement, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """The dispatch as it is now."""
    return dict(wire(await runtime.dispatches.settle(actor, dispatch_id, given.outcome, reason=given.reason)))
