"""Step types in real runs: file to journal, with the engine in between."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.integration.test_http_step import reply, serving

from bcce.kit.ids import RunId
from bcce.runtime import Settings, open_runtime
from bcce.runtime.runtime import Runtime
from bcce.security.actor import system_actor
from bcce.storage.outbox import read_after
from bcce.workflows.sandbox import why_not

PATIENCE_S = 30.0
ACTOR = system_actor("tests")


@asynccontextmanager
async def opened(folder: Path, url: str, **workflows: object) -> AsyncIterator[Runtime]:
    settings = Settings.model_validate({"database": {"url": url}, "workflows": {"sweep_s": 0.1, **workflows}})
    async with open_runtime(settings, home=folder) as runtime:
        yield runtime


async def finish(runtime: Runtime, file: str, **inputs: object) -> tuple[str, dict[str, Any]]:
    """The state in which a run of this workflow ends, and its steps by key."""
    definition = await runtime.workflows.register(ACTOR, file, "test.yaml")
    run_id: RunId = await runtime.db.write(
        lambda conn: runtime.workflows.start(ACTOR, conn, workflow=definition.name, inputs=inputs, correlation_id="cor_test")
    )
    runtime.ring(run_id)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        run, steps = await runtime.workflows.run(ACTOR, run_id)
        if run.state not in ("active", "paused"):
            return run.state.value, {step.key: step for step in steps}
        await asyncio.sleep(0.02)
    raise AssertionError(run)


HTTP = """
version: "1.0"
name: call
inputs:
  base: {type: string, required: true}
steps:
  - id: post
    type: http
    method: POST
    url: "{{ inputs.base }}/items"
    json: {count: 3}
    retry: {attempts: 3, base: 10ms}
  - id: seen
    type: transform
    value: "{{ steps.post.output.json.id }}"
"""


async def test_a_request_that_fails_is_repeated_with_the_same_key_and_its_answer_is_read(tmp_path: Path, sqlite_url: str) -> None:
    answers = [reply(503), reply(body=b'{"id": 9}', content_type="application/json")]
    async with (
        serving(lambda seen: answers.pop(0)) as server,
        opened(tmp_path / "home", sqlite_url, http={"allowed_hosts": [f"127.0.0.1:{server.port}"]}) as runtime,
    ):
        state, steps = await finish(runtime, HTTP, base=f"http://127.0.0.1:{server.port}")

    assert (state, steps["seen"].output) == ("completed", {"value": 9})
    keys = {seen.headers["idempotency-key"] for seen in server.seen}
    assert len(server.seen) == 2
    assert len(keys) == 1
    assert keys.pop().endswith("/post")


async def test_a_circuit_stays_open_over_a_restart(tmp_path: Path, sqlite_url: str) -> None:
    async with serving(lambda seen: reply(500)) as server:
        http = {"allowed_hosts": [f"127.0.0.1:{server.port}"], "breaker_failures": 2, "breaker_open_s": 600}
        errors = []
        for _ in range(2):
            async with opened(tmp_path / "home", sqlite_url, http=http) as runtime:
                _, steps = await finish(runtime, HTTP, base=f"http://127.0.0.1:{server.port}")
                errors.append(dict(steps["post"].error)["code"])

    assert errors == ["circuit-open", "circuit-open"]
    assert len(server.seen) == 2


async def test_nothing_is_allowed_by_default(tmp_path: Path, sqlite_url: str) -> None:
    async with opened(tmp_path / "home", sqlite_url) as runtime:
        state, steps = await finish(runtime, HTTP, base="http://127.0.0.1:9")

    assert (state, dict(steps["post"].error)["code"]) == ("failed", "http-destination-refused")


NOTIFY = """
version: "1.0"
name: tell
inputs:
  host: {type: string, required: true}
steps:
  - {id: tell, type: notify, title: "{{ inputs.host }}\\n is full\u202e", text: "look", channel: storage, severity: warning}
"""


async def test_a_notification_is_an_event_that_is_published_once(tmp_path: Path, database_url: str) -> None:
    async with opened(tmp_path / "home", database_url) as runtime:
        state, steps = await finish(runtime, NOTIFY, host="web-1")
        deadline = time.monotonic() + PATIENCE_S
        found: list[Any] = []
        while not found and time.monotonic() < deadline:
            rows = await runtime.db.read(lambda conn: read_after(conn, 0, 1000, tenant_id=None))
            found = [row for row in rows if row.type == "notification.requested"]
            await asyncio.sleep(0.02)

    assert (state, steps["tell"].output) == ("completed", {"channel": "storage", "severity": "warning"})
    assert [(row.correlation_id, row.source) for row in found] == [("cor_test", "workflows")]
    data = dict(found[0].data)
    assert data.pop("workflowId").startswith("run_")
    assert data == {"stepId": "tell", "title": "web-1 is full", "text": "look", "channel": "storage", "severity": "warning"}


SCRIPT = """
version: "1.0"
name: compute
inputs:
  text: {type: string, required: true}
steps:
  - id: count
    type: script
    inputs: {text: "{{ inputs.text }}"}
    code: |
      import json, sys
      text = json.load(sys.stdin)["text"]
      print(json.dumps({"words": len(text.split()), "text": text}))
  - {id: result, type: transform, value: "{{ steps.count.output.words }}"}
"""


async def test_a_script_computes_from_outside_text_or_is_refused_with_the_reason(tmp_path: Path, sqlite_url: str) -> None:
    """The text is what an attacker would send; it stays a value. Where the kernel cannot lock a script in, none is started."""
    hostile = "{{ 7 * 7 }} '; import os; os.system('id') #"
    async with opened(tmp_path / "home", sqlite_url) as runtime:
        state, steps = await finish(runtime, SCRIPT, text=hostile)

    if why_not() is not None:
        assert (state, dict(steps["count"].error)["code"]) == ("failed", "sandbox-unavailable")
        return
    assert (state, steps["count"].output) == ("completed", {"words": 10, "text": hostile})
    assert steps["result"].output == {"value": 10}
