"""One incident, one repair: which run may start scripts for it, and which no longer may. Nothing is started by the executor here."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection
from tests.integration.shell_support import BOB
from tests.integration.test_pipeline import SOP, Story
from tests.integration.workflow_support import ACTOR, finished, until

from bcce.api.app import create_app
from bcce.approvals.model import Decision
from bcce.execution.model import DispatchState, Script
from bcce.kit.clock import SystemClock
from bcce.kit.ids import ApprovalId, RunId
from bcce.runtime import Settings, open_runtime
from bcce.runtime.runtime import Overrides, Runtime
from bcce.security.crypto import StateKeys
from bcce.testing.executor import Ending, RecordingExecutor
from bcce.workflows.filters import RunFilter

CALLS = """version: "1.0"
name: calls
inputs: {{incident: {{type: string}}}}
steps:
  - {{id: call, type: workflow, workflow: remediate, wait: {wait}, inputs: {{incident: "{{{{ inputs.incident }}}}"}}}}
"""
READS = """version: "1.0"
name: reads
steps:
  - {id: first, type: shell, target: one, script: uptime}
"""
REPAIR = 'touch -- "$FOLDER/well"'


@asynccontextmanager
async def told(
    folder: Path, url: str, *, ending: Callable[[Script], Ending | None] = lambda _: Ending(), **remediation: object
) -> AsyncIterator[tuple[Story, RecordingExecutor]]:
    """A story with the targets `one` and `two`, on which nothing happens."""
    home, world = folder / "home", folder / "world"
    home.mkdir(mode=0o700)
    world.mkdir()
    verifier = StateKeys.load_or_create(home / "keys").signer.verifier()
    executor = RecordingExecutor(clock=SystemClock(), verifier=verifier, name="recording", ending=ending)
    targets = {name: {"executor": "recording", "address": name, "baseDir": "/var/lib/bcce", "login": "x"} for name in ("one", "two")}
    settings = Settings.model_validate(
        {
            "database": {"url": url},
            "remediation": {"enabled": True, "verify_interval_s": 0.1, **remediation},
            "workflows": {"sweep_s": 0.1},
            "execution": {"targets": targets},
        }
    )
    async with open_runtime(settings, home=home, overrides=Overrides(executors={"recording": executor, "local": executor})) as runtime:
        token = (home / "admin.token").read_text().strip()
        transport = httpx.ASGITransport(create_app(runtime))
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers={"Authorization": f"Bearer {token}"}) as client:
            story = Story(client, world, runtime)
            story.source = (await story.call("POST", "/tokens", json={"provider": "alertmanager", "source": "test"}))["token"]
            yield story, executor


async def plan_for(story: Story, target: str) -> None:
    """From now on the SOP repairs on `target`."""
    text = SOP.format(script=REPAIR, timeout=1).replace("target: local", f"target: {target}")
    await story.call("PUT", "/documents", json={"text": text, "origin": "well.md"})


async def agree(story: Story, approval_id: str) -> None:
    """Somebody agrees to one of the approvals, which need not be the newest."""
    approvals = story.runtime.approvals
    question = next(item for item in await approvals.list(ACTOR) if item.id == ApprovalId(approval_id))
    await approvals.submit_decision(BOB, question.id, Decision.APPROVE, comment="", digest_seen=question.digest)
    story.runtime.ring(question.run_id)


async def taken_over(story: Story) -> str:
    """Fires an alert, whose repair is agreed to when a person has taken the incident over; returns the run."""
    await plan_for(story, "one")
    await story.webhook("firing")
    view = await story.asked()
    await story.escalate(view["id"])
    await story.decide("approve")
    ended = await story.ended()
    return str(ended["run"]["id"])


async def refused(story: Story, path: str, **body: object) -> tuple[int, str, str]:
    """What is said to a request that cannot be: its status, its code and its hint."""
    answer = await story.client.post(f"/api/v1{path}", **({"json": body} if body else {}))
    return answer.status_code, answer.json().get("code", ""), answer.json().get("hint", "")


async def children_of(runtime: Runtime) -> list[RunId]:
    """The runs that repairs called, the oldest first."""
    found = await runtime.workflows.runs(ACTOR, RunFilter(workflow="remediate"))
    return [run.id for run in reversed(found)]


async def test_a_run_in_whose_place_another_has_begun_is_not_tried_again(tmp_path: Path, sqlite_url: str) -> None:
    """Its approval still holds, and nobody knows what became of the newer run's script on another machine."""
    async with told(tmp_path, sqlite_url, ending=lambda _: None) as (story, executor):
        old = await taken_over(story)
        await plan_for(story, "two")
        new = (await story.call("POST", f"/runs/{old}/rerun", json={"step": "plan", "inputs": {}}))["runId"]
        view = await story.asked()
        await agree(story, view["approvals"][-1]["id"])
        async with asyncio.timeout(30):
            while not executor.starts:  # noqa: ASYNC110 - a worker starts it
                await asyncio.sleep(0.05)
        executor.lose(executor.starts[0].key)
        view = await story.until(lambda view: view["state"] == "escalated" and view["run"]["state"] != "active")
        assert [item["state"] for item in view["dispatches"]] == ["indeterminate"]

        unknown = await refused(story, f"/runs/{new}/rerun", step="plan", inputs={})
        again = await refused(story, f"/runs/{old}/retry")
        view = await story.incident()

    assert unknown[:2] == again[:2] == (409, "run-not-repeatable")
    assert "bcce dispatch settle" in unknown[2]
    assert new in again[2]
    assert (view["state"], view["run"]["id"], len(executor.starts)) == ("escalated", new, 1)


