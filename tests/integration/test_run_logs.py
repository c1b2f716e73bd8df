"""The log of a run: what steps say and what the engine does, in one sequence, once, whatever happens in between."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from sqlalchemy import update
from tests.integration.test_run_artifacts import through_deaths
from tests.integration.test_workflow_runs import text
from tests.integration.workflow_support import ACTOR, Work, finished, look, runtime_at, start, until

from bcce.api.app import create_app
from bcce.kit.errors import InvalidInput
from bcce.kit.ids import RunId, TenantId
from bcce.runtime.runtime import Runtime, admin_token_path
from bcce.security.actor import system_actor
from bcce.storage.errors import DatabaseUnavailable
from bcce.workflows.errors import UnknownRun
from bcce.workflows.filters import RunFilter
from bcce.workflows.logs.model import LogLine
from bcce.workflows.model import completed
from bcce.workflows.step_type import Done, Park, StepContext, StepOutcome
from bcce.workflows.tables import runs

SECRET = "bcce_pat_" + "s" * 40


class Talker(Work):
    """Says the lines that its value holds, with the time of the step in between."""

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        lines = params.value if isinstance(params.value, list) else []  # type: ignore[attr-defined]  # work's parameters
        for line in lines[:-1]:
            context.log(str(line))
        outcome = await super().run(context, params)
        for line in lines[-1:]:
            context.log(str(line), level="warning", facts={"n": len(lines)})
        return outcome


class Poller(Work):
    """Says something at each of many looks."""

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        self.calls.append(context.key)
        context.log(f"look {len(self.calls)}")
        if len(self.calls) < 12:
            return Park(waiting_for="enough looks", kind="timer", name="t", wake_after=timedelta(milliseconds=1))
        return Done(result=completed())


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Runtime]:
    async with runtime_at(tmp_path, work=Talker()) as (runtime, _):
        yield runtime


async def read(runtime: Runtime, run_id: RunId, **options: Any) -> list[LogLine]:
    return list((await runtime.logs.page(ACTOR, run_id, **options)).lines)


def said(lines: list[LogLine]) -> list[tuple[str | None, str]]:
    return [(line.step, line.message.partition(" after ")[0]) for line in lines]


async def test_steps_and_engine_speak_in_one_order_of_time(opened: Runtime) -> None:
    steps = "  - {id: a, type: work, value: [one, two]}\n  - {id: b, type: work, value: [], when: '{{ inputs.yes }}'}\n"
    run_id = await start(opened, text(steps, head="inputs: {yes: {type: boolean, default: false}}\n"))
    await finished(opened, run_id)

    lines = await read(opened, run_id)

    assert said(lines) == [
        (None, "the run of test was asked for"),
        ("a", "began (work)"),
        ("a", "one"),
        ("a", "two"),
        ("a", "completed"),
        ("b", "skipped: its condition does not hold: {{ inputs.yes }}"),
        (None, "the run ended well"),
    ]
    assert (lines[3].level, lines[3].facts, lines[3].attempt) == ("warning", {"n": 2}, 1)
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert len({line.seq for line in lines}) == len(lines)


async def test_failures_say_why_and_until_when(opened: Runtime) -> None:
    steps = "  - {id: a, type: work, value: [try], fails: 1, retry: {attempts: 2, base: 20ms}}\n"
    steps += "  - {id: b, type: work, fails: -1, retryable: false}\n"
    run_id = await start(opened, text(steps))
    await finished(opened, run_id)

    lines = await read(opened, run_id)

    (retried,) = [line for line in lines if "tried again" in line.message]
    assert "it fails as it was told  [unavailable]; it is tried again at 20" in retried.message
    assert [line.attempt for line in lines if line.message == "try"] == [2]
    failed, ended = (line for line in lines if line.level == "error")
    assert (failed.step, failed.message.partition(": ")[2].partition("  [")[0]) == ("b", "it fails for good")
    assert (ended.step, ended.message.partition(": ")[2].partition("  [")[0]) == (None, "step b: it fails for good")


async def test_pages_join_without_gap_or_double_wherever_they_are_cut(opened: Runtime) -> None:
    steps = "".join(f"  - {{id: s{n}, type: work, depends_on: [], value: [a{n}, b{n}, c{n}]}}\n" for n in range(6))
    run_id = await start(opened, text(steps))
    await finished(opened, run_id)
    whole = sorted(line.seq for line in await read(opened, run_id))

    for limit in (1, 2, 3, 7, len(whole)):
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = await opened.logs.page(ACTOR, run_id, after=cursor, limit=limit)
            assert len(page.lines) <= limit
            found += [line.seq for line in page.lines]
            cursor = page.next
            if cursor is None:
                break
        assert sorted(found) == whole

    assert len(whole) == 6 * 5 + 2


async def test_a_reader_who_follows_gets_every_line_once(opened: Runtime) -> None:
    steps = "".join(f"  - {{id: s{n}, type: work, seconds: 0.05, value: [a{n}, b{n}]}}\n" for n in range(4))
    run_id = await start(opened, text(steps))
    found: list[LogLine] = []
    cursor: str | None = None
    async with asyncio.timeout(20):
        while not any(line.message.startswith("the run ended") for line in found):
            page = await opened.logs.page(ACTOR, run_id, after=cursor, limit=3)
            found += page.lines
            cursor = page.follow
            await asyncio.sleep(0.01)

    assert sorted(line.seq for line in found) == sorted(line.seq for line in await read(opened, run_id))
    assert [line.message for line in found if line.step and line.message[0] in "ab" and len(line.message) == 2] == [
        message for n in range(4) for message in (f"a{n}", f"b{n}")
    ]


async def test_a_step_is_chosen_by_its_id_in_all_turns_or_by_one_key(opened: Runtime) -> None:
    steps = "  - id: each\n    type: foreach\n    items: [x, y]\n    steps:\n      - {id: look, type: work, value: ['{{ item }}']}\n"
    run_id = await start(opened, text(steps))
    await finished(opened, run_id)

    assert {line.step for line in await read(opened, run_id, step="look")} == {"look[0]", "look[1]"}
    assert said(await read(opened, run_id, step="look[1]")) == [("look[1]", "began (work)"), ("look[1]", "y"), ("look[1]", "completed")]
    assert await read(opened, run_id, step="each") != []
    with pytest.raises(InvalidInput, match="has no step 'nothing'"):
        await read(opened, run_id, step="nothing")


async def test_a_long_call_is_heard_while_it_goes_on(opened: Runtime) -> None:
    run_id = await start(opened, text("  - {id: a, type: work, seconds: 3, value: [early, late]}\n"))
    async with asyncio.timeout(2.9):
        while ("a", "early") not in said(await read(opened, run_id)):  # noqa: ASYNC110 - the log is in a database
            await asyncio.sleep(0.05)
    _, records = await look(opened, run_id)
    assert records["a"].state == "started"

    await opened.runs.cancel(ACTOR, run_id)
    opened.ring(run_id)
    await finished(opened, run_id)

    lines = await read(opened, run_id)
    assert [message for step, message in said(lines) if step == "a"] == ["began (work)", "early", "stopped before its end"]
    assert "test asked for the run to be stopped" in [line.message for line in lines]


async def test_an_attempt_has_its_limit_over_all_its_looks(tmp_path: Path) -> None:
    async with runtime_at(tmp_path, work=Poller(), log_max_lines=5) as (runtime, _):
        run_id = await start(runtime, text("  - {id: a, type: work}\n"))
        await finished(runtime, run_id)

        messages = [line.message for line in await read(runtime, run_id, step="a")]

    assert [message for message in messages if message.startswith("look")] == [f"look {n}" for n in range(1, 6)]
    assert [message for message in messages if "left out" in message]


async def test_too_many_lines_are_counted_and_secrets_are_masked(tmp_path: Path) -> None:
    async with runtime_at(tmp_path, work=Talker(), log_max_lines=3) as (runtime, _):
        run_id = await start(runtime, text(f"  - {{id: a, type: work, value: [1, 'key {SECRET}', 3, 4, 5]}}\n"))
        await finished(runtime, run_id)

        messages = [line.message for line in await read(runtime, run_id, step="a")]

    assert messages[1:-1] == ["1", "key [redacted]", "3", "… 2 lines left out"]


class Fragile(Talker):
    """Takes the engine along at its first call."""

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        self.calls.append(context.key)
        if len(self.calls) == 1:
            raise DatabaseUnavailable("the process dies here")
        context.log("second life")
        return Done(result=completed())


async def test_a_run_that_was_taken_over_says_so(tmp_path: Path) -> None:
    work = Fragile()
    async with runtime_at(tmp_path, work=work) as (runtime, _):
        run_id = await start(runtime, text("  - {id: a, type: work}\n"))
        await until(runtime, run_id, lambda run, _: run.lease_owner is not None or run.state == "completed")
        await runtime.db.write(lambda conn: conn.execute(update(runs).where(runs.c.id == run_id).values(lease_owner="wrk_dead")) and None)
        await finished(runtime, run_id)

        lines = said(await read(runtime, run_id))

    assert (None, "suspect: its worker died or broke, and the run is taken up again") in lines
    assert [message for _, message in lines].count("second life") == 1


async def test_another_tenant_reads_nothing_and_a_cursor_is_one(opened: Runtime) -> None:
    run_id = await start(opened, text("  - {id: a, type: work}\n"))

    with pytest.raises(UnknownRun):
        await opened.logs.page(system_actor("test", TenantId("other")), run_id)
    for cursor in ("", "x", "1", "1.x", "9" * 30 + ".1"):
        with pytest.raises(InvalidInput, match="is no cursor of a log"):
            await opened.logs.page(ACTOR, run_id, after=cursor)


async def test_a_child_says_whose_it_is_and_a_wait_how_it_ended(opened: Runtime) -> None:
    await opened.workflows.register(ACTOR, text("  - {id: c, type: work, value: [inner]}\n", name="child"), "child.yaml")
    steps = "  - {id: w, type: workflow, workflow: child}\n  - {id: t, type: wait, duration: 10ms}\n  - {id: e, type: emit, event: told}\n"
    run_id = await start(opened, text(steps))
    await finished(opened, run_id)
    (child,) = await opened.workflows.runs(ACTOR, RunFilter(workflow="child"))

    lines = said(await read(opened, run_id))

    assert ("w", f"starts the run {child.id} of child") in lines
    assert ("w", f"the run {child.id} of child is completed") in lines
    assert ("t", "the time is up") in lines
    assert ("e", "published the event told") in lines
    assert "inner" not in [message for _, message in lines]


async def test_the_log_in_the_api(tmp_path: Path) -> None:
    async with runtime_at(tmp_path, work=Talker()) as (runtime, _):
        run_id = await start(runtime, text("  - {id: a, type: work, value: [one, two]}\n"))
        await finished(runtime, run_id)
        bearer = {"Authorization": f"Bearer {admin_token_path(tmp_path).read_text().strip()}"}
        transport = httpx.ASGITransport(create_app(runtime))
        async with httpx.AsyncClient(transport=transport, base_url="http://bcce.local", headers=bearer, timeout=30) as http:
            page = (await http.get(f"/api/v1/runs/{run_id}/logs", params={"step": "a", "limit": 3})).json()
            rest = (await http.get(f"/api/v1/runs/{run_id}/logs", params={"step": "a", "cursor": page["next"]})).json()
            bad = await http.get(f"/api/v1/runs/{run_id}/logs", params={"cursor": "x"})

    assert [line["message"] for line in page["items"]] == ["began (work)", "one", "two"]
    assert page["items"][2].keys() == {"seq", "at", "level", "step", "attempt", "message", "facts"}
    assert [line["message"].partition(" ")[0] for line in rest["items"]] == ["completed"]
    assert (rest["next"], bad.status_code) == (None, 400)
    assert rest["follow"]


@pytest.mark.parametrize("dies_at", range(2, 14, 2))
async def test_a_death_neither_loses_nor_doubles_lines_of_an_ended_step(tmp_path: Path, dies_at: int) -> None:
    """Steps of support's `work` say nothing, so a `wait` speaks: one line with its end, wherever the worker dies."""
    steps = "  - {id: w, type: work, seconds: 0.2}\n" + "".join(f"  - {{id: t{n}, type: wait, duration: 1ms}}\n" for n in range(3))

    run_id = await through_deaths(tmp_path, text(steps), [(dies_at, False), (dies_at + 1, True)])

    async with runtime_at(tmp_path) as (runtime, _):
        await until(runtime, run_id, lambda run, _: run.state == "completed")
        lines = said(await read(runtime, run_id))
    assert [step for step, message in lines if message == "the time is up"] == ["t0", "t1", "t2"]
    assert [step for step, message in lines if message == "completed"] == ["w", "t0", "t1", "t2"]
