"""Secrets and variables in the parameters of integrations: named in the file, read when an event is sent, masked in what is told of it."""

from pathlib import Path
from typing import Any

import pytest
from tests.integration.test_http_step import reply, serving
from tests.integration.test_workflow_integrations import QUICK, STEPS, lane, opened
from tests.integration.test_workflow_secrets import HUSH, configured, stored
from tests.integration.workflow_support import ACTOR, start

from bcce.kit.errors import InvalidInput, Unavailable
from bcce.testing.connectors import RecordingConnector

GIVEN = "staple of batteries"
HEAD = "name: t\ninputs: {key: {secret: true}}\nintegrations:\n"
TEXT = (
    f'{HEAD}  - type: recording\n    auth: "Bearer {{{{ secrets.hush }}}}"\n'
    '    deep: {list: ["${SHOP_AREA}", "{{ inputs.key }}", "$${HOME} {{ 1 + 1 }}"]}\n'
    f"    events: [workflow.completed]\n{STEPS}"
)
FILLED = {"auth": f"Bearer {HUSH}", "deep": {"list": ["garden-centre", GIVEN, "${HOME} 2"]}}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_AREA", "garden-centre")
    monkeypatch.setenv("SHOP_HUSH", HUSH)
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2hunter2")


def settings(folder: Path, **more: Any) -> dict[str, Any]:
    return configured(folder, **more)["workflows"]  # type: ignore[no-any-return]  # settings of the section


async def test_a_connector_gets_values_and_what_it_says_of_them_is_masked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    connector = RecordingConnector()
    told = f"{HUSH} and {GIVEN} in garden-centre"
    bug = RuntimeError(f"a bug with {told}")
    connector.fail_next(Unavailable(told, hint=told), bug, InvalidInput(told))  # type: ignore[arg-type]  # as a plugin may
    async with opened(tmp_path / "home", connector, **settings(tmp_path, integrations=QUICK)) as runtime:
        first = await start(runtime, TEXT, key=GIVEN)
        view = await lane(runtime, first, lambda view: view.given_up == 1)
        second = await start(runtime, TEXT, key=GIVEN)
        await lane(runtime, second, lambda view: view.delivered == 1)

    assert [delivery.run_id for delivery in connector.tried] == [first, first, first, second]
    assert [params for _, params in connector.taken] == [FILLED]
    assert view.error is not None
    assert view.error["message"] == "[redacted] and [redacted] in [redacted]"
    said = "".join(capfd.readouterr())
    assert "a bug with [redacted] and [redacted] in [redacted]" in said
    everything = stored(tmp_path / "home").decode(errors="replace") + said
    for value in (HUSH, GIVEN, "garden-centre"):
        assert value not in everything


async def test_a_secret_that_is_not_there_yet_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connector = RecordingConnector()
    monkeypatch.delenv("SHOP_HUSH")
    async with opened(tmp_path, connector, **settings(tmp_path, integrations=QUICK)) as runtime:
        run_id = await start(runtime, TEXT, key=GIVEN)
        view = await lane(runtime, run_id, lambda view: view.failures >= 2)
        assert view.error is not None
        assert (view.error["code"], "'hush'" in str(view.error["message"])) == ("delivery-failed", True)
        monkeypatch.setenv("SHOP_HUSH", HUSH)
        await lane(runtime, run_id, lambda view: view.delivered == 1)

    assert [params for _, params in connector.taken] == [FILLED]


async def test_a_value_that_does_not_fit_is_not_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = f'{HEAD}  - {{type: webhook, url: "{{{{ secrets.hush }}}}", events: [workflow.completed]}}\n{STEPS}'
    async with opened(tmp_path / "home", RecordingConnector(), **settings(tmp_path)) as runtime:
        view = await lane(runtime, await start(runtime, text, key=GIVEN), lambda view: view.given_up == 1)

    assert view.error is not None
    assert view.error["code"] == "invalid-input"
    assert HUSH not in stored(tmp_path / "home").decode(errors="replace") + "".join(capfd.readouterr())


async def test_a_webhook_may_have_a_secret_in_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(lambda _: reply()) as server:
        monkeypatch.setenv("SHOP_HUSH", f"http://127.0.0.1:{server.port}/hooks")
        http = {"allowed_hosts": [f"127.0.0.1:{server.port}"]}
        text = f'{HEAD}  - {{type: webhook, url: "{{{{ secrets.hush }}}}/${{SHOP_AREA}}", events: [workflow.completed]}}\n{STEPS}'
        async with opened(tmp_path / "home", RecordingConnector(), **settings(tmp_path, http=http)) as runtime:
            await lane(runtime, await start(runtime, text, key=GIVEN), lambda view: view.delivered == 1)

    assert [seen.line for seen in server.seen] == ["POST /hooks/garden-centre HTTP/1.1"]


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("{{ secrets.nope }}", "workflow.unknown-secret"),
        ("${NOPE}", "workflow.unknown-variable"),
        ("{{ secrets.hush | upper }}", "workflow.misplaced-secret"),
        ("${SHOP_AREA}", None),
        ("{{ inputs.key }}", None),
    ],
)
async def test_what_an_integration_refers_to_is_checked(tmp_path: Path, url: str, rule: str | None) -> None:
    async with opened(tmp_path, RecordingConnector(), **settings(tmp_path)) as runtime:
        text = f'{HEAD}  - {{type: webhook, url: "{url}", events: [workflow.completed]}}\n{STEPS}'
        _, findings = runtime.workflows.validate(ACTOR, f'version: "1.0"\n{text}')

    assert [item.rule_id for item in findings] == ([rule] if rule is not None else [])