async def test_a_part_of_a_repair_is_not_tried_again_for_itself(tmp_path: Path, sqlite_url: str) -> None:
    """Neither of the run that a person stopped, nor of one in whose place another repairs the incident."""
    async with told(tmp_path, sqlite_url, workflow="calls") as (story, executor):
        await story.runtime.workflows.register(ACTOR, CALLS.format(wait="true"), "calls.yaml")
        old = await taken_over(story)
        (child,) = await children_of(story.runtime)
        part = [await refused(story, f"/runs/{child}/retry"), await refused(story, f"/runs/{child}/rerun", step="plan", inputs={})]
        new = (await story.call("POST", f"/runs/{old}/rerun", json={"step": "call", "inputs": {}}))["runId"]
        view = await story.asked()
        superseded = [await refused(story, f"/runs/{run}/retry") for run in (old, child)]
        await agree(story, view["approvals"][-1]["id"])
        await story.until(lambda _: bool(executor.starts))
        (start,) = executor.starts
        view = await story.incident()

    assert {answer[:2] for answer in (*part, *superseded)} == {(409, "run-not-repeatable")}
    assert [f"bcce run retry {old}" in answer[2] for answer in part] == [True, True]
    assert [new in answer[2] for answer in superseded] == [True, True]
    assert (view["run"]["id"], start.clearance.run_id in (old, child)) == (new, False)


async def test_what_an_older_run_had_called_starts_nothing_beside_the_newer_one(tmp_path: Path, sqlite_url: str) -> None:
    async with told(tmp_path, sqlite_url, workflow="calls") as (story, executor):
        await story.runtime.workflows.register(ACTOR, CALLS.format(wait="false"), "calls.yaml")
        await plan_for(story, "one")
        await story.webhook("firing")
        view = await story.asked()
        (older,) = await children_of(story.runtime)
        await story.call("POST", f"/runs/{view['run']['id']}/rerun", json={"step": "call", "inputs": {}})
        view = await story.until(lambda view: [item["state"] for item in view["approvals"]] == ["pending"] * 2)
        first, second = (item["id"] for item in view["approvals"])
        await agree(story, first)
        run, _ = await finished(story.runtime, older)
        assert (run.state, (run.error or {}).get("code"), executor.starts) == ("failed", "not-cleared", [])

        await agree(story, second)
        await story.until(lambda _: bool(executor.starts))
        assert [start.clearance.run_id == older for start in executor.starts] == [False]


async def begin(story: Story, incident_id: str) -> RunId:
    """A run of `reads` about the incident that is no part of its repair."""

    def write(conn: Connection) -> RunId:
        return story.runtime.workflows.start(BOB, conn, workflow="reads", inputs={}, correlation_id="cor_x", subject=incident_id)

    run_id = await story.runtime.db.write(write)
    story.runtime.ring(run_id)
    return run_id


