"""The `http` step against real servers on this machine: what is sent, what is taken, where it may not go, how it fails."""

import asyncio
import datetime as dt
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bcce.kit.clock import SystemClock
from bcce.kit.errors import BcceError
from bcce.resilience import Circuit
from bcce.testing.breakers import MemoryBreakers
from bcce.testing.steps import step_context
from bcce.workflows.destinations import Destinations
from bcce.workflows.exchange import Exchange
from bcce.workflows.settings import HttpSettings
from bcce.workflows.step_type import Done
from bcce.workflows.step_types.http import HttpParams, HttpStep


@dataclass
class Seen:
    """One request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """Answers each request with the bytes that `answer` makes; None never answers."""

    answer: Callable[[Seen], bytes | None] = lambda seen: reply()
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
            seen = Seen(head[0], headers, await reader.readexactly(int(headers.get("content-length", 0))))
            self.seen.append(seen)
            answer = self.answer(seen)
            if answer is None:
                await self.release.wait()
            else:
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def reply(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    fields = {"content-length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return "\r\n".join([f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in fields.items()), "", ""]).encode() + body


@asynccontextmanager
async def serving(answer: Callable[[Seen], bytes | None] | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server() if answer is None else Server(answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.release.set()
        listener.close()
        await listener.wait_closed()


class Sender:
    """The step with settings, a resolver that says 127.0.0.1 for every name, and circuits in memory."""

    def __init__(self, *hosts: str, networks: tuple[str, ...] = ("127.0.0.1/32",), ca_file: Path | None = None, **settings: Any) -> None:
        self.settings = HttpSettings(allowed_hosts=hosts, allowed_networks=networks, **settings)
        self.store = MemoryBreakers(SystemClock())
        destinations = Destinations(self.settings.allowed_hosts, self.settings.allowed_networks, self._resolve)
        self.step = HttpStep(self.settings, Exchange(destinations, ca_file=ca_file), destinations, self.store)
        self.addresses = ["127.0.0.1"]
        self.asked = 0

    async def _resolve(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return self.addresses

    async def send(self, url: str, **params: Any) -> dict[str, Any]:
        outcome = await self.step.run(step_context("call", run_id="run_1"), HttpParams.model_validate({"url": url, **params}))
        assert isinstance(outcome, Done)
        return dict(outcome.result.output)

    async def error(self, url: str, **params: Any) -> BcceError:
        with pytest.raises(BcceError) as caught:
            await self.send(url, **params)
        return caught.value


async def test_it_says_where_it_sends_to_without_the_query_and_what_came() -> None:
    said: list[tuple[str, str, dict[str, object]]] = []
    async with serving(lambda seen: reply(201, b"fine")) as server:
        host = f"api.test:{server.port}"
        params = HttpParams.model_validate({"method": "POST", "url": f"http://{host}/items?key=s3cret", "body": "hello"})
        await Sender(host).step.run(step_context(said=said), params)

    assert said == [
        ("info", f"POST http://{host}/items", {"bytes": 5}),
        ("info", "answered 201", {"status": 201, "bytes": 4}),
    ]


async def test_a_request_arrives_as_it_was_written() -> None:
    async with serving(lambda seen: reply(201, b'{"id": 7}', content_type="application/json", set_cookie="s=1", etag='"x"')) as server:
        given = {"method": "POST", "query": {"q": "a b"}, "headers": {"X-Team": "ops"}, "json": {"n": 1}}
        output = await Sender(f"api.test:{server.port}").send(f"http://api.test:{server.port}/items#part", **given)

    assert output == {
        "status": 201,
        "headers": {"content-length": "9", "content-type": "application/json", "etag": '"x"'},
        "bytes": 9,
        "json": {"id": 7},
    }
    seen = server.seen[0]
    assert (seen.line, seen.body) == ("POST /items?q=a+b HTTP/1.1", b'{"n":1}')
    assert seen.headers["host"] == f"api.test:{server.port}"
    assert seen.headers["idempotency-key"] == "run_1/call"
    assert (seen.headers["x-team"], seen.headers["accept-encoding"], seen.headers["user-agent"]) == ("ops", "identity", "bcce")


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("text/plain; charset=iso-8859-1", b"gr\xfc\xdfe", {"body": "grüße"}),
        ("text/plain", b"a\xff", {"body": "a\ufffd"}),
        ("text/plain; charset=punycode", b"abc", {"body": "abc"}),
        ("application/problem+json", b'{"a":1}', {"json": {"a": 1}}),
        ("application/json", b"{broken", {"body": "{broken"}),
        ("application/json", b'{"a":NaN}', {"body": '{"a":NaN}'}),
        ("application/json", b'"\\ud800"', {"body": '"\\ud800"'}),
        ("application/json", b"[" * 100_000, {"body": "[" * 100_000}),
        ("image/png", b"", {"body": None}),
    ],
)
async def test_an_answer_becomes_json_or_text_or_nothing(kind: str, body: bytes, expected: dict[str, object]) -> None:
    async with serving(lambda seen: reply(body=body, content_type=kind)) as server:
        output = await Sender(f"127.0.0.1:{server.port}").send(f"http://127.0.0.1:{server.port}/")

    assert {name: value for name, value in output.items() if name in ("json", "body")} == expected
    assert output["bytes"] == len(body)


async def test_nothing_is_sent_anywhere_unless_an_operator_allowed_it() -> None:
    async with serving() as server:
        error = await Sender().error(f"http://127.0.0.1:{server.port}/")

    assert (error.code, error.retryable, server.seen) == ("http-destination-refused", False, [])


async def test_an_allowed_name_that_leads_inside_is_refused() -> None:
    async with serving() as server:
        error = await Sender(f"api.test:{server.port}", networks=()).error(f"http://api.test:{server.port}/")

    assert (error.code, error.message) == ("http-destination-refused", "api.test has the address 127.0.0.1, which is not a public one")
    assert server.seen == []


async def test_a_name_is_asked_for_its_address_once_and_that_one_is_used() -> None:
    """A second lookup could give another address (DNS rebinding); the name does not exist here, so only ours can have been used."""
    async with serving() as server:
        sender = Sender(f"does-not-exist.invalid:{server.port}")
        await sender.send(f"http://does-not-exist.invalid:{server.port}/")

    assert (sender.asked, len(server.seen)) == (1, 1)


async def test_the_next_address_is_tried_when_one_takes_no_connection() -> None:
    async with serving() as server:
        sender = Sender(f"api.test:{server.port}", networks=("127.0.0.0/8",))
        sender.addresses = ["127.0.0.2", "127.0.0.1"]  # the server listens on the second one only
        output = await sender.send(f"http://api.test:{server.port}/")

    assert output["status"] == 200


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with serving() as server:
        assert (await Sender(f"api.test:{server.port}").send(f"http://api.test:{server.port}/"))["status"] == 200


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "http-unexpected-status", False),
        (404, "http-unexpected-status", False),
        (408, "http-unavailable", True),
        (429, "http-unavailable", True),
        (500, "http-unavailable", True),
        (503, "http-unavailable", True),
        (304, "http-unexpected-status", False),
    ],
)
async def test_an_unexpected_status_is_an_error_that_says_whether_to_try_again(status: int, code: str, retryable: bool) -> None:
    async with serving(lambda seen: reply(status, retry_after="7")) as server:
        error = await Sender(f"127.0.0.1:{server.port}").error(f"http://127.0.0.1:{server.port}/")

    assert (error.code, error.retryable, error.details["status"], error.details["retry_after"]) == (code, retryable, status, "7")


async def test_an_expected_status_is_no_error() -> None:
    async with serving(lambda seen: reply(404)) as server:
        output = await Sender(f"127.0.0.1:{server.port}").send(f"http://127.0.0.1:{server.port}/", expect=["2xx", 404])

    assert output["status"] == 404


async def test_no_connection_can_be_tried_again() -> None:
    async with serving() as server:
        port = server.port
    error = await Sender(f"127.0.0.1:{port}").error(f"http://127.0.0.1:{port}/")

    assert (error.code, error.retryable) == ("http-unreachable", True)


@pytest.mark.parametrize("answer", [b"", b"no http at all\r\n\r\n", reply(body=b"12345")[:-2]])
async def test_a_broken_connection_can_be_tried_again(answer: bytes) -> None:
    async with serving(lambda seen: answer) as server:
        error = await Sender(f"127.0.0.1:{server.port}").error(f"http://127.0.0.1:{server.port}/")

    assert (error.code, error.retryable, len(server.seen)) == ("http-unreachable", True, 1)


async def test_a_host_that_does_not_answer_is_given_up() -> None:
    async with serving(lambda seen: None) as server:
        error = await Sender(f"127.0.0.1:{server.port}").error(f"http://127.0.0.1:{server.port}/", timeout="200ms")

    assert (error.code, error.retryable) == ("http-timed-out", True)


async def test_no_step_may_wait_longer_than_the_operator_lets_it() -> None:
    error = await Sender("127.0.0.1", max_timeout_s=5).error("http://127.0.0.1/", timeout="6s")

    assert (error.code, error.message) == ("invalid-http-request", "a request may take 5 s, not 6")


@pytest.mark.parametrize("is_announced", [True, False])
async def test_an_answer_above_the_limit_is_not_read_to_its_end(is_announced: bool) -> None:
    whole = reply(body=b"x" * 5000) if is_announced else b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000
    async with serving(lambda seen: whole) as server:
        sender = Sender(f"127.0.0.1:{server.port}", max_response_bytes=4096)
        errors = [await sender.error(f"http://127.0.0.1:{server.port}/", **more) for more in ({}, {"max_bytes": 9999}, {"max_bytes": 10})]

    assert [error.code for error in errors] == ["http-answer-too-large"] * 3
    assert [error.details["limit"] for error in errors] == [4096, 4096, 10]


async def test_a_compressed_answer_is_not_unpacked() -> None:
    """A few kilobytes can unpack to gigabytes, and nothing compressed was asked for."""
    async with serving(lambda seen: reply(body=gzip.compress(b"x" * 100_000), content_encoding="gzip")) as server:
        error = await Sender(f"127.0.0.1:{server.port}").error(f"http://127.0.0.1:{server.port}/")

    assert (error.code, error.retryable) == ("http-answer-unusable", False)


async def test_a_redirect_on_the_same_host_is_followed() -> None:
    async with serving(lambda seen: reply(302, location="/b") if seen.line.startswith("GET /a ") else reply(body=b"b")) as server:
        sender = Sender(f"127.0.0.1:{server.port}")
        output = await sender.send(f"http://127.0.0.1:{server.port}/a", headers={"Authorization": "Bearer x"})
        refused = await sender.error(f"http://127.0.0.1:{server.port}/a", redirects="none")
        taken = await sender.send(f"http://127.0.0.1:{server.port}/a", expect=[302])

    assert (output["body"], server.seen[1].headers["authorization"]) == ("b", "Bearer x")
    assert (refused.code, taken["status"], taken["headers"]["location"]) == ("http-redirect-refused", 302, "/b")


async def test_a_redirect_to_another_host_needs_the_workflow_and_the_operator() -> None:
    async with serving() as other, serving(lambda seen: reply(307, location=f"http://other.test:{other.port}/x")) as first:
        url, hosts = f"http://first.test:{first.port}/", (f"first.test:{first.port}", f"other.test:{other.port}")
        not_asked = await Sender(*hosts).error(url)
        not_allowed = await Sender(hosts[0]).error(url, redirects="allowed-hosts")
        reached = len(other.seen)
        secret = {"Authorization": "Bearer x", "X-Token": "y", "Accept": "text/plain"}
        output = await Sender(*hosts).send(url, redirects="allowed-hosts", method="DELETE", headers=secret)

    assert (not_asked.code, not_allowed.code, reached) == ("http-redirect-refused", "http-destination-refused", 0)
    assert output["status"] == 200
    seen = other.seen[0]
    assert (seen.line, seen.body, seen.headers["accept"]) == ("DELETE /x HTTP/1.1", b"", "text/plain")
    assert seen.headers["idempotency-key"] == "run_1/call"
    assert {"authorization", "x-token"} & set(seen.headers) == set()


@pytest.mark.parametrize("status", [307, 308])
async def test_a_body_goes_to_no_other_host(status: int) -> None:
    """It may hold a secret that was meant for the first one."""
    async with serving() as other, serving(lambda seen: reply(status, location=f"http://other.test:{other.port}/x")) as first:
        sender = Sender(f"first.test:{first.port}", f"other.test:{other.port}")
        url = f"http://first.test:{first.port}/"
        error = await sender.error(url, redirects="allowed-hosts", method="POST", json={"password": "hunter2"})

    assert (error.code, len(first.seen), len(other.seen)) == ("http-redirect-refused", 1, 0)


async def test_a_see_other_becomes_a_get_without_body() -> None:
    async with serving(lambda seen: reply(303, location="/done") if seen.line.startswith("POST") else reply()) as server:
        await Sender(f"127.0.0.1:{server.port}").send(f"http://127.0.0.1:{server.port}/", method="POST", json={"a": 1})

    seen = server.seen[1]
    assert (seen.line, seen.body, {"idempotency-key", "content-type"} & set(seen.headers)) == ("GET /done HTTP/1.1", b"", set())


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://u:p@127.0.0.1/", "http://[", "ftp://a"])
async def test_a_redirect_to_what_is_no_web_address_is_refused(location: str) -> None:
    async with serving(lambda seen: reply(302, location=location)) as server:
        error = await Sender(f"127.0.0.1:{server.port}").error(f"http://127.0.0.1:{server.port}/", redirects="allowed-hosts")

    assert error.code == "http-redirect-refused"


async def test_a_circle_of_redirects_ends() -> None:
    async with serving(lambda seen: reply(302, location="/")) as server:
        error = await Sender(f"127.0.0.1:{server.port}").error(f"http://127.0.0.1:{server.port}/")

    assert (error.code, len(server.seen)) == ("http-redirect-refused", 6)


async def test_a_host_that_fails_again_and_again_is_left_alone() -> None:
    async with serving(lambda seen: reply(500)) as server:
        sender = Sender(f"127.0.0.1:{server.port}", breaker_failures=3)
        codes = [(await sender.error(f"http://127.0.0.1:{server.port}/")).code for _ in range(5)]

    assert codes == ["http-unavailable"] * 3 + ["circuit-open"] * 2
    assert len(server.seen) == 3


async def test_a_host_that_asks_for_patience_keeps_its_circuit() -> None:
    async with serving(lambda seen: reply(429)) as server:
        sender = Sender(f"127.0.0.1:{server.port}", breaker_failures=1)
        codes = [(await sender.error(f"http://127.0.0.1:{server.port}/")).code for _ in range(3)]

    assert codes == ["http-unavailable"] * 3
    assert [record.state for record in sender.store.records.values()] in ([], [Circuit.CLOSED])


async def test_more_requests_than_may_wait_are_sent_away() -> None:
    async with serving(lambda seen: None) as server:
        sender = Sender(f"127.0.0.1:{server.port}", at_once=1, waiting=1)
        url = f"http://127.0.0.1:{server.port}/"
        tasks = [asyncio.create_task(sender.error(url, timeout="400ms")) for _ in range(3)]
        codes = sorted([(await task).code for task in tasks])

    assert codes == ["bulkhead-full", "http-timed-out", "http-timed-out"]


def certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """A file with a certificate authority, and a server's context with a certificate for `name` from it."""
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    built = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    built = built.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=3650))
    built = built.not_valid_after(now + dt.timedelta(days=36500)).add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    try:
        names: list[x509.GeneralName] = [x509.IPAddress(ip_address(name))]
    except ValueError:
        names = [x509.DNSName(name)]
    signed = built.add_extension(x509.SubjectAlternativeName(names), False).sign(key, hashes.SHA256())
    authority, private = folder / f"{name}.pem", folder / f"{name}.key"
    authority.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, private)
    return authority, context


