"""Runs: starting them, looking at them, following them, and what people do to them."""

import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from bcce.api.context import ActorDep, RuntimeDep, StreamsDep
from bcce.api.wire import wire
from bcce.kit.clock import format_time, parse_time
from bcce.kit.errors import InvalidInput
from bcce.kit.ids import RunId
from bcce.kit.text import canonical_json, clean
from bcce.observability.correlation import current_correlation
from bcce.runtime import Runtime
from bcce.storage.outbox import OutboxRow, position_before
from bcce.workflows.artifacts.model import BYTES, JSON, TEXT, file_name
from bcce.workflows.filters import RunFilter
from bcce.workflows.model import Run
from bcce.workflows.overview import overview

#: Enough for a lifetime of events, and what every database takes for a number.
_EVENT_ID = re.compile(r"[0-9]{1,18}")

router = APIRouter(prefix="/api/v1", tags=["runs"])


class NewRun(BaseModel):
    """A run to start. `version` is the beginning of a digest; null for the present text.

    `texts` are inputs as somebody typed them, which win over `inputs`: those of type `string` are the text as it is, all others are JSON.
    """

    model_config = ConfigDict(extra="forbid")

    inputs: dict[str, Any] = Field(default_factory=dict)
    texts: dict[str, str] = Field(default_factory=dict)
    version: str | None = Field(default=None, pattern=r"^(sha256:)?[0-9a-f]{6,64}$")


class Rerun(BaseModel):
    """A run that begins at a step of another one; `inputs`, and `texts` as in a new run, replace some of its inputs."""

    model_config = ConfigDict(extra="forbid")

    step: str = Field(min_length=1, max_length=64)
    inputs: dict[str, Any] = Field(default_factory=dict)
    texts: dict[str, str] = Field(default_factory=dict)


class Signal(BaseModel):
    """What a run may wait for."""

    model_config = ConfigDict(extra="forbid")

    payload: dict[str, Any] = Field(default_factory=dict)


@router.post("/workflows/{name}/runs", status_code=201, summary="Start a run")
async def start_run(name: str, given: NewRun, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """The run's id."""
    correlation = current_correlation() or runtime.ids.new("cor")

    def write(conn: Connection) -> RunId:
        asked: dict[str, Any] = {"inputs": given.inputs, "texts": given.texts, "version": given.version}
        return runtime.workflows.start(actor, conn, workflow=name, correlation_id=correlation, **asked)

    run_id = await runtime.db.write(write)
    runtime.ring(run_id)
    return {"runId": run_id}


@router.get("/runs", summary="List runs, newest first")
async def list_runs(
    runtime: RuntimeDep,
    actor: ActorDep,
    state: Annotated[list[str] | None, Query()] = None,
    workflow: str | None = None,
    subject: str | None = None,
    parent: str | None = None,
    children: bool | None = None,
    since: str | None = None,
    until: str | None = None,
    cursor: str | None = None,
    limit: int = Query(50, ge=1, le=500),
) -> dict[str, Any]:
    """A page of runs; `state` may stand there several times.

    Runs that other runs started are left out, or the many of one run would hide all others; but where `children=true`, `parent` or
    `workflow` asks for them.
    """
    wanted = RunFilter(
        states=tuple(state or ()),
        workflow=workflow,
        subject=subject,
        parent=RunId(parent) if parent is not None else None,
        has_children=children if children is not None else workflow is not None,
        since=_moment(since, "since"),
        until=_moment(until, "until"),
    )
    page = await runtime.workflows.runs(actor, wanted, before=cursor, limit=limit)
    waiting = await runtime.groups.waited_for(actor, page)
    items = [{**wire(run), "waitingForGroup": waiting.get(run.id)} for run in page]
    return {"items": items, "next": page[-1].id if len(page) == limit else None}


@router.get("/runs/{run_id}", summary="Show a run with its steps")
async def show_run(run_id: str, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """One run. `outline` has its steps in the order in which they stand in each other; `steps` has every attempt, as they began."""
    run, steps = await runtime.workflows.run(actor, RunId(run_id))
    place = await runtime.groups.standing(actor, run.id)
    lanes = await runtime.integrations.of(actor, run.id)
    seen = await overview(runtime.db, runtime.workflows, run, steps)
    return {
        **wire(run),
        "concurrency": wire(place) if place is not None else None,
        "integrations": wire(lanes),
        "children": wire(seen.children),
        "outline": wire(seen.outline),
        "steps": [{**wire(step), "copied": step.key in seen.copied} for step in steps],
    }


@router.get("/runs/{run_id}/artifacts", summary="List what a run's steps left, in the order in which it was stored")
async def list_artifacts(
    run_id: str, runtime: RuntimeDep, actor: ActorDep, cursor: str | None = None, limit: int = Query(50, ge=1, le=500)
) -> dict[str, Any]:
    """A page of artifacts, without their contents."""
    page = await runtime.artifacts.list(actor, RunId(run_id), after=cursor, limit=limit)
    return {"items": wire(page), "next": page[-1].id if len(page) == limit else None}


@router.get("/runs/{run_id}/artifacts/{digest}", summary="The content of an artifact", response_class=Response)
async def get_artifact(run_id: str, digest: str, runtime: RuntimeDep, actor: ActorDep) -> Response:
    """The bytes, as a file to keep: no browser shows them as a page."""
    found, content = await runtime.artifacts.get(actor, RunId(run_id), digest)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file_name(found), safe='')}",
        # The middleware adds that nobody guesses another type, and that nobody keeps it.
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return Response(content, media_type=found.media_type if found.media_type in (TEXT, JSON) else BYTES, headers=headers)


