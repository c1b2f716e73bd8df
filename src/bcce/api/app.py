"""The application for one runtime."""

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from bcce.api import admin, alerts, approvals, dispatches, incidents, problems, runs, system, webhooks, workflows
from bcce.api.context import check_query
from bcce.api.middleware import RequestContext
from bcce.api.streams import RunStreams
from bcce.runtime import Runtime

VERSION = "2.0.0"


def create_app(runtime: Runtime, streams: RunStreams | None = None) -> ASGIApp:
    """The API on `runtime`, as an ASGI application; opens and closes nothing.

    `streams` is for a server that closes them before it ends: an open stream is a request that is never done.
    """
    app = FastAPI(
        title="BCCE", version=VERSION, description="From a monitoring alert to a verified fix.", openapi_url="/api/v1/openapi.json"
    )
    app.state.runtime = runtime
    app.state.streams = streams or RunStreams(runtime)
    # A monitor may add what it likes to the address of a webhook or a health page.
    for module in (webhooks, system):
        app.include_router(module.router)
    for module in (alerts, incidents, approvals, dispatches, workflows, runs, admin):
        app.include_router(module.router, dependencies=[Depends(check_query)])
    problems.install(app)
    return RequestContext(app, runtime)