@pytest.mark.parametrize(
    ("cert_name", "trusted", "host", "works"),
    [
        ("api.test", True, "api.test", True),
        ("api.test", False, "api.test", False),
        ("other.test", True, "api.test", False),
        ("127.0.0.1", True, "api.test", False),
        ("127.0.0.1", True, "127.0.0.1", True),
    ],
)
async def test_a_certificate_is_checked_against_the_name_although_the_address_is_connected_to(
    tmp_path: Path, cert_name: str, trusted: bool, host: str, works: bool
) -> None:
    authority, tls = certificate(tmp_path, cert_name)
    async with serving(tls=tls) as server:
        sender = Sender(f"{host}:{server.port}", ca_file=authority if trusted else None)
        if works:
            assert (await sender.send(f"https://{host}:{server.port}/"))["status"] == 200
            return
        error = await sender.error(f"https://{host}:{server.port}/")

    assert (error.code, error.message) == ("http-unreachable", f"{host}:{server.port} has no certificate to trust for that name")
    assert server.seen == []


async def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    error = await Sender("127.0.0.1:1", ca_file=tmp_path / "missing.pem").error("https://127.0.0.1:1/")

    assert (error.code, "missing.pem" in error.message) == ("invalid-http-request", True)


async def test_messages_never_show_the_url_with_what_it_carries() -> None:
    async with serving(lambda seen: reply(400)) as server:
        error = await Sender(f"127.0.0.1:{server.port}").error(f"http://127.0.0.1:{server.port}/hook/s3cret", query={"token": "s3cret"})

    assert "s3cret" not in json.dumps([error.message, error.hint, error.details])
