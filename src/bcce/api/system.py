"""Health and metrics."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from bcce.api.context import ActorDep, RuntimeDep
from bcce.kit.findings import Outcome
from bcce.observability.metrics import CONTENT_TYPE
from bcce.security.authz import Permission, require

router = APIRouter(tags=["system"])


@router.api_route("/health/live", methods=["GET", "HEAD"], summary="Whether the process answers")
async def live() -> dict[str, str]:
    """Always, while it does."""
    return {"status": "ok"}


@router.api_route("/health/ready", methods=["GET", "HEAD"], summary="Whether the process can do its work")
async def ready(request: Request, runtime: RuntimeDep) -> JSONResponse:
    """200 if every check passes, else 503; names of checks and their results, nothing else."""
    results = await runtime.health.run()
    for result in results:
        runtime.metrics.health_checked(result.name, is_passing=result.outcome is Outcome.PASS)
    is_ready = all(result.outcome is Outcome.PASS for result in results)
    body: dict[str, Any] = {"status": "ok" if is_ready else "unready", "checks": {result.name: str(result.outcome) for result in results}}
    return JSONResponse(body, status_code=200 if is_ready else 503)


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
async def metrics(runtime: RuntimeDep, actor: ActorDep) -> Response:
    """Needs a token, like everything that tells about alerts."""
    require(actor, Permission.METRICS_READ)
    return Response(runtime.metrics.render(), media_type=CONTENT_TYPE)
