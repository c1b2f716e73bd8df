"""Answers that are no text: kept as they are, seen by later steps in Base64, bounded and masked."""

import base64
from pathlib import Path

import pytest
from tests.integration.test_http_step import reply, serving
from tests.integration.test_workflow_secrets import HUSH, configured, stored
from tests.integration.workflow_support import ACTOR, finished, look, runtime_at, start

from bcce.kit.text import digest
from bcce.workflows.artifacts.model import Kind
from bcce.workflows.model import RunState

IMAGE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 100
TEXT = (
    "name: t\noutputs: {image: '{{ steps.send.output.json.got }}'}\nsteps:\n"
    "  - {id: fetch, type: http, url: 'http://127.0.0.1:PORT/image'}\n"
    "  - {id: length, type: transform, value: '{{ steps.fetch.output.body | length }}'}\n"
    "  - {id: send, type: http, method: POST, url: 'http://127.0.0.1:PORT/', body: '{{ steps.fetch.output.body }}'}\n"
)


async def test_bytes_are_kept_and_go_on_to_later_steps(tmp_path: Path) -> None:
    async with serving(
        lambda seen: (
            reply(body=b'{"got": 1}', content_type="application/json")
            if seen.line.startswith("POST")
            else reply(body=IMAGE, content_type="image/png")
        )
    ) as server:
        http = {"allowed_hosts": [f"127.0.0.1:{server.port}"], "allowed_networks": ["127.0.0.0/8"]}
        async with runtime_at(tmp_path, http=http) as (runtime, _):
            run, _ = await finished(runtime, await start(runtime, TEXT.replace("PORT", str(server.port))))
            assert run.state is RunState.COMPLETED, run.error
            _, records = await look(runtime, run.id)
            listed = await runtime.artifacts.list(ACTOR, run.id)
            kept, content = await runtime.artifacts.get(ACTOR, run.id, digest(IMAGE))

    encoded = base64.b64encode(IMAGE)
    assert server.seen[1].body == encoded
    assert records["fetch"].output is not None
    assert records["fetch"].output["body"] == {"artifact": digest(IMAGE), "bytes": len(IMAGE), "type": "image/png"}
    assert records["length"].output == {"value": len(encoded)}
    assert content == IMAGE
    assert (kept.step, kept.name, kept.kind, kept.media_type) == ("fetch", "output.body", Kind.OUTPUT, "image/png")
    assert [item.name for item in listed] == ["output.body"]


async def test_bytes_count_in_the_limits(tmp_path: Path) -> None:
    async with serving(lambda _: reply(body=IMAGE, content_type="application/zip")) as server:
        http = {"allowed_hosts": [f"127.0.0.1:{server.port}"], "allowed_networks": ["127.0.0.0/8"]}
        text = TEXT.replace("PORT", str(server.port))
        async with runtime_at(tmp_path / "one", http=http, artifact_max_bytes=20_000) as (runtime, _):
            run, _ = await finished(runtime, await start(runtime, text))
            assert (run.error and run.error["code"]) == "output-too-large"


async def test_a_secret_in_bytes_is_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_HUSH", HUSH)
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2hunter2")
    monkeypatch.setenv("SHOP_AREA", "garden-centre")
    async with serving(lambda _: reply(body=b"\xff" + HUSH.encode() + b"\xfe", content_type="image/png")) as server:
        http = {"allowed_hosts": [f"127.0.0.1:{server.port}"], "allowed_networks": ["127.0.0.0/8"]}
        text = TEXT.replace("PORT/image'", "PORT/', headers: {x-key: '{{ secrets.hush }}'}").replace("PORT", str(server.port))
        async with runtime_at(tmp_path / "home", **configured(tmp_path, http=http)["workflows"]) as (runtime, _):
            run, _ = await finished(runtime, await start(runtime, text.replace("steps.send.output.json.got", "1")))
            _, content = await runtime.artifacts.get(ACTOR, run.id, digest(b"\xff[redacted]\xfe"))

    assert run.state is RunState.COMPLETED, run.error
    assert content == b"\xff[redacted]\xfe"
    assert HUSH.encode() not in stored(tmp_path / "home")
