"""Large outputs through whole runs: expressions see them as if they stood in the journal, and people get them as files."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from tests.integration.test_workflow_crashes import Mortal
from tests.integration.test_workflow_runs import text
from tests.integration.workflow_support import ACTOR, OVER, Work, finished, look, runtime_at, start

from bcce.api.app import create_app
from bcce.kit.ids import RunId, TenantId
from bcce.kit.text import digest
from bcce.runtime.runtime import Runtime, admin_token_path
from bcce.security.actor import system_actor
from bcce.storage.doors import Database
from bcce.storage.errors import DatabaseUnavailable
from bcce.workflows.errors import UnknownRun
from bcce.workflows.filters import RunFilter
from bcce.workflows.model import Artifact, RunState, completed
from bcce.workflows.step_type import Done, StepContext, StepOutcome

BIG = "x" * 40_000
SECRET = "bcce_pat_" + "s" * 40


class Leaver(Work):
    """Leaves files, and gives back a large value."""

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        files = (Artifact(name="report.csv", content=f"a,b\n{SECRET}\n", media_type="text/csv"), Artifact(name="page.html", content="<b>"))
        await super().run(context, params)
        return Done(result=completed({"value": params.value, "note": "small"}, artifacts=files))  # type: ignore[attr-defined]  # work's parameters


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[tuple[Runtime, Work]]:
    async with runtime_at(tmp_path) as pair:
        yield pair


async def names(runtime: Runtime, run_id: RunId) -> list[str]:
    return [f"{item.step or ''}/{item.name}" for item in await runtime.artifacts.list(ACTOR, run_id)]


async def test_an_expression_reads_a_large_value_as_if_it_were_a_small_one(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    steps = (
        '  - {id: a, type: work, value: "{{ inputs.big }}"}\n'
        '  - {id: whole, type: transform, value: "{{ steps.a.output.value }}"}\n'
        "  - {id: made, type: transform, value: \"{{ steps.a.output.value | length }} of {{ steps['a']['output']['value'][0] }}\"}\n"
        "  - {id: asked, type: set, when: \"{{ steps.a.output.value is defined and steps.a.output.value[1] == 'x' }}\", ok: true}\n"
    )
    head = 'inputs: {big: string}\noutputs: {n: "{{ steps.whole.output.value | length }}", made: "{{ steps.made.output.value }}"}\n'
    run_id = await start(runtime, text(steps, head=head), big=BIG)

    run, states = await finished(runtime, run_id)
    _, records = await look(runtime, run_id)

    assert (run.state, run.output) == (RunState.COMPLETED, {"n": 40_000, "made": "40000 of x"})
    assert states["asked"] == "completed"
    reference = {"artifact": digest(BIG.encode()), "bytes": 40_000, "type": "text/plain; charset=utf-8"}
    assert records["a"].output == {"value": reference}
    assert records["whole"].output == {"value": reference}
    assert await names(runtime, run_id) == ["a/output.value", "whole/output.value"]


async def test_a_large_value_may_have_the_name_of_a_method(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    steps = (
        '  - {id: get, type: set, items: "{{ inputs.big }}"}\n'
        '  - {id: copy, type: transform, value: "{{ steps.get.output.items | length }}"}\n'
        "  - {id: each, type: transform, value: \"{{ steps.get.output.values() | map('length') | list }}\"}\n"
    )
    head = 'inputs: {big: string}\noutputs: {n: "{{ steps.copy.output.value }}", each: "{{ steps.each.output.value }}"}\n'
    run_id = await start(runtime, text(steps, head=head), big=BIG)

    run, _ = await finished(runtime, run_id)

    assert run.output == {"n": 40_000, "each": [40_000]}


async def test_a_loop_behind_a_large_value_sees_its_turn_and_the_value(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    steps = (
        '  - {id: a, type: work, value: "{{ inputs.big }}"}\n'
        "  - id: each\n    type: foreach\n    items: [p, q]\n    steps:\n"
        '      - {id: first, type: work, value: "{{ item }}{{ index }}{{ steps.a.output.value | length }}"}\n'
        "      - {id: only, type: work, when: \"{{ item == 'q' }}\", value: 1}\n"
        '      - id: inner\n        type: foreach\n        items: ["{{ item }}!"]\n        steps:\n'
        '          - {id: last, type: work, value: "{{ steps.each.item }}{{ item }}"}\n'
        "      - id: asked\n        type: condition\n        condition: index == 1\n        then: [{id: yes, type: work}]\n"
    )
    run_id = await start(runtime, text(steps, head="inputs: {big: string}\n"), big=BIG)

    run, states = await finished(runtime, run_id)
    _, records = await look(runtime, run_id)

    assert run.state is RunState.COMPLETED, run.error
    assert [records[f"first[{n}]"].output for n in (0, 1)] == [{"value": "p040000"}, {"value": "q140000"}]
    assert [records[f"last[{n}][0]"].output for n in (0, 1)] == [{"value": "pp!"}, {"value": "qq!"}]
    assert (states["only[0]"], states["only[1]"], "yes[0]" in states, states["yes[1]"]) == ("skipped", "completed", False, "completed")


async def test_a_value_that_looks_like_a_reference_stays_what_it_is(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    foreign = {"artifact": digest(b"something of somebody"), "bytes": 21, "type": "text/plain; charset=utf-8"}
    steps = f"  - {{id: a, type: work, value: {json.dumps(foreign)}}}\n"
    run_id = await start(runtime, text(steps, head='outputs: {v: "{{ steps.a.output.value }}"}\n'))

    run, _ = await finished(runtime, run_id)

    assert run.output == {"v": foreign}


async def test_what_a_run_gives_back_may_be_large_and_its_parent_reads_it(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    child = text(
        '  - {id: a, type: work, value: "{{ inputs.big }}"}\n',
        name="child",
        head='inputs: {big: string}\noutputs: {v: "{{ steps.a.output.value }}"}\n',
    )
    await runtime.workflows.register(ACTOR, child, "child.yaml")
    steps = '  - {id: c, type: workflow, workflow: child, inputs: {big: "{{ inputs.big }}"}}\n'
    run_id = await start(runtime, text(steps, head='inputs: {big: string}\noutputs: {n: "{{ steps.c.output.v | length }}"}\n'), big=BIG)

    run, _ = await finished(runtime, run_id)

    assert run.output == {"n": 40_000}
    (other,) = await runtime.workflows.runs(ACTOR, RunFilter(workflow="child"))
    assert await names(runtime, other.id) == ["a/output.value", "/output.v"]


async def test_large_results_of_a_loop_become_one_artifact_whose_parts_can_be_read(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    loop = (
        "  - id: each\n    type: foreach\n    items: [1, 2, 3]\n    steps:\n"
        '      - {id: big, type: work, value: "{{ inputs.big ~ item }}"}\n'
        '  - {id: one, type: transform, value: "{{ steps.each.output.results[1].value[-3:] }}"}\n'
        "  - {id: all, type: transform, value: \"{{ steps.each.output.results | map(attribute='value') | map('length') | list }}\"}\n"
    )
    head = "inputs: {big: string}\n"
    head += 'outputs: {one: "{{ steps.one.output.value }}", all: "{{ steps.all.output.value }}", n: "{{ steps.each.output.count }}"}\n'
    run_id = await start(runtime, text(loop, head=head), big=BIG)

    run, _ = await finished(runtime, run_id)
    _, records = await look(runtime, run_id)

    assert run.output == {"one": "xx2", "all": [40_001] * 3, "n": 3}
    assert records["each"].output is not None
    assert records["each"].output["results"].keys() == {"artifact", "bytes", "type"}  # type: ignore[attr-defined]  # a reference
    assert records["each"].output["items"] == [1, 2, 3]


async def test_a_new_run_from_a_step_takes_the_artifacts_of_those_before_over(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    steps = (
        '  - {id: a, type: work, value: "{{ inputs.big }}"}\n  - {id: b, type: transform, value: "{{ steps.a.output.value | length }}"}\n'
    )
    first = await start(runtime, text(steps, head='inputs: {big: string}\noutputs: {n: "{{ steps.b.output.value }}"}\n'), big=BIG)
    await finished(runtime, first)

    second = await runtime.runs.rerun(ACTOR, first, step="b", inputs={"big": "small"})
    runtime.ring(second)
    run, _ = await finished(runtime, second)

    assert run.output == {"n": 40_000}
    assert await names(runtime, second) == ["a/output.value"]


async def test_limits_are_clear_errors_and_leave_the_run_usable(tmp_path: Path) -> None:
    steps = (
        '  - {id: much, type: work, value: "{{ inputs.big }}", on_failure: continue}\n'
        '  - {id: one, type: work, value: "{{ inputs.big[:20000] }}", on_failure: continue}\n'
        '  - {id: two, type: work, value: "{{ inputs.big[:20001] }}", on_failure: continue}\n'
        '  - id: each\n    type: foreach\n    items: [1, 2]\n    steps:\n      - {id: some, type: work, value: "{{ inputs.big[:9000] }}"}\n'
    )
    async with runtime_at(tmp_path, artifact_max_bytes=30_000, artifact_run_max_bytes=30_000) as (runtime, _):
        run_id = await start(runtime, text(steps, head="inputs: {big: string}\n"), big=BIG)
        run, _ = await finished(runtime, run_id)
        _, records = await look(runtime, run_id)

        assert [(records[key].error or {}).get("code") for key in ("much", "one", "two")] == [
            "output-too-large",
            None,
            "artifacts-over-limit",
        ]
        assert "output.value has 40000 bytes; an artifact may have 30000" in str(records["much"].error)
        assert "40001 bytes of artifacts; it may have 30000" in str(records["two"].error)
        assert records["each"].output is not None
        assert (records["each"].state, records["each"].output["results"]) == ("completed", None)
        assert run.state is RunState.COMPLETED
        assert await names(runtime, run_id) == ["one/output.value"]


async def test_the_outputs_of_a_run_count_in_its_limit(tmp_path: Path) -> None:
    head = 'inputs: {big: string}\noutputs: {all: "{{ steps.a.output.value }}"}\n'
    steps = '  - {id: a, type: work, value: "{{ inputs.big }}"}\n'
    ended = []
    for limit in (79_999, 80_000):
        async with runtime_at(tmp_path / str(limit), artifact_run_max_bytes=limit, artifact_max_bytes=50_000) as (runtime, _):
            run, states = await finished(runtime, await start(runtime, text(steps, head=head), big=BIG))
            ended.append((run.state, run.error and run.error["code"], states["a"], await names(runtime, run.id)))

    assert ended == [
        (RunState.FAILED, "artifacts-over-limit", "completed", ["a/output.value"]),
        (RunState.COMPLETED, None, "completed", ["a/output.value", "/output.all"]),
    ]


async def test_files_of_a_step_are_listed_fetched_and_masked(tmp_path: Path) -> None:
    async with runtime_at(tmp_path, work=Leaver()) as (runtime, _):
        run_id = await start(runtime, text(f"  - {{id: a, type: work, value: '{SECRET} {BIG}'}}\n"))
        await finished(runtime, run_id)
        bearer = {"Authorization": f"Bearer {admin_token_path(tmp_path).read_text().strip()}"}
        transport = httpx.ASGITransport(create_app(runtime))
        async with httpx.AsyncClient(transport=transport, base_url="http://bcce.local", headers=bearer, timeout=30) as http:
            page = (await http.get(f"/api/v1/runs/{run_id}/artifacts", params={"limit": 2})).json()
            rest = (await http.get(f"/api/v1/runs/{run_id}/artifacts", params={"limit": 2, "cursor": page["next"]})).json()
            items = {item["name"]: item for item in [*page["items"], *rest["items"]]}
            answers = {name: await http.get(f"/api/v1/runs/{run_id}/artifacts/{item['digest']}") for name, item in items.items()}
            missing = await http.get(f"/api/v1/runs/{run_id}/artifacts/{digest(b'')}")
            nonsense = await http.get(f"/api/v1/runs/{run_id}/artifacts/zzz")

    assert items.keys() == {"output.value", "report.csv", "page.html"}
    assert rest["next"] is None
    assert answers["report.csv"].content == b"a,b\n[redacted]\n"
    assert SECRET not in answers["output.value"].text
    assert items["output.value"]["digest"] == digest(answers["output.value"].content)
    page_answer = answers["page.html"].headers
    assert (page_answer["content-type"], page_answer["x-content-type-options"]) == ("text/plain; charset=utf-8", "nosniff")
    assert (page_answer["content-security-policy"], page_answer["cache-control"]) == ("default-src 'none'; sandbox", "no-store")
    assert page_answer["content-disposition"] == "attachment; filename*=UTF-8''page.html"
    assert answers["report.csv"].headers["content-type"] == "application/octet-stream"
    assert [(answer.status_code, answer.json()["code"]) for answer in (missing, nonsense)] == [(404, "unknown-artifact")] * 2


async def test_another_tenant_sees_neither_list_nor_content(opened: tuple[Runtime, Work]) -> None:
    runtime, _ = opened
    run_id = await start(runtime, text(f"  - {{id: a, type: work, value: {BIG}}}\n"))
    await finished(runtime, run_id)
    stranger = system_actor("test", TenantId("other"))

    with pytest.raises(UnknownRun):
        await runtime.artifacts.list(stranger, run_id)
    with pytest.raises(UnknownRun):
        await runtime.artifacts.get(stranger, run_id, digest(BIG.encode()))


async def through_deaths(home: Path, source: str, deaths: list[tuple[int, bool]]) -> RunId:
    """Runs the text while the process dies at the given writes, and then to its end."""
    mortal: Mortal | None = None
    run_id: RunId | None = None

    def wrap(real: Database) -> Database:
        nonlocal mortal
        mortal = Mortal(real, *deaths.pop(0)) if deaths and run_id is not None else Mortal(real, 1 << 60)
        return mortal  # type: ignore[return-value]  # it passes the rest on

    async with runtime_at(home, wrap=wrap) as (runtime, _):
        run_id = await start(runtime, source)
    async with asyncio.timeout(60):
        while True:
            try:
                async with runtime_at(home, wrap=wrap) as (runtime, _):
                    assert mortal is not None
                    while not mortal.is_dead:
                        run, _ = await look(runtime, run_id)
                        if run.state in OVER and not deaths:
                            return run_id
                        if run.state in OVER:
                            deaths.clear()
                        await asyncio.sleep(0.005)
            except DatabaseUnavailable:
                continue


@pytest.mark.parametrize("dies_at", range(2, 14, 2))
async def test_artifacts_and_the_end_of_their_step_share_a_commit(tmp_path: Path, dies_at: int) -> None:
    """Wherever the worker dies: a step has ended if and only if what it left is there, once."""
    steps = f"  - {{id: w, type: work, seconds: 0.2}}\n  - {{id: a, type: work, value: {BIG}a}}\n  - {{id: b, type: work, value: {BIG}b}}\n"

    run_id = await through_deaths(tmp_path, text(steps), [(dies_at, False), (dies_at + 1, True)])

    async with runtime_at(tmp_path) as (runtime, _):
        _, records = await look(runtime, run_id)
        assert await names(runtime, run_id) == ["a/output.value", "b/output.value"]
        for key in "ab":
            value: Any = (records[key].output or {})["value"]
            _, content = await runtime.artifacts.get(ACTOR, run_id, value["artifact"])
            assert content.decode() == BIG + key
