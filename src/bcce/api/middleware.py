"""Around every request: a correlation id, the metrics, and an answer even to a bug."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bcce.api.problems import BodyStalled, problem, unforeseen
from bcce.kit.errors import BcceError, TooLarge
from bcce.observability.correlation import HEADER, accepted, bind_correlation
from bcce.runtime import Runtime
from bcce.security.actor import Actor
from bcce.security.origin import authenticate

_HEADER = HEADER.lower().encode()
_API = "/api/v1/"
_WEBHOOKS = "/api/v1/webhooks/"
_BODILESS = ("GET", "HEAD", "OPTIONS")
#: The largest body of a request that is no webhook: the longest script or document, however it is escaped.
MAX_BODY_BYTES = 8 * 1024 * 1024
_BODY_PATIENCE_S = 30.0


class RequestContext:
    """Pure ASGI: a middleware class of Starlette's would wrap every body in a task of its own."""

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self._app = app
        self._runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == _HEADER), None)
        correlation_id = accepted(given) or self._runtime.ids.new("cor")
        bind_correlation(correlation_id)
        scope.setdefault("state", {})["correlation_id"] = correlation_id
        status = 0
        is_answered = False

        async def answer(message: Message) -> None:
            nonlocal status, is_answered
            is_answered = is_answered or (message["type"] == "http.response.body" and not message.get("more_body", False))
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = [(_HEADER, correlation_id.encode()), (b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        try:
            if scope["path"].startswith(_API) and scope["method"] not in _BODILESS:
                scope["state"]["actor"] = await self._actor(scope)
                receive = limited(receive, None if scope["path"].startswith(_WEBHOOKS) else MAX_BODY_BYTES)
            await self._app(scope, receive, answer)
        except BcceError as error:  # nobody knows the sender, so nothing of the body was read
            await problem(error)(scope, receive, answer)
        except Exception as error:  # the request's loop: whatever a route raises, the sender gets an answer
            if not status:
                await (await unforeseen(error))(scope, receive, answer)
            elif not is_answered:
                raise
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self._runtime.metrics.request_answered(scope["method"], route, status)

    async def _actor(self, scope: Scope) -> Actor:
        """Who sends the request, before anything of its body is read."""
        header = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"), None)
        return await authenticate(self._runtime.tokens, header)


def limited(receive: Receive, limit: int | None) -> Receive:
    """`receive` that gives up a body above `limit` bytes (None: the route has its own limit), or one that stops coming."""
    seen = 0
    is_over = False

    async def read() -> Message:
        nonlocal seen, is_over
        if is_over:
            return await receive()
        try:
            async with asyncio.timeout(_BODY_PATIENCE_S):
                message = await receive()
        except TimeoutError:
            error: BcceError = BodyStalled(f"the body did not go on for {_BODY_PATIENCE_S:g} s", hint="send it again")
            raise HTTPException(error.status, error) from None  # type: ignore[arg-type]  # the detail is ours to read
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            is_over = not message.get("more_body", False)
            if limit is not None and seen > limit:
                error = TooLarge(f"the body is larger than {limit} bytes", details={"limit": limit})
                raise HTTPException(error.status, error)  # type: ignore[arg-type]  # as above
        return message

    return read
