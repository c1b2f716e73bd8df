"""Events of runs for connectors: which, in which order, how often, and what happens when they are not taken."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.integration.test_http_step import reply, serving
from tests.integration.workflow_support import ACTOR, Work, finished, look, start, until

from bcce.cli.runs import told
from bcce.kit.errors import InvalidInput, Unavailable
from bcce.kit.ids import RunId
from bcce.runtime.runtime import Overrides, Runtime, open_runtime
from bcce.runtime.settings import Settings
from bcce.testing.connectors import RecordingConnector
from bcce.workflows.errors import InvalidWorkflow
from bcce.workflows.integrations import repository
from bcce.workflows.integrations.repository import LaneView
from bcce.workflows.integrations.tables import lanes

ALL = "[workflow.started, step.completed, workflow.completed, workflow.failed, workflow.resumed, workflow.event]"
STEPS = "steps:\n  - {id: a, type: set}\n  - {id: b, type: emit, event: mine}\n  - {id: c, type: set}\n"
TEXT = f'name: t\ninputs: {{to: string}}\nintegrations:\n  - {{type: recording, channel: "#{{{{ inputs.to }}}}", events: {ALL}}}\n{STEPS}'
IN_ORDER = ["workflow.started", "step.completed", "workflow.event", "step.completed", "step.completed", "workflow.completed"]
QUICK = {"retry_base_s": 0.05, "retry_cap_s": 0.1}


@asynccontextmanager
async def opened(home: Path, connector: RecordingConnector, url: str | None = None, **workflows: Any) -> AsyncIterator[Runtime]:
    database = {"database": {"url": url}} if url is not None else {}
    settings = {"workflows": {"sweep_s": 0.05, "integrations": QUICK, **workflows}}
    overrides = Overrides(step_types={"work": Work()}, connectors={"recording": connector})
    async with open_runtime(Settings.model_validate({**database, **settings}), home=home, overrides=overrides) as runtime:
        yield runtime


async def lane(
    runtime: Runtime, run_id: RunId, holds: Callable[[LaneView], bool] = lambda view: view.delivered == len(IN_ORDER)
) -> LaneView:
    """The run's one lane, when something holds of it."""
    async with asyncio.timeout(20):
        while True:
            (found,) = await runtime.integrations.of(ACTOR, run_id)
            if holds(found):
                return found
            await asyncio.sleep(0.02)


async def closed(runtime: Runtime) -> None:
    """Waits until nobody listens any more."""
    async with asyncio.timeout(10):
        while await runtime.db.read(lambda conn: conn.execute(select(lanes).where(lanes.c.is_open)).all()):  # noqa: ASYNC110 - in a database
            await asyncio.sleep(0.05)


async def test_the_named_events_of_a_run_come_in_order(tmp_path: Path, database_url: str) -> None:
    connector = RecordingConnector()
    async with opened(tmp_path / "home", connector, database_url) as runtime:
        run_id, other = await start(runtime, TEXT, to="night"), await start(runtime, f"name: other\n{STEPS}")
        await finished(runtime, other)
        view = await lane(runtime, run_id)

    assert [delivery.type for delivery, _ in connector.taken] == IN_ORDER
    assert {delivery.run_id for delivery, _ in connector.taken} == {run_id}
    assert all(params == {"channel": "#night"} for _, params in connector.taken)
    assert len({delivery.event_id for delivery, _ in connector.taken}) == len(IN_ORDER)
    assert connector.taken[0][0].to_wire()["data"] == {"workflowId": run_id, "workflow": "t", "subject": None}
    assert (view.pending, view.given_up, view.failures, view.error) == (0, 0, 0, None)


async def test_a_failure_is_tried_again_and_holds_up_neither_the_run_nor_the_order(tmp_path: Path) -> None:
    connector = RecordingConnector()
    connector.fail_next(Unavailable("busy"), Unavailable("busy"), RuntimeError("a bug"))  # type: ignore[arg-type]  # as a plugin may
    async with opened(tmp_path, connector) as runtime:
        run_id = await start(runtime, TEXT, to="x")
        await lane(runtime, run_id)

    assert [delivery.type for delivery, _ in connector.taken] == IN_ORDER
    assert [delivery.attempt for delivery in connector.tried[:4]] == [1, 2, 3, 4]
    assert len({delivery.event_id for delivery in connector.tried[:4]}) == 1


