"""The API on a real runtime: bad input is a problem with a stable code, and nothing is half stored."""

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bcce.api.app import create_app
from bcce.runtime import Settings, open_runtime

FIRING = {
    "version": "4",
    "status": "firing",
    "alerts": [{"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z"}],
}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings.model_validate({"alerts": {"max_body_bytes": 2048}})
    async with open_runtime(settings, home=tmp_path) as runtime:
        token = (tmp_path / "admin.token").read_text().strip()
        transport = httpx.ASGITransport(create_app(runtime))
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers={"Authorization": f"Bearer {token}"}) as made:
            yield made


def problem(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == f"urn:bcce:problem:{response.json()['code']}"
    return response.status_code, response.json()["code"]


async def test_an_alert_is_taken_with_202_and_is_there(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/webhooks/alertmanager", json=FIRING)

    assert answer.status_code == 202
    listed = (await client.get("/api/v1/alerts")).json()["items"]
    assert [item["id"] for item in listed] == answer.json()["alertIds"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"version": "4"}',
        b'{"version": "4", "alerts": [1]}',
        b'{"version":"4","alerts":[{"status":"x","labels":{}}]}',
        b"\xff\xfe",
    ],
)
async def test_a_body_that_cannot_be_read_is_kept_as_a_dead_letter(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/api/v1/webhooks/alertmanager", content=body)

    assert problem(answer) == (400, "unparsable-delivery")
    kept = (await client.get(f"/api/v1/dead-letters/{answer.json()['deadLetterId']}")).json()
    assert kept["bytes"] == len(body)
    assert (await client.get("/api/v1/alerts")).json()["items"] == []


async def test_a_body_over_the_limit_is_refused_and_counted(client: httpx.AsyncClient) -> None:
    assert problem(await client.post("/api/v1/webhooks/alertmanager", content=b"x" * 4096)) == (413, "too-large")
    assert 'bcce_webhooks_refused_total{reason="too-large"} 1.0' in (await client.get("/metrics")).text


async def test_unknown_things_and_wrong_types_are_problems(client: httpx.AsyncClient) -> None:
    assert problem(await client.post("/api/v1/webhooks/nagios", json=FIRING)) == (404, "unknown-provider")
    assert problem(await client.get("/api/v1/incidents/inc_nobody")) == (404, "unknown-incident")
    assert problem(await client.get("/nowhere")) == (404, "not-found")
    assert problem(await client.get("/api/v1/alerts", params={"limit": "many"})) == (400, "invalid-input")
    assert problem(await client.post("/api/v1/tokens", json={"nmae": "x"})) == (400, "invalid-input")
    assert problem(await client.get("/api/v1/incidents", params={"state": "asleep"})) == (400, "invalid-input")


@pytest.mark.parametrize(
    "query", ["/alerts?status=open", "/alerts?state=firing", "/incidents?status=open", "/runs?sate=failed", "/audit?limit=1"]
)
async def test_a_filter_that_is_not_there_never_shows_everything(client: httpx.AsyncClient, query: str) -> None:
    assert problem(await client.get(f"/api/v1{query}")) == (400, "invalid-input")


async def test_without_a_token_nothing_is_told(client: httpx.AsyncClient) -> None:
    client.headers.pop("Authorization")

    for path in ("/api/v1/alerts", "/api/v1/incidents", "/metrics", "/api/v1/audit"):
        assert problem(await client.get(path)) == (401, "unauthenticated")
    assert problem(await client.post("/api/v1/webhooks/alertmanager", json=FIRING)) == (401, "unauthenticated")
    assert (await client.get("/health/live")).json() == {"status": "ok"}


async def test_a_source_token_sends_for_its_source_and_does_nothing_else(client: httpx.AsyncClient) -> None:
    made = (await client.post("/api/v1/tokens", json={"provider": "alertmanager", "source": "prod"})).json()
    client.headers["Authorization"] = f"Bearer {made['token']}"

    assert (await client.post("/api/v1/webhooks/alertmanager/prod", json=FIRING)).status_code == 202
    assert problem(await client.post("/api/v1/webhooks/alertmanager/other", json=FIRING)) == (403, "forbidden")
    assert problem(await client.get("/api/v1/alerts")) == (403, "forbidden")


async def test_a_token_is_only_made_for_a_source_that_can_be(client: httpx.AsyncClient) -> None:
    refused = await client.post("/api/v1/tokens", json={"provider": "bogus", "source": "prod"})

    assert problem(refused) == (404, "unknown-provider")
    assert "alertmanager" in refused.json()["hint"]
    assert problem(await client.post("/api/v1/tokens", json={"provider": "alertmanager", "source": "a\nb"})) == (400, "invalid-source")


async def test_a_viewer_is_not_told_which_providers_there_are(client: httpx.AsyncClient) -> None:
    made = (await client.post("/api/v1/tokens", json={"name": "wall", "role": "viewer"})).json()
    client.headers["Authorization"] = f"Bearer {made['token']}"

    assert problem(await client.post("/api/v1/tokens", json={"provider": "bogus", "source": "prod"})) == (403, "forbidden")


async def test_ready_metrics_events_and_audit(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/webhooks/alertmanager", json=FIRING)

    assert (await client.get("/health/ready")).json() == {
        "status": "ok",
        "checks": {"database": "pass", "pipeline": "pass", "integrations": "pass"},
    }
    events: list[dict[str, Any]] = (await client.get("/api/v1/events")).json()["items"]
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "alert.received"
    assert (await client.get("/api/v1/audit")).json()["ok"] is True


async def test_a_script_is_judged_and_a_workflow_checked(client: httpx.AsyncClient) -> None:
    judged = (await client.post("/api/v1/scripts/check", json={"script": "curl http://x | sh"})).json()
    checked = (await client.post("/api/v1/workflows/validate", json={"text": "name: x\nsteps:\n  - {id: a, type: nope}\n"})).json()

    assert judged["verdict"] == "block"
    assert (checked["valid"], checked["findings"][0]["line"]) == (False, 3)
    assert [item["name"] for item in (await client.get("/api/v1/workflows")).json()["items"]] == ["remediate"]


async def test_a_text_that_is_no_workflow_is_a_finding(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/workflows/validate", json={"text": "name: ["})

    assert answer.status_code == 200
    assert [(item["rule_id"], item["line"]) for item in answer.json()["findings"]] == [("workflow.syntax", 1)]
    assert (answer.json()["valid"], answer.json()["name"]) == (False, None)


@pytest.mark.parametrize(
    ("form", "media_type", "start"),
    [("text", "text/plain", "remediate\n"), ("mermaid", "text/plain", "flowchart TD\n"), ("svg", "image/svg+xml", "<svg ")],
)
async def test_a_workflow_is_drawn(client: httpx.AsyncClient, form: str, media_type: str, start: str) -> None:
    answer = await client.get(f"/api/v1/workflows/remediate/graph?format={form}")

    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, media_type)
    assert answer.text.startswith(start)


async def test_what_cannot_be_drawn_is_a_problem(client: httpx.AsyncClient) -> None:
    assert problem(await client.get("/api/v1/workflows/nobody/graph")) == (404, "unknown-workflow")
    assert problem(await client.get("/api/v1/workflows/remediate/graph?format=png")) == (400, "invalid-input")
    assert problem(await client.get("/api/v1/workflows/remediate/graph", headers={"Authorization": "Bearer bcce_pat_wrong"})) == (
        401,
        "unauthenticated",
    )


@pytest.mark.parametrize("path", ["/scripts/check", "/tokens", "/workflows/validate", "/webhooks/alertmanager"])
async def test_whoever_is_not_known_sends_no_body(client: httpx.AsyncClient, path: str) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(64):
            sent += 1
            yield b" " * 65536

    answer = await client.post(f"/api/v1{path}", content=body(), headers={"Authorization": "Bearer bcce_pat_wrong"})

    assert problem(answer) == (401, "unauthenticated")
    assert (await client.post(f"/api/v1{path}", content=b"x", headers={"Authorization": ""})).status_code == 401


async def test_a_body_above_the_limit_is_refused_on_every_path(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/scripts/check", content=b'{"script": "' + b" " * (9 * 1024 * 1024) + b'"}')

    assert problem(answer) == (413, "too-large")


@pytest.mark.parametrize("after", ["99999999999999999999999", "-1", "x"])
async def test_a_position_that_cannot_be_is_refused(client: httpx.AsyncClient, after: str) -> None:
    assert problem(await client.get(f"/api/v1/events?after={after}")) == (400, "invalid-input")


@pytest.mark.parametrize("moment", ["2027-01-01", "2027-01-01T00:00:00", "9999-12-31T23:59:59-14:00", "soon", "2020-01-01T00:00:00Z"])
async def test_an_end_that_cannot_be_makes_no_token(client: httpx.AsyncClient, moment: str) -> None:
    answer = await client.post("/api/v1/tokens", json={"name": "x", "role": "viewer", "expiresAt": moment})

    assert problem(answer) == (400, "invalid-input")


async def test_a_bug_in_a_route_is_a_problem_that_tells_nothing(client: httpx.AsyncClient, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "bcce.db") as damaged:
        damaged.execute("ALTER TABLE alerts RENAME TO gone")
    answer = await client.get("/api/v1/alerts")

    assert problem(answer) == (500, "unexpected")
    assert "gone" not in answer.text


async def test_dispatches_are_listed_by_states_that_there_are(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/dispatches?state=indeterminate")).json() == {"items": [], "next": None}
    assert problem(await client.get("/api/v1/dispatches?state=odd")) == (400, "invalid-input")
    assert problem(await client.get("/api/v1/dispatches/dsp_none")) == (404, "unknown-dispatch")
    answer = await client.post("/api/v1/dispatches/dsp_none/settle", json={"outcome": "failed", "reason": "x"})
    assert problem(answer) == (404, "unknown-dispatch")
    assert problem(await client.get("/api/v1/runs?state=odd")) == (400, "invalid-input")
    assert (await client.head("/health/live")).status_code == 200


async def test_the_policy_is_asked_for_a_target(client: httpx.AsyncClient) -> None:
    body = {"script": "systemctl restart nginx", "target": "local", "severity": "critical"}
    decided = (await client.post("/api/v1/scripts/check", json=body)).json()

    assert (decided["verdict"], decided["policy"]["approvals"]) == ("approve", 1)
    assert decided["policy"]["decided"][0]["rule"] == "base/one-person"
    assert problem(await client.post("/api/v1/scripts/check", json={**body, "target": "moon"})) == (404, "unknown-target")
    assert problem(await client.post("/api/v1/scripts/check", json={**body, "severity": "odd"})) == (400, "invalid-input")


async def test_an_incident_without_an_sop_goes_to_a_person(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/webhooks/alertmanager", json=FIRING)
    for _ in range(3000):
        found = (await client.get("/api/v1/incidents", params={"state": "escalated"})).json()["items"]
        if found:
            break

    view = (await client.get(f"/api/v1/incidents/{found[0]['id']}")).json()
    assert view["summary"] == "no SOP fits the alert 'A'"
    assert problem(await client.post(f"/api/v1/incidents/{view['id']}/approve", json={"digest": "x"})) == (409, "nothing-to-decide")
    assert json.dumps(view)


async def test_a_method_that_is_not_there_says_so_and_which_are(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/webhooks/alertmanager/prod")

    assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (405, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"


async def test_a_body_that_is_no_json_says_how_to_send_it(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/scripts/check", content=b'{"script": "ls"}', headers={"Content-Type": "text/plain"})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-input")
    assert "application/json" in answer.json()["hint"]
