"""Lists of more items than one loop takes: the examples of the documentation do them all."""

import re
from pathlib import Path

from tests.architecture.source import ROOT
from tests.integration.workflow_support import ACTOR, finished, look, runtime_at, start

from bcce.workflows.filters import RunFilter
from bcce.workflows.model import RunState

PAGE = (ROOT / "docs" / "workflows.md").read_text(encoding="utf-8")
HOSTS = [f"host-{number}" for number in range(620)]


def example(name: str) -> str:
    """The page's example of this name."""
    (found,) = [block for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE) if f"name: {name}\n" in block]
    return str(found)


async def test_one_loop_says_how_to_do_more(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        run, _ = await finished(runtime, await start(runtime, example("check-hosts"), hosts=HOSTS))

    assert run.error is not None
    assert (run.error["code"], run.error["message"]) == ("invalid-input", "'each' has 620 items; one loop takes 500")
    assert "batch(100)" in str(run.error["hint"])


async def test_loops_in_a_loop_do_a_long_list(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        run_id = await start(runtime, example("check-many-hosts"), hosts=HOSTS)
        run, _ = await finished(runtime, run_id, seconds=60)
        _, records = await look(runtime, run_id)

    assert run.state is RunState.COMPLETED, run.error
    assert records["parts"].output is not None
    assert records["parts"].output["count"] == 7
    said = [(records[f"look[{number // 100}][{number % 100}]"].output or {}).get("value") for number in range(620)]
    assert said == [f"{number // 100}.{number % 100}: host-{number}" for number in range(620)]


async def test_runs_for_the_parts_do_a_long_list(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        await runtime.workflows.register(ACTOR, example("check-hosts"), "test.yaml")
        run, _ = await finished(runtime, await start(runtime, example("check-very-many-hosts"), hosts=HOSTS), seconds=60)
        children = await runtime.workflows.runs(ACTOR, RunFilter(workflow="check-hosts"))

    assert run.state is RunState.COMPLETED, run.error
    assert {child.state for child in children} == {RunState.COMPLETED}
    assert sorted(len(child.inputs["hosts"]) for child in children) == [120, 250, 250]