@router.get("/runs/{run_id}/logs", summary="Read a run's log: what its steps said, and what the engine did")
async def read_log(
    run_id: str,
    runtime: RuntimeDep,
    actor: ActorDep,
    step: Annotated[str | None, Query(max_length=255)] = None,
    cursor: str | None = None,
    limit: int = Query(500, ge=1, le=2000),
) -> dict[str, Any]:
    """A page of lines; `next` is null when nothing more is there yet, `follow` is the cursor that later lines stand behind."""
    page = await runtime.logs.page(actor, RunId(run_id), after=cursor, limit=limit, step=step)
    return {"items": wire(page.lines), "next": page.next, "follow": page.follow}


@router.post("/runs/{run_id}/signals/{name}", status_code=202, summary="Tell a run that something it may wait for has happened")
async def signal_run(run_id: str, name: str, given: Signal, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """The first signal of a name counts."""
    is_new = await runtime.workflows.signal(actor, RunId(run_id), name, given.payload)
    runtime.ring(RunId(run_id))
    return {"runId": run_id, "name": name, "new": is_new}


@router.post("/runs/{run_id}/cancel", status_code=202, summary="Stop a run, and undo what can be undone")
async def cancel_run(run_id: str, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """The run as it is now; it ends when everything in it has stopped."""
    return _rung(runtime, await runtime.runs.cancel(actor, RunId(run_id)))


@router.post("/runs/{run_id}/pause", summary="Begin nothing more until the run is resumed")
async def pause_run(run_id: str, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """The run as it is now."""
    return _rung(runtime, await runtime.runs.pause(actor, RunId(run_id)))


@router.post("/runs/{run_id}/resume", summary="Go on with a paused run")
async def resume_run(run_id: str, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """The run as it is now."""
    return _rung(runtime, await runtime.runs.resume(actor, RunId(run_id)))


@router.post("/runs/{run_id}/retry", summary="Try the steps again that did not end well")
async def retry_run(run_id: str, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """The run as it is now."""
    return _rung(runtime, await runtime.runs.retry(actor, RunId(run_id)))


@router.post("/runs/{run_id}/rerun", status_code=201, summary="Start a new run that begins at a step of this one")
async def rerun_run(run_id: str, given: Rerun, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """The new run's id."""
    new_id = await runtime.runs.rerun(actor, RunId(run_id), step=given.step, inputs=given.inputs, texts=given.texts)
    runtime.ring(new_id)
    return {"runId": new_id, "rerunOf": run_id}


@router.get("/runs/{run_id}/events", summary="Follow a run: its events as they happen", response_class=StreamingResponse)
async def follow_run(
    run_id: str,
    runtime: RuntimeDep,
    streams: StreamsDep,
    actor: ActorDep,
    last_event_id: Annotated[str | None, Header(max_length=20)] = None,
) -> Response:
    """Server-sent events; each has the event's position as its id, and `Last-Event-ID` continues behind one without a gap.

    The stream ends with the run; a reader that comes back after that gets 204, which tells a browser to stop. It ends as well when the
    server is stopped; the next one continues it.
    """
    run, _ = await runtime.workflows.run(actor, RunId(run_id))
    if last_event_id is not None and _EVENT_ID.fullmatch(last_event_id) is None:
        raise InvalidInput("Last-Event-ID is the number of an event of this stream")
    if last_event_id is None:
        position = await runtime.db.read(lambda conn: position_before(conn, run.created_at))
    else:
        position = int(last_event_id)
    found = await streams.events_of(run, position)
    if last_event_id is not None and found.is_all and not found.rows:
        return Response(status_code=204)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    messages = _messages(streams.follow(run, found))
    return StreamingResponse(messages, media_type="text/event-stream", headers=headers)


async def _messages(events: AsyncIterator[OutboxRow | None]) -> AsyncIterator[bytes]:
    async for row in events:
        yield _message(row) if row is not None else b": still here\n\n"


def _message(row: OutboxRow) -> bytes:
    event = {"type": row.type, "timestamp": format_time(row.at), "source": row.source, "data": dict(row.data)}
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (row.position, row.type.encode(), canonical_json(event))


def _moment(text: str | None, name: str) -> datetime | None:
    try:
        return parse_time(text) if text is not None else None
    except ValueError as error:
        hint = "for example 2026-01-02T03:04:05Z; a + in an address is written %2B"
        raise InvalidInput(f"{name} is no time with a time zone: {clean(text or '', limit=60)!r}", hint=hint) from error


def _rung(runtime: Runtime, run: Run) -> dict[str, Any]:
    runtime.ring(run.id)
    return dict(wire(run))
