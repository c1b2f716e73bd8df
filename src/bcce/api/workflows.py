"""Looking at workflows and their runs."""

from typing import Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from bcce.api.context import ActorDep, RuntimeDep
from bcce.api.wire import wire
from bcce.kit.ids import RunId

router = APIRouter(prefix="/api/v1", tags=["workflows"])


class WorkflowText(BaseModel):
    """A workflow file to look at. `path` is only used in messages."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=1024 * 1024)
    path: str | None = Field(default=None, max_length=500)


class Signal(BaseModel):
    """What a run may wait for."""

    model_config = ConfigDict(extra="forbid")

    payload: dict[str, Any] = Field(default_factory=dict)


@router.get("/workflows", summary="List workflows")
async def list_workflows(runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """Those that new runs use."""
    found = await runtime.workflows.definitions(actor)
    return {"items": [{**wire(item), "source": None} for item in found], "next": None}


@router.post("/workflows/validate", summary="Check a workflow file")
async def validate_workflow(given: WorkflowText, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """Everything that is wrong with it."""
    definition, findings = runtime.workflows.validate(actor, given.text, given.path)
    return {"name": definition.name, "digest": definition.digest, "valid": not findings, "findings": [item.to_dict() for item in findings]}


@router.get("/workflows/{name}", summary="Show a workflow's file")
async def show_workflow(name: str, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """One workflow."""
    return dict(wire(await runtime.workflows.show(actor, name)))


@router.get("/runs", summary="List runs, newest first")
async def list_runs(
    runtime: RuntimeDep,
    actor: ActorDep,
    state: str | None = None,
    workflow: str | None = None,
    cursor: str | None = None,
    limit: int = Query(50, ge=1, le=500),
) -> dict[str, Any]:
    """A page of runs."""
    page = await runtime.workflows.runs(actor, before=cursor, limit=limit, state=state, workflow=workflow)
    return {"items": wire(page), "next": page[-1].id if len(page) == limit else None}


@router.get("/runs/{run_id}", summary="Show a run with its steps")
async def show_run(run_id: str, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """One run."""
    run, steps = await runtime.workflows.run(actor, RunId(run_id))
    return {**wire(run), "steps": wire(steps)}


@router.post("/runs/{run_id}/signals/{name}", status_code=202, summary="Tell a run that something it may wait for has happened")
async def signal_run(run_id: str, name: str, given: Signal, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """The first signal of a name counts."""
    is_new = await runtime.workflows.signal(actor, RunId(run_id), name, given.payload)
    runtime.ring(RunId(run_id))
    return {"runId": run_id, "name": name, "new": is_new}
