"""Where monitors send their alerts: answered for only after the commit."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from bcce.api.context import ActorDep, RuntimeDep
from bcce.api.wire import wire
from bcce.kit.errors import InvalidInput, TooLarge
from bcce.runtime import Runtime

router = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"])

DEFAULT_SOURCE = "default"


@router.post("/{provider}", status_code=202, summary="Receive a webhook of the provider's default source")
async def receive_default(provider: str, request: Request, runtime: RuntimeDep, actor: ActorDep) -> JSONResponse:
    """The same as with a source, for the source that the token is bound to, else `default`."""
    return await _receive(provider, actor.source or DEFAULT_SOURCE, request, runtime, actor)


@router.post("/{provider}/{source}", status_code=202, summary="Receive a webhook of one source")
async def receive(provider: str, source: str, request: Request, runtime: RuntimeDep, actor: ActorDep) -> JSONResponse:
    """Stores the body and its alerts in one commit, then answers 202 with their ids."""
    return await _receive(provider, source, request, runtime, actor)


async def _receive(provider: str, source: str, request: Request, runtime: Runtime, actor: ActorDep) -> JSONResponse:
    runtime.alerts.check_source(actor, provider, source)
    body = await read_body(request, runtime)
    receipt = await runtime.alerts.receive(
        actor,
        provider=provider,
        source=source,
        body=body,
        headers={name.lower(): value for name, value in request.headers.items()},
        correlation_id=request.state.correlation_id,
    )
    return JSONResponse(wire(receipt), status_code=202)


async def read_body(request: Request, runtime: Runtime) -> bytes:
    """The body, read no further than the limit.

    Raises:
        TooLarge: it is above the limit; counted in the metrics.
        InvalidInput: it is compressed, which webhooks of this version may not be.
    """
    limit = runtime.settings.alerts.max_body_bytes
    if request.headers.get("content-encoding", "identity") != "identity":
        raise InvalidInput("compressed bodies are not taken", hint="send the body as it is")
    announced = request.headers.get("content-length", "")
    body = bytearray()
    is_over = announced.isdigit() and int(announced) > limit
    if not is_over:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                is_over = True
                break
    if is_over:
        runtime.metrics.webhook_refused(TooLarge.code)
        raise TooLarge(
            f"the body is larger than {limit} bytes",
            hint="send fewer alerts at once, or raise alerts.max_body_bytes",
            details={"limit": limit},
        )
    return bytes(body)
