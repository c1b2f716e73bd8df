"""How a command reaches the services: over HTTP to a running server, else the same API in this process.

Either way it is the same requests, so no command has a second path.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from bcce.cli.server_file import read_server
from bcce.cli.settings import home, load_settings
from bcce.kit.errors import BcceError, ExitCode, InvalidId, InvalidInput, Unavailable
from bcce.kit.text import clean, has_hidden

T = TypeVar("T")
_TIMEOUT_S = 60.0
_MAX_SEGMENT = 300


class ApiProblem(BcceError):
    """The server answered with a problem."""

    def __init__(self, body: Mapping[str, Any], status: int) -> None:
        super().__init__(str(body.get("detail", f"the server answered {status}")), hint=body.get("hint"), details=dict(body))
        self.code = str(body.get("code", "http-error"))  # type: ignore[misc]  # the server's own code
        self.status = status  # type: ignore[misc]  # as above
        self.exit_code = ExitCode.USAGE if status == 400 else ExitCode.FAILED  # type: ignore[misc]  # as above


@dataclass(frozen=True, slots=True)
class Client:
    """Requests to the API; a problem becomes an error."""

    http: httpx.AsyncClient
    #: It is a server's, and not this very process.
    is_server: bool

    async def get(self, path: str, **query: Any) -> Any:
        """The JSON of a GET; query values that are None are left out."""
        return await self._send("GET", path, params={name: value for name, value in query.items() if value is not None})

    async def get_text(self, path: str, **query: str) -> str:
        """The body of a GET as text."""
        return (await self._answer("GET", path, params=query)).text

    async def get_bytes(self, path: str) -> bytes:
        """The body of a GET as it is."""
        return (await self._answer("GET", path)).content

    async def events(self, path: str, last: str | None) -> AsyncIterator[str]:
        """The ids of a stream's events behind `last` as they come, until the stream ends. Only a server streams.

        Raises:
            Unavailable: the stream cannot be had, or broke off.
        """
        headers = {"Last-Event-ID": last} if last is not None else {}
        try:
            async with self.http.stream("GET", path, headers=headers) as response:
                if response.status_code != HTTPStatus.OK:
                    return
                async for line in response.aiter_lines():
                    if line.startswith("id: "):
                        yield line[4:]
        except httpx.HTTPError as error:
            raise Unavailable(f"the stream of events broke off: {type(error).__name__}") from error

    async def post(self, path: str, body: Any) -> Any:
        """The JSON of a POST with a JSON body."""
        return await self._send("POST", path, json=body)

    async def post_bytes(self, path: str, body: bytes) -> Any:
        """The JSON of a POST of a body as it is."""
        return await self._send("POST", path, content=body, headers={"Content-Type": "application/json"})

    async def put(self, path: str, body: Any) -> Any:
        """The JSON of a PUT with a JSON body."""
        return await self._send("PUT", path, json=body)

    async def delete(self, path: str, **query: Any) -> Any:
        """The JSON of a DELETE."""
        return await self._send("DELETE", path, params=query)

    async def _send(self, method: str, path: str, **options: Any) -> Any:
        return (await self._answer(method, path, **options)).json()

    async def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = await self.http.request(method, path, **options)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise InvalidInput("what was given cannot be sent: it is too long or no UTF-8 text") from error
        except httpx.HTTPError as error:
            raise Unavailable(f"the server does not answer: {type(error).__name__}", hint="is `bcce serve` running?") from error
        if response.status_code >= 400:
            try:
                body = response.json()
            except json.JSONDecodeError:
                body = {"detail": f"the server answered {response.status_code}"}
            raise ApiProblem(body, response.status_code)
        return response


@asynccontextmanager
async def connect(*, works: bool = False) -> AsyncIterator[Client]:
    """A client with the administrator's token of this installation. `works`: without a server, runs are advanced in this process."""
    where = home()
    running = read_server(where)
    if running is not None:
        async with httpx.AsyncClient(
            base_url=running["url"], headers=_auth(Path(running["token"])), timeout=_TIMEOUT_S, trust_env=False
        ) as http:
            yield Client(http, is_server=True)
        return
    from bcce.api.app import create_app  # noqa: PLC0415 - a command that talks to a server does not need the server's code
    from bcce.observability.logging import configure_logging  # noqa: PLC0415 - as above
    from bcce.runtime import open_runtime  # noqa: PLC0415 - as above
    from bcce.runtime.runtime import admin_token_path  # noqa: PLC0415 - as above

    settings = load_settings().settings
    configure_logging("console", "WARNING", secrets=settings.database.secrets())
    async with open_runtime(settings, home=where, works=works) as runtime:
        transport = httpx.ASGITransport(create_app(runtime))
        headers = _auth(admin_token_path(where))
        async with httpx.AsyncClient(transport=transport, base_url="http://bcce.local", headers=headers, timeout=_TIMEOUT_S) as http:
            yield Client(http, is_server=False)


def call(action: Callable[[Client], Coroutine[Any, Any, T]], *, works: bool = False) -> T:
    """What `action` returns, run in an event loop of its own; `works` as for `connect`."""

    async def run() -> T:
        async with connect(works=works) as client:
            return await action(client)

    return asyncio.run(run())


def segment(value: str) -> str:
    """`value`, an id or a name, as one segment of a path.

    Raises:
        InvalidId: it cannot be one: empty, too long, no text, or a step up in the path.
    """
    if not value or len(value) > _MAX_SEGMENT or value in (".", "..") or has_hidden(value):
        raise InvalidId(f"{clean(value, limit=40)!r} is no id or name", hint="`list` shows which there are")
    return quote(value, safe="")


def _auth(token: Path) -> dict[str, str]:
    try:
        text = token.read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        raise Unavailable(f"there is no token file {token}", hint="`bcce token recover` writes it anew; stop the server before") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"the token file {token} cannot be read", hint="run as the account that runs the server") from error
    if not text.startswith("bcce_"):
        raise Unavailable(f"the token file {token} holds no token", hint="`bcce token recover` writes it anew; stop the server before")
    return {"Authorization": f"Bearer {text}"}
