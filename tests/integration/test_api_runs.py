"""Runs through the API: started, followed, changed."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection, update
from tests.integration.workflow_support import ACTOR, finished, runtime_at, start, until

from bcce.api.app import create_app
from bcce.api.streams import RunStreams
from bcce.cli.runs import standing
from bcce.kit.ids import RunId
from bcce.runtime.runtime import Runtime, admin_token_path
from bcce.storage.outbox import HEAD, assign_positions, head, outbox, outbox_cursors
from bcce.workflows.model import DEFINITION_FORMAT, RunState
from bcce.workflows.tables import runs

STEPS = """
version: "1.0"
name: greet
inputs: {name: string}
steps:
  - {id: a, type: set, text: "hello {{ inputs.name }}"}
  - {id: b, type: wait, event: go}
outputs: {text: "{{ steps.a.output.text }}"}
"""


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Runtime]]:
    async with runtime_at(tmp_path) as (runtime, _):
        await runtime.workflows.register(ACTOR, STEPS, "greet.yaml")
        bearer = {"Authorization": f"Bearer {admin_token_path(tmp_path).read_text().strip()}"}
        transport = httpx.ASGITransport(create_app(runtime))
        async with httpx.AsyncClient(transport=transport, base_url="http://bcce.local", headers=bearer, timeout=30) as http:
            yield http, runtime


async def started(http: httpx.AsyncClient) -> str:
    answer = await http.post("/api/v1/workflows/greet/runs", json={"inputs": {"name": "you"}})
    assert answer.status_code == 201
    return str(answer.json()["runId"])


def told(text: str) -> list[tuple[int, str, dict[str, object]]]:
    """Position, type and event of each message of a stream."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


async def test_a_run_is_started_signalled_and_followed_to_its_end(api: tuple[httpx.AsyncClient, Runtime]) -> None:
    http, runtime = api
    run_id = await started(http)
    following = asyncio.create_task(http.get(f"/api/v1/runs/{run_id}/events"))
    await until(runtime, run_id, lambda _, records: "b" in records)  # type: ignore[arg-type]  # ids are text

    await http.post(f"/api/v1/runs/{run_id}/signals/go", json={"payload": {}})

    messages = told((await following).text)
    assert [kind for _, kind, _ in messages] == [
        *("workflow.started", "step.started", "step.completed", "step.started", "step.waiting", "step.completed", "workflow.completed")
    ]
    shown = (await http.get(f"/api/v1/runs/{run_id}")).json()
    assert (shown["state"], shown["output"]) == ("completed", {"text": "hello you"})


async def test_a_stream_goes_on_behind_the_last_event_that_was_seen(api: tuple[httpx.AsyncClient, Runtime]) -> None:
    http, runtime = api
    run_id = await started(http)
    await http.post(f"/api/v1/runs/{run_id}/signals/go", json={"payload": {}})
    await finished(runtime, run_id)  # type: ignore[arg-type]  # ids are text
    everything = told((await http.get(f"/api/v1/runs/{run_id}/events")).text)

    for at, (position, _, _) in enumerate(everything[:-1]):
        rest = await http.get(f"/api/v1/runs/{run_id}/events", headers={"Last-Event-ID": str(position)})
        assert told(rest.text) == everything[at + 1 :]
    over = await http.get(f"/api/v1/runs/{run_id}/events", headers={"Last-Event-ID": str(everything[-1][0])})
    assert over.status_code == 204


