"""One HTTP request and its answer, with everything bounded: where it goes, how long it takes, how much comes back."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import httpx

from bcce.workflows.destinations import DEFAULT_PORTS, Destination, Destinations
from bcce.workflows.errors import (
    HttpAnswerTooLarge,
    HttpAnswerUnusable,
    HttpRedirectRefused,
    HttpTimedOut,
    HttpUnreachable,
    InvalidHttpRequest,
)

_MAX_REDIRECTS = 5
_CONNECT_TIMEOUT_S = 10.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: What may go along to another host: nothing that a workflow's author meant for the first one only.
_HARMLESS = frozenset({"accept", "accept-language", "content-type", "idempotency-key"})


class Follow(StrEnum):
    """Which redirects are followed: none, those within scheme, host and port (or from http up to https), those to any allowed host."""

    NONE = "none"
    SAME_HOST = "same-host"
    ALLOWED_HOSTS = "allowed-hosts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What to send. `headers` have names in lower case; `content` None is no body."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None

    @property
    def destination(self) -> Destination:
        """Where it goes.

        Raises:
            InvalidHttpRequest: not an http or https URL with a host, or one with a user name.
        """
        url = _parse(self.url)
        host = url.raw_host.decode("ascii").lower().rstrip(".").partition("%")[0]
        if url.scheme not in DEFAULT_PORTS or not host:
            raise InvalidHttpRequest("a request goes to http://host/… or https://host/…")
        if url.userinfo:
            raise InvalidHttpRequest("the URL holds a user name", hint="send it in the header Authorization")
        port = DEFAULT_PORTS[url.scheme] if url.port is None else url.port
        literal = Destination(url.scheme, host, port).literal
        return Destination(url.scheme, host if literal is None else str(literal), port)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back. `headers` have names in lower case; of a header that came twice, the values are joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Exchange:
    """Sends requests to allowed destinations. `ca_file` holds further certificate authorities, PEM; None for the public ones only."""

    def __init__(self, destinations: Destinations, *, ca_file: Path | None = None) -> None:
        self._destinations = destinations
        self._ca_file = ca_file
        self._tls: ssl.SSLContext | None = None

    async def send(self, request: Request, *, follow: Follow, keep: frozenset[int], max_bytes: int, timeout_s: float) -> Answer:
        """The answer, after redirects; a redirect whose status is in `keep` is an answer. Each host on the way is judged like the first.

        Raises:
            HttpDestinationRefused, HttpRedirectRefused: it leads to where it may not.
            HttpUnreachable, HttpTimedOut: no answer; the request may have been carried out.
            HttpAnswerTooLarge, HttpAnswerUnusable: an answer that is not taken.
            InvalidHttpRequest: it cannot be sent.
        """
        try:
            async with asyncio.timeout(timeout_s):
                for _ in range(_MAX_REDIRECTS + 1):
                    answer = await self._send_once(request, max_bytes)
                    if answer.status not in _REDIRECTS or answer.status in keep or "location" not in answer.headers:
                        return answer
                    request = _redirected(request, answer, follow)
        except TimeoutError as error:
            raise HttpTimedOut(f"{request.destination.authority} took longer than {timeout_s:g} s") from error
        raise HttpRedirectRefused(f"{request.destination.authority} led on more than {_MAX_REDIRECTS} times")

    async def _send_once(self, request: Request, max_bytes: int) -> Answer:
        """Tries the host's addresses until one takes the connection; from then on nothing is sent twice."""
        destination = request.destination
        addresses = await self._destinations.addresses(destination)
        timeout = httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S)
        async with httpx.AsyncClient(verify=self._context(), trust_env=False, follow_redirects=False, timeout=timeout) as client:
            for address in addresses:
                try:
                    return await self._receive(client, _pinned(client, request, destination, address), max_bytes)
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    reason = error
                except httpx.LocalProtocolError as error:
                    raise InvalidHttpRequest(f"the request to {destination.authority} is not what HTTP allows") from error
                except httpx.RemoteProtocolError as error:
                    raise HttpUnreachable(f"{destination.authority} ended the connection or does not speak HTTP") from error
                except httpx.TransportError as error:
                    raise HttpUnreachable(f"the connection to {destination.authority} broke ({type(error).__name__})") from error
        what = "has no certificate to trust for that name" if isinstance(_root(reason), ssl.SSLError) else "takes no connection"
        raise HttpUnreachable(f"{destination.authority} {what}") from reason

    async def _receive(self, client: httpx.AsyncClient, request: httpx.Request, max_bytes: int) -> Answer:
        response = await client.send(request, stream=True)
        try:
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise HttpAnswerUnusable("the answer is compressed although the request says that it must not be")
            body = bytearray()
            if request.method != "HEAD":
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > max_bytes:
                        raise HttpAnswerTooLarge(f"the answer is larger than {max_bytes} bytes", details={"limit": max_bytes})
            return Answer(status=response.status_code, headers=dict(response.headers), body=bytes(body))
        finally:
            await response.aclose()

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=False)
            if self._ca_file is not None:
                try:
                    self._tls.load_verify_locations(self._ca_file)
                except OSError as error:
                    self._tls = None
                    raise InvalidHttpRequest(f"the certificates in {self._ca_file} cannot be read") from error
        return self._tls


def _pinned(client: httpx.AsyncClient, request: Request, destination: Destination, address: str) -> httpx.Request:
    """The request to one address; the name goes along in `Host` and in the TLS handshake, where the certificate is checked against it."""
    headers = {"user-agent": "bcce", "accept": "*/*", **request.headers, "host": destination.authority, "accept-encoding": "identity"}
    extensions = {} if destination.literal is not None else {"sni_hostname": destination.host}
    url = _parse(request.url).copy_with(host=address, fragment=None)
    return client.build_request(request.method, url, headers=headers, content=request.content, extensions=extensions)


def _redirected(request: Request, answer: Answer, follow: Follow) -> Request:
    before = request.destination
    try:
        after = replace(request, url=str(_parse(request.url).join(answer.headers["location"])))
        to = after.destination
    except (InvalidHttpRequest, httpx.InvalidURL) as error:
        raise HttpRedirectRefused(f"{before.authority} leads to something that is no web address") from error
    upgraded = before.host == to.host and (before.scheme, before.port, to.scheme, to.port) == ("http", 80, "https", 443)
    is_same = before == to or upgraded
    if follow is Follow.NONE or (follow is Follow.SAME_HOST and not is_same) or (before.scheme == "https" and to.scheme == "http"):
        raise HttpRedirectRefused(
            f"{before.authority} answers {answer.status} and leads to {to.scheme}://{to.authority}",
            hint="`redirects: allowed-hosts` follows it, if the host is on the operator's list and TLS is kept",
        )
    if not is_same:
        after = replace(after, headers={name: value for name, value in request.headers.items() if name in _HARMLESS})
    if request.method not in ("GET", "HEAD") and answer.status in (301, 302, 303):
        headers = {name: value for name, value in after.headers.items() if name not in ("content-type", "idempotency-key")}
        after = replace(after, method="GET", headers=headers, content=None)
    if not is_same and after.content is not None:
        # As with headers: what the body holds was meant for the first host only, and may be a secret.
        raise HttpRedirectRefused(
            f"{before.authority} answers {answer.status} and wants the body sent to {to.scheme}://{to.authority}",
            hint="a body is never sent on to another host; name that host in `url`",
        )
    return after


def _parse(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise InvalidHttpRequest("the URL cannot be read") from error


def _root(error: BaseException) -> BaseException:
    """The error that began it."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return error
