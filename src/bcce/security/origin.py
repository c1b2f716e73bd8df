"""Who sends a request, from its Authorization header."""

import base64
import binascii

from bcce.kit.errors import Forbidden, Unauthenticated
from bcce.security.actor import Actor
from bcce.security.tokens import TokenService

_HINT = "send `Authorization: Bearer <token>`; `bcce token create` makes one"


def token_of(header: str | None) -> str:
    """The token in an Authorization header: `Bearer <token>`, or `Basic` with the token as the password, which is what some monitors can
    send.

    Raises:
        Unauthenticated: there is no such header, or it holds no token.
    """
    scheme, _, value = (header or "").strip().partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    if scheme.lower() == "basic":
        try:
            _, separator, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            separator = password = ""
        if separator and password:
            return password
    raise Unauthenticated(hint=_HINT)


async def authenticate(tokens: TokenService, header: str | None) -> Actor:
    """Who holds the token in the header."""
    return await tokens.authenticate(token_of(header))


def require_source(actor: Actor, provider: str, source: str) -> None:
    """Does nothing unless `actor` is a source and sends for another one.

    Raises:
        Forbidden: its token is for another provider or source.
    """
    if actor.kind == "source" and (actor.provider, actor.source) != (provider, source):
        raise Forbidden(
            f"this token sends for {actor.provider}/{actor.source}, not for {provider}/{source}",
            hint="make a token for this source, or use the right path",
        )