async def listed(http: httpx.AsyncClient, query: str = "") -> list[str]:
    """The ids of all pages of two, which are full but for the last one."""
    found: list[str] = []
    cursor = ""
    while True:
        answer = await http.get(f"/api/v1/runs?limit=2{query}{cursor}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += [run["id"] for run in page["items"]]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


async def test_runs_are_listed_by_when_they_were_asked_for_and_children_hide_none(api: tuple[httpx.AsyncClient, Runtime]) -> None:
    http, runtime = api
    many = 'version: "1.0"\nname: many\nsteps:\n  - id: l\n    type: foreach\n    items: [1, 2, 3, 4, 5]\n    steps:\n'
    many += "      - {id: w, type: workflow, workflow: greet, inputs: {name: x}, wait: false}\n"
    before = await started(http)
    parent = await start(runtime, many)
    await finished(runtime, parent)
    after = [await started(http) for _ in range(3)]

    top = [*reversed(after), parent, before]
    children = await listed(http, f"&parent={parent}")
    assert await listed(http) == top
    assert await listed(http, "&children=true") == [*top[:3], *children, *top[3:]]
    assert len(children) == 5
    assert await listed(http, "&workflow=greet") == [*top[:3], *children, before]
    assert await listed(http, "&workflow=greet&children=false") == [*top[:3], before]
    runs_of = (await http.get(f"/api/v1/runs?parent={parent}")).json()["items"]
    assert {run["parentId"] for run in runs_of} == {parent}
    assert [run["createdAt"] for run in runs_of] == sorted((run["createdAt"] for run in runs_of), reverse=True)


async def test_runs_that_were_asked_for_at_the_same_moment_stand_on_one_page_each(api: tuple[httpx.AsyncClient, Runtime]) -> None:
    http, runtime = api
    ids = [await started(http) for _ in range(5)]
    moment = (await runtime.workflows.run(ACTOR, RunId(ids[0])))[0].created_at
    await runtime.db.write(lambda conn: conn.execute(update(runs).values(created_at=moment)) and None)

    assert await listed(http) == sorted(ids, reverse=True)


async def test_runs_are_found_by_states_subject_and_time(api: tuple[httpx.AsyncClient, Runtime]) -> None:
    http, runtime = api
    first, second, third = [await started(http) for _ in range(3)]
    for run_id, state in ((first, "paused"), (second, "dead")):
        await runtime.db.write(lambda conn, i=run_id, s=state: conn.execute(update(runs).where(runs.c.id == i).values(state=s)) and None)
    about = update(runs).where(runs.c.id == third).values(subject="inc_1")
    await runtime.db.write(lambda conn: conn.execute(about) and None)
    middle = (await http.get(f"/api/v1/runs/{second}")).json()["createdAt"]

    assert await listed(http, "&state=paused&state=dead") == [second, first]
    assert await listed(http, "&state=dead") == [second]
    assert await listed(http, "&subject=inc_1") == [third]
    assert await listed(http, f"&since={middle}") == [third, second]
    assert await listed(http, f"&until={middle}") == [first]
    assert await listed(http, f"&since={middle}&until={middle}") == []


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("state=dead&state=nosuch", 400, "there is no state 'nosuch'"),
        ("cursor=run_nosuch", 400, "'run_nosuch' is no cursor of this list"),
        ("cursor=%1b[2J", 400, "'[2J' is no cursor of this list"),
        ("parent=run_nosuch", 404, "there is no run run_nosuch"),
        ("since=yesterday", 400, "since is no time with a time zone: 'yesterday'"),
        ("until=2026-01-02T03:04:05", 400, "until is no time with a time zone: '2026-01-02T03:04:05'"),
    ],
)
async def test_a_list_of_runs_that_cannot_be_is_refused(api: tuple[httpx.AsyncClient, Runtime], query: str, status: int, said: str) -> None:
    http, _ = api

    refused = await http.get(f"/api/v1/runs?{query}")

    assert (refused.status_code, refused.json()["detail"]) == (status, said)