async def test_the_run_goes_on_while_nothing_is_taken(tmp_path: Path) -> None:
    connector = RecordingConnector()
    connector.fail_next(*[Unavailable("down")] * 1000)
    async with opened(tmp_path, connector) as runtime:
        run_id = await start(runtime, TEXT, to="x")
        run, _ = await finished(runtime, run_id)
        view = await lane(runtime, run_id, lambda view: view.failures >= 2 and view.pending == len(IN_ORDER))

    assert run.state == "completed"
    assert view.error is not None
    assert view.error["message"] == "down"
    (line,) = told({"integrations": [{**vars_of(view), "nextTryAt": "soon", "givenUp": 0}]})
    assert line.startswith(f"  → recording  0 delivered, {len(IN_ORDER)} waiting, 0 given up  tried ")


def vars_of(view: LaneView) -> dict[str, Any]:
    return {name: getattr(view, name) for name in LaneView.__slots__}


async def test_what_cannot_be_delivered_is_given_up_and_the_rest_goes_on(tmp_path: Path) -> None:
    connector = RecordingConnector()
    connector.fail_next(InvalidInput("never this one"))
    async with opened(tmp_path, connector) as runtime:
        run_id = await start(runtime, TEXT, to="x")
        view = await lane(runtime, run_id, lambda view: view.delivered == len(IN_ORDER) - 1)
        metrics = runtime.metrics.render().decode()

    assert [delivery.type for delivery, _ in connector.taken] == IN_ORDER[1:]
    assert (view.given_up, view.error and view.error["message"]) == (1, "never this one")
    assert 'bcce_integration_deliveries_total{connector="recording",outcome="given-up"} 1.0' in metrics


async def test_an_event_that_fails_for_long_is_given_up(tmp_path: Path) -> None:
    connector = RecordingConnector()
    connector.fail_next(*[Unavailable("down")] * 1000)
    async with opened(tmp_path, connector, integrations={**QUICK, "give_up_s": 0.3}) as runtime:
        run_id = await start(runtime, TEXT, to="x")
        view = await lane(runtime, run_id, lambda view: view.given_up >= 1)

    assert view.given_up >= 1
    assert len(connector.tried) > 2


async def test_the_circuit_opens_before_a_dead_receiver(tmp_path: Path) -> None:
    connector = RecordingConnector()
    connector.fail_next(*[Unavailable("down")] * 1000)
    async with opened(tmp_path, connector, integrations={"retry_base_s": 0.01, "retry_cap_s": 0.01}) as runtime:
        run_id = await start(runtime, TEXT, to="x")
        await lane(runtime, run_id, lambda view: view.failures >= 12)
        view = await lane(runtime, run_id, lambda view: view.error is not None and view.error["code"] == "circuit-open")

    assert len(connector.tried) < view.failures


async def test_what_was_not_delivered_is_delivered_after_a_restart(tmp_path: Path) -> None:
    broken, working = RecordingConnector(), RecordingConnector()
    broken.fail_next(*[Unavailable("down")] * 1000)
    async with opened(tmp_path, broken) as runtime:
        run_id = await start(runtime, TEXT, to="x")
        await finished(runtime, run_id)
    async with opened(tmp_path, working) as runtime:
        await lane(runtime, run_id)
        await closed(runtime)

    assert broken.taken == []
    assert [delivery.type for delivery, _ in working.taken] == IN_ORDER


async def test_a_run_that_is_tried_again_is_heard_of_again(tmp_path: Path) -> None:
    connector = RecordingConnector()
    text = TEXT.replace("type: set}\n  - {id: b", "type: work, fails: 1}\n  - {id: b")
    async with opened(tmp_path, connector) as runtime:
        run_id = await start(runtime, text, to="x")
        await finished(runtime, run_id)
        await closed(runtime)
        await runtime.runs.retry(ACTOR, run_id)
        runtime.ring(run_id)
        await until(runtime, run_id, lambda run, _: run.state == "completed")
        await lane(runtime, run_id, lambda view: view.delivered == 8)

    kinds = [delivery.type for delivery, _ in connector.taken]
    assert kinds[:3] == ["workflow.started", "workflow.failed", "workflow.resumed"]
    assert kinds[-1] == "workflow.completed"


async def test_crowds_of_events_are_no_reason_to_look_at_all_lanes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connector, looks = RecordingConnector(), {"finished_lanes": 0, "due_lanes": 0}

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(repository, name)

        def look(*args: Any, **options: Any) -> Any:
            looks[name] += 1
            return original(*args, **options)

        return look

    async with opened(tmp_path, connector) as runtime:
        waiting = await start(runtime, TEXT.replace("{id: c, type: set}", "{id: c, type: wait, event: go}"), to="x")
        await lane(runtime, waiting, lambda view: view.delivered == 4)
        for name in looks:
            monkeypatch.setattr(repository, name, counted(name))
        began = asyncio.get_running_loop().time()
        for _ in range(20):
            await finished(runtime, await start(runtime, f"name: other\n{STEPS}"))
            await asyncio.sleep(0.1)
        seconds = asyncio.get_running_loop().time() - began
        found = dict(looks)
        await runtime.workflows.signal(ACTOR, waiting, "go", {})
        runtime.ring(waiting)
        await lane(runtime, waiting)
        await closed(runtime)

    # One each second, and one that was still wanted.
    assert max(found.values()) <= seconds + 2
    assert [delivery.type for delivery, _ in connector.taken] == IN_ORDER


