"""Around every request: a correlation id, the metrics, and an answer even to a bug."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bcce.api.problems import unforeseen
from bcce.observability.correlation import HEADER, accepted, bind_correlation
from bcce.runtime import Runtime

_HEADER = HEADER.lower().encode()


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

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = [(_HEADER, correlation_id.encode()), (b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception as error:  # the request's loop: whatever a route raises, the sender gets an answer
            if status:
                raise
            await (await unforeseen(error))(scope, receive, answer)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self._runtime.metrics.request_answered(scope["method"], route, status)