async def test_a_re_run_says_of_which_run_it_is_one_and_what_it_did_not_execute(api: tuple[httpx.AsyncClient, Runtime]) -> None:
    http, runtime = api
    first = await started(http)
    await http.post(f"/api/v1/runs/{first}/signals/go", json={"payload": {}})
    await finished(runtime, RunId(first))
    again = (await http.post(f"/api/v1/runs/{first}/rerun", json={"step": "b"})).json()["runId"]
    await http.post(f"/api/v1/runs/{again}/signals/go", json={"payload": {}})
    await finished(runtime, RunId(again))

    shown, source = [(await http.get(f"/api/v1/runs/{run_id}")).json() for run_id in (again, first)]
    log = (await http.get(f"/api/v1/runs/{again}/logs")).json()["items"]
    assert (shown["rerunOf"], shown["rerunFrom"]) == (first, "b")
    assert [(step["key"], step["copied"]) for step in shown["steps"]] == [("a", True), ("b", False)]
    assert log[0]["message"] == f"the run of greet was asked for: a re-run of {first} from the step b"
    assert (source["rerunOf"], [step["copied"] for step in source["steps"]]) == (None, [False, False])


async def test_a_run_shows_its_steps_in_the_order_in_which_they_stand_and_the_runs_it_started(
    api: tuple[httpx.AsyncClient, Runtime],
) -> None:
    http, runtime = api
    text = 'version: "1.0"\nname: up\nsteps:\n  - id: g\n    type: group\n    steps:\n'
    text += "      - {id: w, type: workflow, workflow: greet, inputs: {name: x}, wait: false}\n  - {id: z, type: set, n: 1}\n"
    run_id = await start(runtime, text)
    await finished(runtime, run_id)

    shown = (await http.get(f"/api/v1/runs/{run_id}")).json()

    assert [(node["key"], node["depth"]) for node in shown["outline"]["nodes"]] == [("g", 0), ("w", 1), ("z", 0)]
    assert (shown["outline"]["done"], shown["outline"]["known"]) == (3, 3)
    assert [(child["workflow"], child["parentKey"]) for child in shown["children"]] == [("greet", "w")]
    assert shown["children"][0]["id"] == next(step["output"]["runId"] for step in shown["steps"] if step["key"] == "w")


async def test_inputs_that_were_typed_are_read_by_their_type(api: tuple[httpx.AsyncClient, Runtime]) -> None:
    http, _ = api
    body = {"inputs": {"name": "you"}, "texts": {"name": "5"}}
    first = (await http.post("/api/v1/workflows/greet/runs", json=body)).json()["runId"]
    await http.post(f"/api/v1/runs/{first}/signals/go", json={"payload": {}})
    again = await http.post(f"/api/v1/runs/{first}/rerun", json={"step": "a", "texts": {"name": "true"}})

    shown = [(await http.get(f"/api/v1/runs/{run_id}")).json()["inputs"] for run_id in (first, again.json()["runId"])]
    assert shown == [{"name": "5"}, {"name": "true"}]


async def test_a_log_of_a_step_that_there_is_not_names_those_that_have_one(api: tuple[httpx.AsyncClient, Runtime]) -> None:
    http, runtime = api
    run_id = await started(http)
    await until(runtime, RunId(run_id), lambda _, records: "b" in records)

    refused = await http.get(f"/api/v1/runs/{run_id}/logs?step=nosuch")
    unknown = await http.get("/api/v1/runs/run_nosuch/logs")

    assert (refused.status_code, refused.json()["detail"]) == (400, f"run {run_id} has no step 'nosuch'")
    assert refused.json()["hint"] == "steps that have lines: a, b"
    assert (await http.get(f"/api/v1/runs/{run_id}/logs?step=a")).json()["items"]
    assert "`bcce run list`" in unknown.json()["hint"]


async def test_workflows_are_listed_in_pages(api: tuple[httpx.AsyncClient, Runtime]) -> None:
    http, runtime = api
    for name in ("alpha", "beta"):
        await runtime.workflows.register(ACTOR, STEPS.replace("greet", name), f"{name}.yaml")
    everything = [item["name"] for item in (await http.get("/api/v1/workflows")).json()["items"]]

    first = (await http.get("/api/v1/workflows?limit=2")).json()
    rest = (await http.get(f"/api/v1/workflows?cursor={first['next']}")).json()

    assert everything == sorted(everything)
    assert [item["name"] for item in first["items"]] == everything[:2]
    assert ([item["name"] for item in rest["items"]], rest["next"]) == (everything[2:], None)


