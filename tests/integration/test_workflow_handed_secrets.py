"""Secrets that one run hands to another: a reference all the way, filled in only where it is used."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.shell_support import only, shell_runtime
from tests.integration.test_http_step import Server, reply, serving
from tests.integration.test_workflow_secrets import HUSH, configured, stored
from tests.integration.workflow_support import ACTOR, events, finished, start

from bcce.kit.text import canonical_json
from bcce.runtime.runtime import Runtime
from bcce.storage.outbox import read_after
from bcce.workflows.model import Run, RunState

GIVEN = "staple of batteries"
TOP = """
version: "1.0"
name: top
inputs: {password: {secret: true}}
steps:
  - id: call
    type: workflow
    workflow: middle
    inputs: {password: "{{ inputs.password }}", token: "Bearer {{ secrets.hush }} of ${SHOP_AREA}", plain: "$${HOME} and {{ 1 + 1 }}"}
"""
MIDDLE = """
version: "1.0"
name: middle
inputs: {password: {secret: true}, token: {secret: true}, plain: string}
steps:
  - {id: call, type: workflow, workflow: bottom, inputs: {both: "{{ inputs.token }}/{{ inputs.password }}", plain: "{{ inputs.plain }}"}}
outputs: {said: "{{ steps.call.output.said }}"}
"""
BOTTOM = """
version: "1.0"
name: bottom
inputs: {both: {secret: true}, plain: string}
steps:
  - id: ask
    type: http
    method: POST
    url: http://127.0.0.1:PORT/
    json: {both: "{{ inputs.both }}", plain: "{{ inputs.plain }}"}
outputs: {said: "{{ steps.ask.output.body }}"}
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_AREA", "garden-centre")
    monkeypatch.setenv("SHOP_HUSH", HUSH)
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2hunter2")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Answers with each secret by itself, as something may that takes them apart."""
    async with serving(lambda _: reply(body=f"{HUSH}; {GIVEN}; garden-centre".encode(), content_type="text/plain")) as found:
        yield found


def settings_for(server: Server) -> dict[str, object]:
    return {"http": {"allowed_hosts": [f"127.0.0.1:{server.port}"], "allowed_networks": ["127.0.0.0/8"]}}


async def children(runtime: Runtime, of: Run) -> list[Run]:
    return [run for run in await runtime.workflows.runs(ACTOR) if run.parent_id == of.id]


async def test_references_reach_a_sub_workflow_and_one_below_it_and_no_value_is_written(
    tmp_path: Path, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    async with shell_runtime(tmp_path / "home", **configured(tmp_path, **settings_for(server))) as runtime:
        for text in (BOTTOM.replace("PORT", str(server.port)), MIDDLE):
            await runtime.workflows.register(ACTOR, text, "test.yaml")
        run, _ = await finished(runtime, await start(runtime, TOP, password=GIVEN))
        assert run.state is RunState.COMPLETED, run.error
        output = (await only(runtime, run.id, "call")).output
        (middle,) = await children(runtime, run)
        (bottom,) = await children(runtime, middle)
        assert middle.inputs == {"password": "[redacted]", "token": "[redacted]", "plain": "${HOME} and 2"}
        assert bottom.inputs == {"both": "[redacted]", "plain": "${HOME} and 2"}

        # What is run again from a step has the same references, and their values of then.
        again = await runtime.runs.rerun(ACTOR, bottom.id, step="ask", inputs={})
        runtime.ring(again)
        assert (await finished(runtime, again))[0].state is RunState.COMPLETED
        told = canonical_json([await events(runtime, each) for each in (run.id, middle.id, bottom.id)])
        every = canonical_json([dict(row.data) for row in await runtime.db.read(lambda conn: read_after(conn, 0, 10_000, tenant_id=None))])

    sent = f'{{"both":"Bearer {HUSH} of garden-centre/{GIVEN}","plain":"${{HOME}} and 2"}}'
    assert [seen.body.decode() for seen in server.seen] == [sent, sent]
    assert output is not None
    assert output["said"] == "[redacted]; [redacted]; [redacted]"
    everything = stored(tmp_path / "home") + told + every + "".join(capfd.readouterr()).encode()
    for value in (HUSH, GIVEN, "garden-centre"):
        assert value.encode() not in everything


@pytest.mark.parametrize(
    ("given", "inputs"),
    [('{x: "{{ secrets.hush }}"}', "{x: string}"), ('{x: {deep: ["${SHOP_AREA}"]}}', "{x: object}")],
)
async def test_what_is_no_secret_input_takes_no_reference(tmp_path: Path, given: str, inputs: str) -> None:
    async with shell_runtime(tmp_path, **configured(tmp_path)) as runtime:
        child = f'version: "1.0"\nname: child\ninputs: {inputs}\nsteps:\n  - {{id: a, type: set}}\n'
        await runtime.workflows.register(ACTOR, child, "test.yaml")
        top = f'version: "1.0"\nname: top\nsteps:\n  - {{id: call, type: workflow, workflow: child, inputs: {given}}}\n'
        run, _ = await finished(runtime, await start(runtime, top))

    assert (run.error and run.error["code"]) == "invalid-input"
    assert "is no secret" in str(run.error)


async def test_what_looks_like_a_reference_is_a_value(tmp_path: Path, server: Server) -> None:
    forged = '{"parts": [{"kind": "secret", "value": "hush"}]}'
    async with shell_runtime(tmp_path, **configured(tmp_path, **settings_for(server))) as runtime:
        text = BOTTOM.replace("PORT", str(server.port))
        run, _ = await finished(runtime, await start(runtime, text, both=forged, plain="x"))

    assert run.state is RunState.COMPLETED, run.error
    assert HUSH not in server.seen[0].body.decode()


async def test_a_reference_that_is_not_configured_is_found_in_the_file(tmp_path: Path) -> None:
    text = 'version: "1.0"\nname: top\nsteps:\n  - {id: call, type: workflow, workflow: w, inputs: {x: "{{ secrets.nope }} ${NOPE}"}}\n'
    async with shell_runtime(tmp_path, works=False, **configured(tmp_path)) as runtime:
        _, findings = runtime.workflows.validate(ACTOR, text)

    assert [item.rule_id for item in findings] == ["workflow.unknown-secret", "workflow.unknown-variable"]
