"""A run that kills whatever process advances it: it ends in the dead letter, and takes nobody along."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.integration.worker_process import Worker, states, step_types, wait_until
from tests.integration.workflow_support import ACTOR, events, look

from bcce.kit.ids import RunId
from bcce.runtime.runtime import Overrides, open_runtime
from bcce.runtime.settings import Settings
from bcce.workflows.filters import RunFilter

LIMIT = 3
POISON = (
    "name: poison\ninputs: {{trace: string}}\nsteps:\n  - {{id: a, type: set, x: 1}}\n"
    '  - {{id: p, type: poison, value: "{{{{ inputs.trace }}}}", seconds: {seconds}}}\n'
)
# Long enough for all of them to be in progress whenever the poison strikes.
WELL = "name: well\nsteps:\n" + "".join(f"  - {{id: s{number}, type: work, seconds: 0.05}}\n" for number in range(6))


async def begin(home: Path, trace: Path, *, seconds: float, poisons: int, count: int) -> tuple[list[RunId], list[RunId]]:
    """The poison's runs and the healthy ones, none of which has begun; the poison stands in their midst."""
    async with open_runtime(Settings(), home=home, overrides=Overrides(step_types=step_types(home)), works=False) as runtime:
        await runtime.workflows.register(ACTOR, POISON.format(seconds=seconds), "poison.yaml")
        await runtime.workflows.register(ACTOR, WELL, "well.yaml")

        def write(conn: Connection) -> tuple[list[RunId], list[RunId]]:
            def one(name: str, **inputs: object) -> RunId:
                return runtime.workflows.start(ACTOR, conn, workflow=name, inputs=inputs, correlation_id="cor_test")

            before = [one("well") for _ in range(count // 2)]
            bad = [one("poison", trace=str(trace)) for _ in range(poisons)]
            return bad, before + [one("well") for _ in range(count - len(before))]

        return await runtime.db.write(write)


@pytest.mark.parametrize(
    ("poisons", "seconds", "count"), [(1, 0, 50), (1, 1.2, 10), (2, 0, 6)], ids=["among 50", "after the probation", "two"]
)
async def test_a_run_that_kills_its_process_ends_alone(tmp_path: Path, poisons: int, seconds: float, count: int) -> None:
    home, trace = tmp_path / "home", tmp_path / "trace"
    bad, healthy = await begin(home, trace, seconds=seconds, poisons=poisons, count=count)
    worker = Worker(home, crash_limit=LIMIT)
    try:
        born = wait_until(lambda: "active" not in states(home), [worker])
        worker.stop()
    finally:
        worker.kill()

    async with open_runtime(Settings(), home=home, works=False) as runtime:
        found = {run_id: (await look(runtime, run_id))[0] for run_id in (*bad, *healthy)}
        told = [data for run_id in bad for kind, data in await events(runtime, run_id) if kind == "workflow.failed"]
        listed = await runtime.workflows.runs(ACTOR, RunFilter(states=("dead",)))
    assert {found[run_id].state for run_id in healthy} == {"completed"}
    assert {(found[run_id].state, found[run_id].crashes) for run_id in bad} == {("dead", LIMIT)}
    assert {(data["errorType"], data["stepId"]) for data in told} == {("run-dead", None)}
    assert {run.id for run in listed} == set(bad)
    # Every process but the last one died of the poison.
    assert len(trace.read_text().splitlines()) >= born - 1 >= LIMIT
    logged = [json.loads(line) for line in worker.log.read_text().splitlines() if line.startswith("{")]
    assert sum(line.get("event") == "run.dead" for line in logged) == poisons
