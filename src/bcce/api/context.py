"""What routes get: the runtime, and who asks."""

from typing import Annotated, cast

from fastapi import Depends, Request

from bcce.runtime import Runtime
from bcce.security.actor import Actor
from bcce.security.origin import authenticate


def get_runtime(request: Request) -> Runtime:
    """The runtime that the application was made for."""
    return cast(Runtime, request.app.state.runtime)


async def get_actor(request: Request) -> Actor:
    """Who holds the token of this request.

    Raises:
        Unauthenticated: there is no valid one.
    """
    return await authenticate(get_runtime(request).tokens, request.headers.get("authorization"))


RuntimeDep = Annotated[Runtime, Depends(get_runtime)]
ActorDep = Annotated[Actor, Depends(get_actor)]
