"""The application for one runtime."""

from fastapi import FastAPI
from starlette.types import ASGIApp

from bcce.api import admin, alerts, incidents, problems, system, webhooks, workflows
from bcce.api.middleware import RequestContext
from bcce.runtime import Runtime

VERSION = "2.0.0"


def create_app(runtime: Runtime) -> ASGIApp:
    """The API on `runtime`, as an ASGI application; opens and closes nothing."""
    app = FastAPI(
        title="BCCE", version=VERSION, description="From a monitoring alert to a verified fix.", openapi_url="/api/v1/openapi.json"
    )
    app.state.runtime = runtime
    for module in (webhooks, alerts, incidents, workflows, admin, system):
        app.include_router(module.router)
    problems.install(app)
    return RequestContext(app, runtime)