async def test_for_an_incident_that_a_person_has_only_what_they_start_since_starts_scripts(tmp_path: Path, sqlite_url: str) -> None:
    async with told(tmp_path, sqlite_url) as (story, executor):
        await story.runtime.workflows.register(ACTOR, READS, "reads.yaml")
        await plan_for(story, "one")
        await story.webhook("firing")
        view = await story.asked()
        before = await begin(story, view["id"])
        run, _ = await finished(story.runtime, before)
        said = [(run.error or {}).get("message")]
        assert view["run"]["id"] in str(said[0]), "its repair is under way"

        await story.escalate(view["id"])
        await story.call("POST", f"/runs/{before}/retry")
        story.runtime.ring(before)
        run, _ = await finished(story.runtime, before)
        assert ((run.error or {}).get("code"), executor.starts) == ("not-cleared", [])
        assert "is escalated" in str((run.error or {}).get("message"))

        since = await begin(story, view["id"])
        run, _ = await finished(story.runtime, since)
        assert (run.state, [start.clearance.run_id for start in executor.starts]) == ("completed", [since])
        assert (await story.incident())["state"] == "escalated"


@pytest.mark.parametrize("undoes", [False, True])
async def test_the_repair_of_an_incident_that_a_person_took_over_starts_no_shell_script(
    tmp_path: Path, sqlite_url: str, undoes: bool
) -> None:
    """Unless somebody cancels it, which undoes what it did."""
    text = READS.replace("name: reads", "name: mine\ninputs: {incident: {type: string}}")
    text = text.replace("script: uptime}", "script: uptime, compensate: {type: shell, target: one, script: uptime}}")
    text += "  - {id: go, type: wait, event: go}\n  - {id: second, type: shell, target: one, script: uptime}\n"
    async with told(tmp_path, sqlite_url, workflow="mine") as (story, executor):
        await story.runtime.workflows.register(ACTOR, text, "mine.yaml")
        await story.webhook("firing")
        view = await story.until(lambda view: "go" in str(view.get("run") or {}) and len(executor.starts) == 1)
        run_id = RunId(view["run"]["id"])
        await story.until(lambda view: [item["state"] for item in view["dispatches"]] == [str(DispatchState.SUCCEEDED)])
        await story.escalate(view["id"])
        if undoes:
            await story.call("POST", f"/runs/{run_id}/cancel")
        else:
            await story.call("POST", f"/runs/{run_id}/signals/go", json={"payload": {}})
        run, states = await finished(story.runtime, run_id)

    assert (run.state, len(executor.starts)) == (("cancelled", 2) if undoes else ("failed", 1)), states


@pytest.mark.parametrize("is_lost", [False, True])
async def test_no_script_starts_beside_one_of_another_run_for_the_incident(tmp_path: Path, sqlite_url: str, is_lost: bool) -> None:
    """It waits for the end, on whatever machine that is, and does not start if nobody knows it."""

    def ending(script: Script) -> Ending | None:
        return Ending() if script.text.strip() == "uptime" else None

    async with told(tmp_path, sqlite_url, ending=ending) as (story, executor):
        await story.runtime.workflows.register(ACTOR, READS.replace("target: one", "target: two"), "reads.yaml")
        await plan_for(story, "one")
        await story.webhook("firing")
        await story.decide("approve")
        view = await story.until(lambda view: [item["state"] for item in view["dispatches"]] == ["started"])
        await story.escalate(view["id"])
        run_id = await begin(story, view["id"])
        await until(story.runtime, run_id, lambda _, records: "has not ended" in str(records.get("first")))
        assert len(executor.starts) == 1
        (executor.lose if is_lost else executor.finish)(executor.starts[0].key)
        run, _ = await finished(story.runtime, run_id)

    said = str((run.error or {}).get("hint"))
    assert (run.state, len(executor.starts)) == (("failed", 1) if is_lost else ("completed", 2))
    assert ("bcce dispatch settle" in said) is is_lost