@pytest.mark.parametrize("event_id", ["x", "-1", "²", "9" * 19, "9" * 20])
async def test_what_is_no_event_id_is_refused(api: tuple[httpx.AsyncClient, Runtime], event_id: str) -> None:
    http, _ = api
    run_id = await started(http)

    refused = await http.get(f"/api/v1/runs/{run_id}/events", headers={b"Last-Event-ID": event_id.encode("latin-1")})

    assert (refused.status_code, refused.json()["code"]) == (400, "invalid-input")


async def test_a_stream_waits_for_the_end_that_has_no_position_yet(api: tuple[httpx.AsyncClient, Runtime]) -> None:
    http, runtime = api
    run_id = await started(http)
    await http.post(f"/api/v1/runs/{run_id}/signals/go", json={"payload": {}})
    await finished(runtime, run_id)  # type: ignore[arg-type]  # ids are text
    path = f"/api/v1/runs/{run_id}/events"
    everything = told((await http.get(path)).text)
    last = everything[-1][0]

    def undo_position(conn: Connection) -> None:
        """As it is on a server between a commit and the sequencer's next turn."""
        assert conn.execute(update(outbox).where(outbox.c.position == last).values(position=None)).rowcount == 1
        conn.execute(update(outbox_cursors).where(outbox_cursors.c.name == HEAD).values(position=last - 1))

    assert await runtime.db.read(head) == last
    await runtime.db.write(undo_position)
    streams = [
        asyncio.create_task(http.get(path)),
        asyncio.create_task(http.get(path, headers={"Last-Event-ID": str(everything[-2][0])})),
    ]
    await asyncio.sleep(0.5)
    assert [stream.done() for stream in streams] == [False, False]
    await runtime.db.write(assign_positions)  # type: ignore[arg-type]  # how many is of no interest
    async with asyncio.timeout(10):
        whole, rest = await asyncio.gather(*streams)

    assert told(whole.text) == everything
    assert (rest.status_code, told(rest.text)) == (200, everything[-1:])


async def test_a_run_that_needs_an_upgrade_is_not_over_for_its_stream(api: tuple[httpx.AsyncClient, Runtime]) -> None:
    http, runtime = api
    run_id = await started(http)
    await until(runtime, run_id, lambda run, records: "b" in records and run.lease_owner is None)  # type: ignore[arg-type]  # ids are text
    seen = await runtime.db.read(head)
    parked = update(runs).where(runs.c.id == run_id).values(state=RunState.NEEDS_UPGRADE, definition_format=99)
    await runtime.db.write(lambda conn: conn.execute(parked) and None)

    following = asyncio.create_task(http.get(f"/api/v1/runs/{run_id}/events", headers={"Last-Event-ID": str(seen)}))
    await asyncio.sleep(0.3)
    assert not following.done()
    await runtime.db.write(lambda conn: conn.execute(parked.values(state=RunState.ACTIVE, definition_format=DEFINITION_FORMAT)) and None)
    await http.post(f"/api/v1/runs/{run_id}/signals/go", json={"payload": {}})

    assert told((await following).text)[-1][1] == "workflow.completed"


async def test_a_quiet_stream_never_looks_twice_at_events_of_others(api: tuple[httpx.AsyncClient, Runtime]) -> None:
    http, runtime = api
    run_id = await started(http)
    await until(runtime, run_id, lambda _, records: "b" in records)  # type: ignore[arg-type]  # ids are text
    run, _ = await runtime.workflows.run(ACTOR, run_id)  # type: ignore[arg-type]  # ids are text
    streams = RunStreams(runtime)
    own = await streams.events_of(run, 0)
    others = [await started(http) for _ in range(5)]
    for other in others:
        await until(runtime, other, lambda _, records: "b" in records)  # type: ignore[arg-type]  # ids are text

    none = await streams.events_of(run, own.position)

    assert (none.rows, none.is_over, none.is_all) == ([], False, False)
    assert none.position >= own.position + 5 * 4


