"""`http`: a request to a host that an operator has allowed."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bcce.kit.errors import BcceError
from bcce.kit.redact import Secret, redact
from bcce.kit.references import SealedText
from bcce.kit.text import canonical_json, clean
from bcce.plugins import Services
from bcce.resilience import Breaker, BreakerPolicy, BreakerStore, Bulkhead
from bcce.security.secrets import SecretStore
from bcce.workflows.artifacts.model import bytes_value
from bcce.workflows.destinations import Destination, Destinations
from bcce.workflows.durations import constant_duration_s, parse_duration_s
from bcce.workflows.errors import HttpUnavailable, HttpUnexpectedStatus, InvalidHttpRequest
from bcce.workflows.exchange import Answer, Exchange, Follow, Request
from bcce.workflows.model import Artifact, Effect, completed
from bcce.workflows.references import Sealed, filled, sealed_in
from bcce.workflows.settings import HttpSettings, WorkflowSettings
from bcce.workflows.step_type import Done, Remark, StepContext, StepOutcome

_DEFAULT_TIMEOUT = "30s"
_SAFE_METHODS = ("GET", "HEAD")
#: Statuses with which a host asks for another try later.
_LATER = frozenset({408, 425, 429})
_TOO_MANY = 429
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]{0,8192}")
#: Set by the step or the protocol; a workflow that could set them could smuggle a second request into the first.
_OWN_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "host", "idempotency-key", "keep-alive", "te", "trailer"}
    | {"transfer-encoding", "upgrade", "proxy-authorization", "proxy-connection"}
)
#: Headers of an answer that the output may show: no cookies and no tokens.
_SHOWN_HEADERS = frozenset(
    {"age", "allow", "cache-control", "content-language", "content-length", "content-type", "date", "etag", "expires", "last-modified"}
    | {"link", "location", "retry-after", "x-request-id", "x-correlation-id", "x-total-count"}
    | {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
)
_CHARSETS = {"us-ascii": "ascii", "iso-8859-1": "iso-8859-1", "windows-1252": "windows-1252", "utf-16": "utf-16"}

Scalar = str | int | float | bool


class HttpParams(BaseModel):
    """Parameters of `http`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = Field(default="GET", description="The method.")
    url: str = Field(min_length=1, max_length=8192, description="http:// or https://; the host has to be in workflows.http.allowedHosts.")
    headers: dict[str, str | Sealed] = Field(default_factory=dict, max_length=50, description="Headers by name.")
    query: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict, description="Added to the URL's query; a list repeats its name.")
    json_body: Any = Field(default=None, alias="json", description="A value that is sent as JSON.")
    body: str | Sealed | None = Field(default=None, description="A text that is sent as it is, in UTF-8.")
    timeout: str | float = Field(default=_DEFAULT_TIMEOUT, description="How long all of it may take, redirects included.")
    expect: tuple[int | str, ...] = Field(
        default=("2xx",), min_length=1, description="Statuses that are no error, such as 200, 404 or 2xx."
    )
    redirects: Follow = Field(default=Follow.SAME_HOST, description="Which redirects are followed: none, same-host or allowed-hosts.")
    max_bytes: int | None = Field(default=None, ge=1, description="The largest answer to take; by default the operator's limit.")

    @field_validator("method", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, value: dict[str, str | SealedText]) -> dict[str, str | SealedText]:
        names = [name.lower() for name in value]
        for name, text in zip(names, value.values(), strict=True):
            if not _HEADER_NAME.fullmatch(name) or name in _OWN_HEADERS or names.count(name) > 1:
                raise ValueError(f"the header {name!r} cannot be set by a workflow, stands twice, or is no header name")
            if isinstance(text, str) and not _HEADER_VALUE.fullmatch(text):
                raise ValueError(f"the value of the header {name!r} is not one line of ASCII characters")
        return value

    @field_validator("timeout")
    @classmethod
    def _is_duration(cls, value: str | float) -> str | float:
        parse_duration_s(value)
        return value

    @field_validator("expect")
    @classmethod
    def _are_statuses(cls, value: tuple[int | str, ...]) -> tuple[int | str, ...]:
        for item in value:
            if not re.fullmatch(r"[1-5](\d\d|xx)", str(item)):
                raise ValueError(f"{item!r} is not a status such as 404 or 2xx")
        return value

    @model_validator(mode="after")
    def _has_one_body(self) -> "HttpParams":
        has_json = "json_body" in self.model_fields_set
        if has_json and self.body is not None:
            raise ValueError("give `json` or `body`, not both")
        if (has_json or self.body is not None) and self.method in _SAFE_METHODS:
            raise ValueError(f"a {self.method} request has no body")
        return self

    def sealed(self) -> list[SealedText]:
        """Every text with references."""
        return [*sealed_in(self.headers), *sealed_in(self.json_body), *sealed_in(self.body)]

    def request(self, idempotency_key: str, values: Mapping[SealedText, Secret] | None = None) -> Request:
        """What is sent; `values` has every text of `sealed`.

        Raises:
            InvalidHttpRequest: the URL cannot be read, or the value of a secret cannot stand in a header.
        """
        headers = cast(dict[str, str], filled({name.lower(): value for name, value in self.headers.items()}, values or {}))
        for name, text in headers.items():
            if not _HEADER_VALUE.fullmatch(text):
                raise InvalidHttpRequest(f"the value of the header {name!r} is not one line of ASCII characters")
        body = cast(str | None, filled(self.body, values or {}))
        content = None if body is None else body.encode("utf-8", "replace")
        if "json_body" in self.model_fields_set:
            try:
                content = canonical_json(filled(self.json_body, values or {}))
            except (TypeError, ValueError) as error:
                raise InvalidHttpRequest("`json` is not a JSON value") from error
            headers.setdefault("content-type", "application/json")
        elif content is not None:
            headers.setdefault("content-type", "text/plain; charset=utf-8")
        if self.method not in _SAFE_METHODS:
            headers["idempotency-key"] = quote(idempotency_key, safe="/[]:_.-")
        try:
            url = httpx.URL(self.url)
            url = url.copy_merge_params(self.query) if self.query else url
        except (httpx.InvalidURL, ValueError) as error:
            raise InvalidHttpRequest("the URL cannot be read") from error
        return Request(method=self.method, url=str(url), headers=headers, content=content)

    def expects(self, status: int) -> bool:
        """Whether an answer with this status is no error."""
        return any(str(item) in (str(status), f"{status // 100}xx") for item in self.expect)


