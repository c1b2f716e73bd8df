"""What routes get: the runtime, and who asks."""

from typing import Annotated, cast

from fastapi import Depends, Request

from bcce.api.streams import RunStreams
from bcce.kit.errors import InvalidInput
from bcce.kit.text import clean
from bcce.runtime import Runtime
from bcce.security.actor import Actor
from bcce.security.origin import authenticate


def get_runtime(request: Request) -> Runtime:
    """The runtime that the application was made for."""
    return cast(Runtime, request.app.state.runtime)


def get_streams(request: Request) -> RunStreams:
    """The streams of this server."""
    return cast(RunStreams, request.app.state.streams)


async def get_actor(request: Request) -> Actor:
    """Who holds the token of this request.

    Raises:
        Unauthenticated: there is no valid one.
    """
    known: Actor | None = getattr(request.state, "actor", None)  # where there is a body, the middleware has asked already
    return known or await authenticate(get_runtime(request).tokens, request.headers.get("authorization"))


async def check_query(request: Request) -> None:
    """Refuses a query parameter that the endpoint does not have: a filter that is misspelled would otherwise show everything.

    Raises:
        InvalidInput: there is one.
    """
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in known:
            hint = f"parameters: {', '.join(known)}" if known else "this endpoint takes none"
            raise InvalidInput(f"there is no query parameter {clean(name, limit=60)!r}", hint=hint)


RuntimeDep = Annotated[Runtime, Depends(get_runtime)]
StreamsDep = Annotated[RunStreams, Depends(get_streams)]
ActorDep = Annotated[Actor, Depends(get_actor)]
