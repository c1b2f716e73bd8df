"""Worker processes that are killed with SIGKILL at random moments: every run ends, nothing is lost, doubled or stuck.

The witness is a file outside of the database: a line for each time that something acted on the world. `BCCE_SOAK_ROUNDS` multiplies the
number of kills: 20 at first.
"""

import asyncio
import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select
from tests.integration.random_workflows import CHILD, Maker
from tests.integration.worker_process import QUICK, Worker, states, step_types, traces, wait_until
from tests.integration.workflow_support import ACTOR, OVER, events, look, open_gates

from bcce.kit.ids import RunId
from bcce.runtime.runtime import Overrides, Runtime, open_runtime
from bcce.runtime.settings import Settings
from bcce.storage.outbox import outbox
from bcce.workflows.model import StepState
from bcce.workflows.repository import LIVE
from bcce.workflows.tables import runs, steps

pytestmark = pytest.mark.soak
#: `make soak` asks for 20 rounds, and gets ten times as many kills.
ROUNDS = max(1, int(os.environ.get("BCCE_SOAK_ROUNDS", "1")) // 2)
TOGETHER = 8
SQLITE_KILLS, SERVER_KILLS = 8, 4


async def begin(home: Path, url: str | None, texts: list[str]) -> list[RunId]:
    """A run of each text, none of which has been advanced."""
    async with _opened(home, url) as runtime:
        await runtime.workflows.register(ACTOR, CHILD, "child.yaml")
        for text in texts:
            await runtime.workflows.register(ACTOR, text, "random.yaml")

        def write(conn: Connection) -> list[RunId]:
            return [
                runtime.workflows.start(ACTOR, conn, workflow=f"random{number}", inputs={}, correlation_id="cor_test")
                for number in range(len(texts))
            ]

        return await runtime.db.write(write)


def _opened(home: Path, url: str | None):  # type: ignore[no-untyped-def]  # what `open_runtime` gives
    database = {"database": {"url": url}} if url is not None else {}
    chosen = Settings.model_validate({"workflows": dict(QUICK), **database})
    return open_runtime(chosen, home=home, overrides=Overrides(step_types=step_types(home)), works=False)


async def check(runtime: Runtime, run_ids: list[RunId], texts: list[str], trace: Path) -> None:
    """That everything which the journal says was done left its trace, and how often."""
    while await runtime.db.read(lambda conn: conn.execute(select(func.count()).where(outbox.c.position.is_(None))).scalar()):  # noqa: ASYNC110 - the events are in a database
        # On a server the last events get their places a moment later.
        await asyncio.sleep(0.05)
    left = traces(trace)
    acted = Counter((line[1], line[2]) for line in left if line[0] == "act")
    keyed: dict[tuple[str, str], set[str]] = {}
    for line in left:
        if line[0] == "keyed":
            keyed.setdefault((line[1], line[2]), set()).add(line[3])
    assert max(acted.values(), default=1) == 1, "something was done twice"
    assert all(len(keys) == 1 for keys in keyed.values()), "something was asked again under another key"
    for run_id, text in zip(run_ids, texts, strict=True):
        run, records = await look(runtime, run_id)
        assert run.state in ("completed", "failed"), (run.state, text)
        assert await open_gates(runtime, run_id) == 0
        done = {(record.type, key) for key, record in records.items() if record.state is StepState.COMPLETED}
        assert {key for kind, key in done if kind == "act"} == {key for where, key in acted if where == run_id}, text
        assert {key for kind, key in done if kind == "keyed"} == {key for where, key in keyed if where == run_id}, text
        told = await events(runtime, run_id)
        assert sum(kind in ("workflow.completed", "workflow.failed") for kind, _ in told) == 1, text
        ended = Counter(str(data["stepId"]) for kind, data in told if kind == "step.completed")
        assert dict(ended) == {key: 1 for _, key in done}, text
        emitted = [str(data["event"]) for kind, data in told if kind == "workflow.event"]
        assert len(emitted) == sum(kind == "emit" for kind, _ in done), text

    def stuck(conn: Connection) -> list[int | None]:
        return [
            conn.execute(select(func.count()).where(runs.c.state.not_in(sorted(OVER)))).scalar(),
            conn.execute(select(func.count()).where(steps.c.state.in_(["started", "waiting"]))).scalar(),
            conn.execute(select(func.count()).where(runs.c.lease_owner.is_not(None))).scalar(),
        ]

    assert await runtime.db.read(stuck) == [0, 0, 0]


async def over(runtime: Runtime) -> bool:
    live = select(func.count()).where(runs.c.state.in_(LIVE))
    return not await runtime.db.read(lambda conn: conn.execute(live).scalar())


@pytest.mark.parametrize("seed", range(2 * ROUNDS))
async def test_kills_of_the_one_process_that_has_the_database(tmp_path: Path, seed: int) -> None:
    chance, home, trace = random.Random(20_000 + seed), tmp_path / "home", tmp_path / "trace"  # noqa: S311 - no secret
    texts = [Maker(chance, trace=str(trace)).text(f"random{number}") for number in range(TOGETHER)]
    run_ids = await begin(home, None, texts)
    worker = Worker(home)
    try:
        interrupted = 0
        for _ in range(SQLITE_KILLS):
            worker.start()
            # From before it has opened the database to when nearly all is over, whether the machine is quick or slow.
            time.sleep(0.03 * 2 ** chance.uniform(0, 5))  # noqa: ASYNC251 - nothing else runs here
            worker.kill()
            interrupted += "active" in states(home)
        # A dead worker's lease is long; it is forgotten at once, since nobody else can have this database.
        starts = wait_until(lambda: "active" not in states(home), [worker])
        assert starts <= 1
        assert interrupted > 0
        if starts:
            worker.stop()
        async with _opened(home, None) as runtime:
            await check(runtime, run_ids, texts, trace)
    finally:
        worker.kill()


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_kills_of_two_processes_on_one_server(tmp_path: Path, postgres_url: str, seed: int) -> None:
    chance, home, trace = random.Random(30_000 + seed), tmp_path / "home", tmp_path / "trace"  # noqa: S311 - no secret
    texts = [Maker(chance, trace=str(trace)).text(f"random{number}") for number in range(TOGETHER)]
    run_ids = await begin(home, postgres_url, texts)
    both = [Worker(home, url=postgres_url, lease_s=6, heartbeat_s=1) for _ in range(2)]
    try:
        async with _opened(home, postgres_url) as runtime:
            for worker in both:
                worker.start()
            for number in range(SERVER_KILLS):
                time.sleep(chance.uniform(0.3, 1.5))  # noqa: ASYNC251 - nothing else runs here
                both[number % 2].kill()
                both[number % 2].start()
            deadline = time.monotonic() + 90
            while not await over(runtime):
                assert all(worker.is_alive for worker in both), both[0].log.read_text()[-3000:]
                assert time.monotonic() < deadline, "something is stuck"
                time.sleep(0.1)  # noqa: ASYNC251 - as above
            for worker in both:
                worker.stop()
            # Who was killed is forgotten as well.
            await check(runtime, run_ids, texts, trace)
    finally:
        for worker in both:
            worker.kill()


LONG = 'name: random0\ninputs: {trace: string}\nsteps:\n  - {id: a, type: keyed, value: "{{ inputs.trace }}", seconds: 2}\n'


async def begin_long(home: Path, url: str | None, trace: Path) -> RunId:
    async with _opened(home, url) as runtime:
        await runtime.workflows.register(ACTOR, LONG, "long.yaml")

        def write(conn: Connection) -> RunId:
            return runtime.workflows.start(ACTOR, conn, workflow="random0", inputs={"trace": str(trace)}, correlation_id="cor_test")

        return await runtime.db.write(write)


async def test_a_dead_process_is_forgotten_at_the_next_start_however_long_its_lease_is(tmp_path: Path) -> None:
    home, trace = tmp_path / "home", tmp_path / "trace"
    run_id = await begin_long(home, None, trace)
    worker = Worker(home, lease_s=600)
    try:
        wait_until(trace.exists, [worker])
        worker.kill()
        began = time.monotonic()
        assert wait_until(lambda: "active" not in states(home), [worker]) == 1
        assert time.monotonic() - began < 60
        worker.stop()
    finally:
        worker.kill()

    assert '"event": "worker.died"' in worker.log.read_text()
    assert [line.split()[3] for line in trace.read_text().splitlines()] == [f"{run_id}/a"] * 2


async def test_a_dead_process_is_replaced_by_another_when_its_lease_is_over(tmp_path: Path, postgres_url: str) -> None:
    home, trace = tmp_path / "home", tmp_path / "trace"
    run_id = await begin_long(home, postgres_url, trace)
    first, second = (Worker(home, url=postgres_url, lease_s=6, heartbeat_s=1) for _ in range(2))
    try:
        wait_until(trace.exists, [first])
        second.start()
        time.sleep(1.5)  # noqa: ASYNC251 - nothing else runs here
        first.kill()
        began = time.monotonic()
        async with _opened(home, postgres_url) as runtime:
            while not await over(runtime):
                assert time.monotonic() - began < 60, second.log.read_text()[-3000:]
                time.sleep(0.05)  # noqa: ASYNC251 - as above
        # It had said that it lives at most a second before it died.
        assert time.monotonic() - began > 4
        second.stop()
    finally:
        first.kill()
        second.kill()

    assert '"event": "worker.died"' in second.log.read_text()
    assert [line.split()[3] for line in trace.read_text().splitlines()] == [f"{run_id}/a"] * 2