class HttpStep:
    """Sends one request. Output: `{status, headers, bytes}` and `json` for JSON, else `body`, an artifact if it is no text."""

    name = "http"
    effect = Effect.KEYED
    takes_references = frozenset({"headers", "json", "body"})
    params: type[BaseModel] = HttpParams

    def __init__(
        self,
        settings: HttpSettings,
        exchange: Exchange,
        destinations: Destinations,
        breakers: BreakerStore,
        secrets: SecretStore | None = None,
    ) -> None:
        self._settings = settings
        self._exchange = exchange
        self._destinations = destinations
        self._breaker = Breaker(breakers, _policy(settings))
        self._bulkhead = Bulkhead(at_once=settings.at_once, waiting=settings.waiting)
        self._secrets = secrets or SecretStore({}, (), dict)

    @classmethod
    def build(cls, services: Services) -> "HttpStep":
        """Wires the step."""
        settings = services.get(WorkflowSettings).http
        destinations = Destinations(settings.allowed_hosts, settings.allowed_networks)
        exchange = Exchange(destinations, ca_file=Path(settings.ca_file) if settings.ca_file is not None else None)
        return cls(settings, exchange, destinations, services.get(BreakerStore), services.get(SecretStore))  # type: ignore[type-abstract]  # a Protocol is the key

    def check(self, given: Mapping[str, Any]) -> Iterator[Remark]:
        """A place where no request can go, as far as the URL says it without its expressions, and more than the operator's limits."""
        settings, timeout_s, most = self._settings, constant_duration_s(given.get("timeout")), given.get("max_bytes")
        place = _constant_place(str(given["url"]))
        if place is not None:
            try:
                self._destinations.check(Request(method="GET", url=place).destination)
            except BcceError as error:
                yield Remark("workflow.refused-destination", ("url",), error.message, error.hint or "write https://host/path")
        if timeout_s is not None and timeout_s > settings.max_timeout_s:
            message = f"a request may take {settings.max_timeout_s:g} s, not {timeout_s:g}"
            yield Remark("workflow.over-limit", ("timeout",), message, "an operator can raise workflows.http.maxTimeoutS")
        if isinstance(most, int) and most > settings.max_response_bytes:
            message = f"an answer may have {settings.max_response_bytes} bytes, not {most}"
            yield Remark("workflow.over-limit", ("max_bytes",), message, "an operator can raise workflows.http.maxResponseBytes")

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Sends it, unless the host's circuit is open. A repeat after a crash carries the same idempotency key."""
        given = cast(HttpParams, params)
        sealed = given.sealed()
        request = given.request(context.idempotency_key, {text: await self._secrets.fill(text) for text in sealed})
        destination = request.destination
        self._destinations.check(destination)
        name = f"http:{destination.host}:{destination.port}"
        # Without the query, which may hold what nobody else should see.
        line = f"{request.method} {destination.scheme}://{destination.authority}{httpx.URL(request.url).path}"

        async def send() -> Answer:
            context.log(line, facts={"bytes": len(request.content or b"")} if request.content else None)
            return await self._send(given, request, destination)

        async with self._bulkhead.place(f"{context.tenant_id} {name}"):
            answer = await self._breaker.call(context.tenant_id, name, send, is_failure=_speaks_against_the_host)
        context.log(f"answered {answer.status}", facts={"status": answer.status, "bytes": len(answer.body)})
        # A host that repeats what it was sent must not bring a secret into the journal.
        masks = await self._secrets.masks(sealed) if sealed else ()
        output, artifacts = _output(answer, masks)
        return Done(result=completed(cast(dict[str, object], redact(output, masks)) if masks else output, artifacts=artifacts))

    async def _send(self, given: HttpParams, request: Request, destination: Destination) -> Answer:
        timeout_s = parse_duration_s(given.timeout)
        if timeout_s > self._settings.max_timeout_s:
            raise InvalidHttpRequest(f"a request may take {self._settings.max_timeout_s:g} s, not {timeout_s:g}")
        limit = min(given.max_bytes or self._settings.max_response_bytes, self._settings.max_response_bytes)
        keep = frozenset(status for status in range(300, 400) if given.expects(status))
        answer = await self._exchange.send(request, follow=given.redirects, keep=keep, max_bytes=limit, timeout_s=timeout_s)
        if given.expects(answer.status):
            return answer
        details: dict[str, object] = {"status": answer.status, "host": destination.host}
        if "retry-after" in answer.headers:
            details["retry_after"] = clean(answer.headers["retry-after"], limit=100)
        if answer.status >= 500 or answer.status in _LATER:
            raise HttpUnavailable(f"{destination.authority} answers {answer.status}", details=details)
        raise HttpUnexpectedStatus(
            f"{destination.authority} answers {answer.status}",
            hint=f"the step expects {', '.join(map(str, given.expect))}; `expect` takes more",
            details=details,
        )


