"""Approvals of runs without an incident, through the API and the command line."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.integration.shell_support import MARKS, asked, recording, shell, shell_runtime
from tests.integration.workflow_support import finished, start

from bcce.api.app import create_app
from bcce.runtime.runtime import Runtime, admin_token_path
from bcce.testing.executor import RecordingExecutor
from bcce.workflows.model import RunState


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Runtime, RecordingExecutor]]:
    executor = recording(tmp_path)
    async with shell_runtime(tmp_path, executor=executor) as runtime:
        bearer = {"Authorization": f"Bearer {admin_token_path(tmp_path).read_text().strip()}"}
        transport = httpx.ASGITransport(create_app(runtime))
        async with httpx.AsyncClient(transport=transport, base_url="http://bcce.local", headers=bearer, timeout=30) as http:
            yield http, runtime, executor


async def test_what_a_workflow_asks_is_listed_shown_and_answered(api: tuple[httpx.AsyncClient, Runtime, RecordingExecutor]) -> None:
    http, runtime, executor = api
    run_id = await start(runtime, shell(MARKS))
    question = await asked(runtime)

    listed = (await http.get("/api/v1/approvals", params={"state": "pending"})).json()["items"]
    assert [(item["id"], item["runId"], item["incidentId"]) for item in listed] == [(question.id, run_id, None)]
    shown = (await http.get(f"/api/v1/approvals/{question.id}")).json()
    assert (shown["missingCount"], shown["shown"]["script"]) == (1, MARKS + "\n")

    stale = await http.post(f"/api/v1/approvals/{question.id}/approve", json={"digest": "sha256:0"})
    assert (stale.status_code, stale.json()["type"]) == (409, "urn:bcce:problem:approval-changed")
    agreed = await http.post(f"/api/v1/approvals/{question.id}/approve", json={"digest": shown["digest"], "comment": "go"})
    assert (agreed.status_code, agreed.json()["state"]) == (200, "approved")
    run, _ = await finished(runtime, run_id)
    assert (run.state, len(executor.starts)) == (RunState.COMPLETED, 1)
    late = await http.post(f"/api/v1/approvals/{question.id}/revoke", json={"reason": "too late"})
    assert (late.status_code, late.json()["type"]) == (409, "urn:bcce:problem:run-ended")


@pytest.mark.parametrize("way", ["reject", "revoke"])
async def test_a_refusal_fails_the_step(api: tuple[httpx.AsyncClient, Runtime, RecordingExecutor], way: str) -> None:
    http, runtime, executor = api
    run_id = await start(runtime, shell(MARKS))
    question = await asked(runtime)
    body = {"digest": question.digest} if way == "reject" else {"reason": "no"}

    assert (await http.post(f"/api/v1/approvals/{question.id}/{way}", json=body)).status_code == 200

    run, _ = await finished(runtime, run_id)
    assert ((run.error or {})["code"], executor.starts) == ("not-approved", [])


async def test_a_state_that_does_not_exist_is_named(api: tuple[httpx.AsyncClient, Runtime, RecordingExecutor]) -> None:
    http, _, _ = api
    answer = await http.get("/api/v1/approvals", params={"state": "open"})

    assert answer.status_code == 400
    assert "pending" in answer.json()["hint"]


async def test_a_question_is_listed_shown_and_answered(api: tuple[httpx.AsyncClient, Runtime, RecordingExecutor]) -> None:
    http, runtime, executor = api
    text = 'version: "1.0"\nname: ask\nsteps:\n  - {id: gate, type: approval, message: Go on?, details: {n: 1}, approvers: [nobody]}\n'
    refused = await start(runtime, text)
    question = await asked(runtime)
    stranger = await http.post(f"/api/v1/approvals/{question.id}/approve", json={"digest": question.digest})
    assert (stranger.status_code, stranger.json()["type"]) == (403, "urn:bcce:problem:may-not-approve")
    taken = await http.post(f"/api/v1/approvals/{question.id}/revoke", json={"reason": "asked the wrong people"})
    assert (taken.status_code, taken.json()["state"]) == (200, "revoked")
    assert ((await finished(runtime, refused))[0].error or {})["code"] == "approval-revoked"

    run_id = await start(runtime, text.replace(", approvers: [nobody]", ""))
    question = await asked(runtime)
    shown = (await http.get(f"/api/v1/approvals/{question.id}")).json()
    assert (shown["title"], shown["shown"]["details"], shown["missingCount"]) == ("Go on?", {"n": 1}, 1)
    agreed = await http.post(f"/api/v1/approvals/{question.id}/approve", json={"digest": shown["digest"], "comment": "go"})
    assert (agreed.status_code, agreed.json()["state"]) == (200, "approved")
    run, _ = await finished(runtime, run_id)
    assert (run.state, executor.starts) == (RunState.COMPLETED, [])
    decided = (await http.get(f"/api/v1/approvals/{question.id}")).json()["decisions"]
    assert [(item["decision"], item["comment"]) for item in decided] == [("approve", "go")]
    again = await http.post(f"/api/v1/approvals/{question.id}/approve", json={"digest": shown["digest"]})
    assert (again.status_code, again.json()["type"]) == (409, "urn:bcce:problem:run-ended")