async def test_a_file_with_a_wrong_integration_is_refused_with_its_place(tmp_path: Path) -> None:
    head = "name: t\nintegrations:\n"
    cases = {
        head + "  - {type: webhok, events: [workflow.failed]}\n": (3, "did you mean 'webhook'?"),
        head + "  - type: webhook\n    uri: http://x/\n    events: [workflow.failed]\n": (4, "did you mean 'url'?"),
        head + "  - type: webhook\n    url: ftp://x/\n    events: [workflow.failed]\n": (4, "webhook takes: url"),
        head + "  - type: log\n    level: loud\n    events: [workflow.failed]\n": (4, "log takes: level"),
        head + "  - {type: log}\n": (3, "for example events: [workflow.failed]"),
        head + '  - {type: webhook, url: "{{ inputs.no }}", events: [workflow.failed]}\n': (3, "inputs"),
        head + "  - {type: log, events: [workflow.failled]}\n": (3, "did you mean 'workflow.failed'?"),
    }
    async with opened(tmp_path, RecordingConnector()) as runtime:
        for text, (line, hint) in cases.items():
            with pytest.raises(InvalidWorkflow) as caught:
                await runtime.workflows.register(ACTOR, text + STEPS, "t.yaml")
            findings: Any = caught.value.details["findings"]
            assert any(item["line"] == line and hint in (item["hint"] or "") for item in findings), (text, findings)


WEBHOOK = "name: t\ninputs: {{}}\nintegrations:\n  - {{type: webhook, url: 'http://127.0.0.1:{port}/in', events: [workflow.completed]}}\n"


async def test_a_webhook_gets_the_event_signed_and_with_its_id(tmp_path: Path) -> None:
    answers = [reply(503), reply(204)]
    async with serving(lambda seen: answers.pop(0)) as server:
        settings = {**QUICK, "webhook_secrets": {f"127.0.0.1:{server.port}": "ours"}}
        http = {"allowed_hosts": [f"127.0.0.1:{server.port}"]}
        async with opened(tmp_path, RecordingConnector(), integrations=settings, http=http) as runtime:
            run_id = await start(runtime, WEBHOOK.format(port=server.port) + STEPS)
            await lane(runtime, run_id, lambda view: view.delivered == 1)

    first, second = server.seen
    event = json.loads(second.body)
    assert (first.body, first.headers) == (second.body, second.headers)
    assert second.line == "POST /in HTTP/1.1"
    assert (event["type"], event["data"]["workflowId"]) == ("workflow.completed", run_id)
    assert second.headers["idempotency-key"] == event["id"]
    assert second.headers["x-bcce-event"] == "workflow.completed"
    assert second.headers["x-bcce-signature"] == "sha256=" + hmac.new(b"ours", second.body, hashlib.sha256).hexdigest()


async def test_a_webhook_goes_nowhere_that_the_operator_has_not_allowed(tmp_path: Path) -> None:
    async with serving(lambda seen: reply()) as server, opened(tmp_path, RecordingConnector()) as runtime:
        run_id = await start(runtime, WEBHOOK.format(port=server.port) + STEPS)
        view = await lane(runtime, run_id, lambda view: view.given_up == 1)

    assert view.error is not None
    assert (view.error["code"], server.seen) == ("http-destination-refused", [])


async def test_a_webhook_that_refuses_or_redirects_gets_the_event_once(tmp_path: Path) -> None:
    for answer in (reply(410), reply(302, location="/other")):
        async with serving(lambda seen, answer=answer: answer) as server:  # type: ignore[misc]  # the answer of this turn
            http = {"allowed_hosts": [f"127.0.0.1:{server.port}"]}
            async with opened(tmp_path / str(server.port), RecordingConnector(), http=http) as runtime:
                run_id = await start(runtime, WEBHOOK.format(port=server.port) + STEPS)
                await lane(runtime, run_id, lambda view: view.given_up == 1)
        assert len(server.seen) == 1


async def test_the_log_gets_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with opened(tmp_path, RecordingConnector()) as runtime:
        text = "name: t\nintegrations:\n  - {type: log, level: warning, events: [workflow.completed]}\n"
        run_id = await start(runtime, text + STEPS)
        await lane(runtime, run_id, lambda view: view.delivered == 1)
        await look(runtime, run_id)

    said = capsys.readouterr()
    (line,) = [line for line in (said.out + said.err).splitlines() if "integration.event" in line]
    assert run_id in line