def _constant_place(url: str) -> str | None:
    """As much of a URL as says where it leads, if that holds no expression; None when only the run knows."""
    constant, brace, _ = url.partition("{{")
    if not brace:
        return url
    place = re.match(r"[^:/?#]+://[^/?#]*(?=[/?#])", constant)
    if place is not None:
        return place[0]
    scheme = re.match(r"([^:/?#]+)://", constant)
    return f"{scheme[1]}://host" if scheme is not None and scheme[1].lower() not in ("http", "https") else None


def _policy(settings: HttpSettings) -> BreakerPolicy:
    return BreakerPolicy(
        failures=settings.breaker_failures,
        window_s=settings.breaker_window_s,
        open_s=settings.breaker_open_s,
        probe_s=settings.max_timeout_s + settings.breaker_open_s,
    )


def _speaks_against_the_host(error: BcceError) -> bool:
    """A host that only asks to be called less often is well; the bulkhead and the retry's waits are for that."""
    return error.retryable and error.details.get("status") != _TOO_MANY


def _output(answer: Answer, masks: Iterable[Secret]) -> tuple[dict[str, object], tuple[Artifact, ...]]:
    """What the step gives, and what of it is stored apart: a body that is no text."""
    headers = {name: clean(value, limit=1000) for name, value in answer.headers.items() if name in _SHOWN_HEADERS}
    output: dict[str, object] = {"status": answer.status, "headers": headers, "bytes": len(answer.body)}
    kind, _, rest = answer.headers.get("content-type", "").lower().partition(";")
    kind = kind.strip()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            value = json.loads(answer.body)
            canonical_json(value)  # NaN and lone surrogates are no JSON, whatever the parser says
        except (ValueError, RecursionError):
            pass
        else:
            return {**output, "json": value}, ()
    is_text = kind.startswith("text/") or kind.endswith(("+xml", "+json")) or kind in ("application/json", "application/xml", "")
    if not is_text:
        if not answer.body:
            return {**output, "body": None}, ()
        reference, artifact = bytes_value("body", answer.body, kind, masks)
        return {**output, "body": reference}, (artifact,)
    charset = re.search(r"charset=\"?([a-z0-9-]+)", rest)
    encoding = _CHARSETS.get(charset[1] if charset else "", "utf-8")
    return {**output, "body": answer.body.decode(encoding, "replace")}, ()
