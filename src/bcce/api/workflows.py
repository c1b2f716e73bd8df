"""Looking at workflows."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from bcce.api.context import ActorDep, RuntimeDep
from bcce.api.wire import wire
from bcce.workflows.graph import GraphFormat

router = APIRouter(prefix="/api/v1", tags=["workflows"])


class WorkflowText(BaseModel):
    """A workflow file to look at. `path` is only used in messages."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=1024 * 1024)
    path: str | None = Field(default=None, max_length=500)


@router.get("/workflows", summary="List workflows")
async def list_workflows(
    runtime: RuntimeDep,
    actor: ActorDep,
    cursor: Annotated[str | None, Query(max_length=128)] = None,
    limit: int = Query(50, ge=1, le=500),
) -> dict[str, Any]:
    """A page of those that new runs use, by name, and the files of `workflows.directory` that were not registered at the start."""
    page = await runtime.workflows.definitions(actor, after=cursor, limit=limit)
    refused = [
        {"path": file.path, "findings": [item.to_dict() for item in file.findings]} for file in runtime.workflow_files.refused(actor)
    ]
    following = page[-1].name if len(page) == limit else None
    return {"items": [{**wire(item), "source": None} for item in page], "next": following, "notRegistered": refused}


@router.post("/workflows/validate", summary="Check a workflow file")
async def validate_workflow(given: WorkflowText, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """Everything that is wrong with it; `name` and `digest` are null when it is no workflow at all."""
    definition, findings = runtime.workflows.validate(actor, given.text, given.path)
    known = {"name": definition.name, "digest": definition.digest} if definition else {"name": None, "digest": None}
    return {**known, "valid": not findings, "findings": [item.to_dict() for item in findings]}


@router.get("/workflows/{name}", summary="Show a workflow's file")
async def show_workflow(name: str, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """One workflow."""
    return dict(wire(await runtime.workflows.show(actor, name)))


@router.get("/workflows/{name}/graph", summary="Draw a workflow", response_class=Response)
async def draw_workflow(
    name: str, runtime: RuntimeDep, actor: ActorDep, form: Annotated[GraphFormat, Query(alias="format")] = GraphFormat.TEXT
) -> Response:
    """Who follows whom, as text, as a Mermaid flowchart or as SVG."""
    return Response(await runtime.workflows.graph(actor, name, form), media_type=form.media_type)
