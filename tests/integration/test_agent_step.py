"""`agent` in real runs: refused without a runner, done by a registered one, stopped and failed as its policy says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.workflow_support import ACTOR, finished, look, runtime_at, start, until

from bcce.kit.errors import Unavailable
from bcce.runtime.runtime import Overrides, Runtime, open_runtime
from bcce.runtime.settings import Settings
from bcce.testing.agents import ScriptedAgent
from bcce.workflows.agent_runner import AgentResult, Touched
from bcce.workflows.errors import InvalidWorkflow
from bcce.workflows.model import RunState, StepState
from bcce.workflows.step_types.agent import AgentStep

REVIEW = """
version: "1.0"
name: "code-review"
steps:
  - name: "analyze"
    type: "agent"
    retry: {attempts: 3, base: 10ms}
  - name: "summarize"
    type: "agent"
    depends_on: ["analyze"]
    context:
      previous_output: "{{steps.analyze.output}}"
"""


@asynccontextmanager
async def opened(home: Path, agent: ScriptedAgent) -> AsyncIterator[Runtime]:
    overrides = Overrides(step_types={"agent": AgentStep({agent.name: agent})})
    async with open_runtime(Settings.model_validate({"workflows": {"sweep_s": 0.05}}), home=home, overrides=overrides) as runtime:
        yield runtime


async def test_without_a_runner_a_file_is_refused(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        with pytest.raises(InvalidWorkflow) as caught:
            await runtime.workflows.register(ACTOR, REVIEW, "review.yaml")

    findings: Any = caught.value.details["findings"]
    assert "nobody is installed" in caught.value.message
    assert "bcce.agent_runners" in (caught.value.hint or "")
    assert [(item["rule_id"], item["line"]) for item in findings] == [("workflow.no-agent-runner", 6), ("workflow.no-agent-runner", 9)]


async def test_a_runner_does_the_steps_of_the_published_dialect(tmp_path: Path) -> None:
    agent = ScriptedAgent(Unavailable("busy"), AgentResult(output={"severity": "low"}), AgentResult(output={"text": "all well"}))
    async with opened(tmp_path, agent) as runtime:
        run_id = await start(runtime, REVIEW)
        run, _ = await finished(runtime, run_id)

    assert run.state is RunState.COMPLETED
    assert [(task.name, task.attempt) for task in agent.tasks] == [("analyze", 1), ("analyze", 2), ("summarize", 1)]
    assert agent.tasks[0].idempotency_key == agent.tasks[1].idempotency_key
    previous: Any = agent.tasks[2].context["previous_output"]
    assert previous["severity"] == "low"


async def test_a_breach_of_the_policy_fails_the_step_and_is_not_tried_again(tmp_path: Path) -> None:
    agent = ScriptedAgent(AgentResult(output={"well": True}, touched=Touched(commands=(("curl", "x"),))))
    async with opened(tmp_path, agent) as runtime:
        run_id = await start(runtime, REVIEW)
        run, _ = await finished(runtime, run_id)
        _, records = await look(runtime, run_id)

    assert run.state is RunState.FAILED
    assert (records["analyze"].error or {})["code"] == "agent-policy-violated"
    assert records["analyze"].output is None
    assert len(agent.tasks) == 1


async def test_a_cancelled_run_stops_its_agent(tmp_path: Path) -> None:
    agent = ScriptedAgent(seconds=60)
    async with opened(tmp_path, agent) as runtime:
        run_id = await start(runtime, REVIEW)
        await until(runtime, run_id, lambda _, records: bool(agent.tasks))
        runtime.ring((await runtime.runs.cancel(ACTOR, run_id)).id)
        run, states = await finished(runtime, run_id)

    assert (run.state, states, agent.stopped) == (RunState.CANCELLED, {"analyze": str(StepState.CANCELLED)}, 1)