async def test_a_run_is_paused_resumed_and_cancelled(api: tuple[httpx.AsyncClient, Runtime]) -> None:
    http, runtime = api
    run_id = await started(http)
    await until(runtime, run_id, lambda _, records: "b" in records)  # type: ignore[arg-type]  # ids are text

    assert (await http.post(f"/api/v1/runs/{run_id}/pause")).json()["state"] == "paused"
    assert (await http.post(f"/api/v1/runs/{run_id}/resume")).json()["state"] == "active"
    assert (await http.post(f"/api/v1/runs/{run_id}/cancel")).status_code == 202
    run, _ = await finished(runtime, run_id)  # type: ignore[arg-type]  # ids are text

    assert run.state == "cancelled"
    assert (await http.post(f"/api/v1/runs/{run_id}/cancel")).status_code == 409
    again = await http.post(f"/api/v1/runs/{run_id}/rerun", json={"step": "b", "inputs": {"name": "me"}})
    assert again.status_code == 201
    assert again.json()["rerunOf"] == run_id


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/v1/workflows/none/runs", {}, 404),
        ("/api/v1/workflows/greet/runs", {"inputs": {"name": 5}}, 400),
        ("/api/v1/workflows/greet/runs", {"inputs": {}}, 400),
        ("/api/v1/workflows/greet/runs", {"texts": {"nosuch": "x"}}, 400),
        ("/api/v1/workflows/greet/runs", {"inputs": {"name": "x"}, "version": "abcdef0"}, 404),
        ("/api/v1/runs/run_none/cancel", {}, 404),
        ("/api/v1/runs/run_none/rerun", {"step": "b"}, 404),
    ],
)
async def test_what_cannot_be_done_says_so(api: tuple[httpx.AsyncClient, Runtime], path: str, body: dict[str, object], status: int) -> None:
    http, _ = api

    assert (await http.post(path, json=body)).status_code == status


async def test_a_run_that_waits_for_its_turn_says_for_which_group(api: tuple[httpx.AsyncClient, Runtime]) -> None:
    http, runtime = api
    await runtime.workflows.register(ACTOR, STEPS.replace("inputs:", "concurrency: one at a time\ninputs:", 1), "greet.yaml")
    first = await started(http)
    await until(runtime, first, lambda _, records: "b" in records)  # type: ignore[arg-type]  # ids are text
    second = await started(http)
    asked = (await http.get(f"/api/v1/runs/{second}/logs")).json()["items"]
    assert [line["message"] for line in asked] == ["the run of greet was asked for; it waits for its turn in the group one at a time"]

    page = (await http.get("/api/v1/runs", params={"state": "queued"})).json()["items"]
    shown = (await http.get(f"/api/v1/runs/{second}")).json()
    assert [(run["id"], run["waitingForGroup"]) for run in page] == [(second, "one at a time")]
    assert shown["concurrency"] == {"group": "one at a time", "limit": 1, "hasTurn": False, "ahead": 1}
    assert list(standing(shown)) == ["  waits for its turn, 1 before it, in the concurrency group one at a time (at most 1 at a time)"]
    holder = (await http.get(f"/api/v1/runs/{first}")).json()
    assert list(standing(holder)) == ["  has its turn in the concurrency group one at a time (at most 1 at a time)"]
    assert (await http.post(f"/api/v1/runs/{second}/pause")).json()["code"] == "run-queued"
    await http.post(f"/api/v1/runs/{first}/cancel")
    await until(runtime, RunId(second), lambda _, records: "b" in records)
    has_turn = (await http.get(f"/api/v1/runs/{second}/logs")).json()["items"]
    assert has_turn[1]["message"] == "the run has its turn, and begins"
    assert has_turn[1]["seq"] != has_turn[0]["seq"]
