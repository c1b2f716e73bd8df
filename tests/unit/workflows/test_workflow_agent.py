"""`agent`: what its policy allows, what breaks it, and who does it."""

import asyncio

import pytest

from bcce.kit.errors import Unavailable
from bcce.testing.agents import ScriptedAgent
from bcce.testing.steps import step_context
from bcce.workflows.agent_runner import AgentPolicy, AgentResult, AgentRunner, Touched
from bcce.workflows.errors import AgentPolicyViolated, AgentTimedOut, NoAgentRunner
from bcce.workflows.reader import read_definition
from bcce.workflows.step_type import Done
from bcce.workflows.step_types.agent import AgentParams, AgentStep
from bcce.workflows.validation import check_support

PATHS = [
    ("**/*", "a", True),
    ("**/*", "a/b/c.py", True),
    ("src/**", "src/a/b.py", True),
    ("src/**", "srcs/a.py", False),
    ("src/**/*.py", "src/a.py", True),
    ("src/**/*.py", "src/a/b/c.py", True),
    ("src/*.py", "src/a/b.py", False),
    ("src/?.py", "src/ab.py", False),
    ("./src/*", "src/a", True),
    ("a.b", "axb", False),
    ("**/*", "/etc/passwd", False),
    ("**", "../a", False),
    ("**", "a/../../b", False),
    ("**", "a//b", False),
    ("**", "./a", False),
    ("**", "a\\..\\b", False),
    ("**", "C:/a", False),
    ("**", "a\nb", False),
    ("**", "", False),
]


@pytest.mark.parametrize(("pattern", "path", "expected"), PATHS)
def test_paths(pattern: str, path: str, expected: bool) -> None:
    assert AgentPolicy(allowed_paths=(pattern,)).allows_path(path) is expected


@pytest.mark.parametrize(
    ("allowed", "command", "expected"),
    [
        ((), ("git",), False),
        (("git",), ("git", "status"), True),
        (("git diff",), ("git", "diff", "--stat"), True),
        (("git diff",), ("git", "push"), False),
        (("git",), ("./git",), False),
        (("git",), ("gitk",), False),
        (("",), ("git",), False),
        (("git",), (), False),
    ],
)
def test_commands(allowed: tuple[str, ...], command: tuple[str, ...], expected: bool) -> None:
    assert AgentPolicy(cmd_allowlist=allowed).allows_command(command) is expected


async def result_of(agent: AgentRunner, **given: object) -> Done:
    outcome = await AgentStep({agent.name: agent}).run(step_context("look"), AgentParams.model_validate(given))
    assert isinstance(outcome, Done)
    return outcome


async def test_a_task_with_everything_and_its_result() -> None:
    touched = Touched(read=("src/a.py",), edited=("src/a.py", "src/b.py"), commands=(("git", "diff"),))
    agent = ScriptedAgent(AgentResult(output={"severity": "low"}, touched=touched, resources_used={"tokens": 7.0}))
    policy = {"max_files": 2, "max_edits": 2, "allowed_paths": ["src/**"], "cmd_allowlist": ["git"]}

    done = await result_of(agent, prompt="look", model="m", context={"a": 1}, policy=policy)

    (task,) = agent.tasks
    assert (task.name, task.prompt, task.model, task.context, task.attempt) == ("look", "look", "m", {"a": 1}, 1)
    assert task.idempotency_key == "run_test/look"
    assert (task.policy.max_files, task.policy.timeout_seconds) == (2, 30)
    assert done.result.output == {
        "severity": "low",
        "touched": {"read": ["src/a.py"], "edited": ["src/a.py", "src/b.py"], "commands": [["git", "diff"]]},
    }
    assert done.result.resources_used == {"tokens": 7.0}


def test_the_defaults_are_those_of_the_reference() -> None:
    policy = AgentParams().policy

    assert (policy.timeout_seconds, policy.max_files, policy.max_edits, policy.allowed_paths, policy.cmd_allowlist) == (
        *(30, 10, 5),
        ("**/*",),
        (),
    )


@pytest.mark.parametrize(
    ("policy", "touched", "words"),
    [
        ({"max_files": 1}, Touched(read=("a",), edited=("b",)), "2 files, max_files is 1"),
        ({"max_edits": 1}, Touched(edited=("a", "a")), "2 edits, max_edits is 1"),
        ({"max_edits": 0}, Touched(edited=("a",)), "1 edits, max_edits is 0"),
        ({"allowed_paths": ["src/*"]}, Touched(read=("docs/a",)), "'docs/a' is not in allowed_paths"),
        ({}, Touched(read=("../a",)), "'../a' is not in allowed_paths"),
        ({}, Touched(commands=(("ls",),)), "'ls' is not in cmd_allowlist"),
    ],
)
async def test_whoever_breaks_the_policy_fails(policy: dict[str, object], touched: Touched, words: str) -> None:
    with pytest.raises(AgentPolicyViolated, match="what its policy does not allow") as caught:
        await result_of(ScriptedAgent(AgentResult(output={"well": True}, touched=touched)), policy=policy)

    assert words in caught.value.message
    assert not caught.value.retryable


async def test_many_violations_are_counted() -> None:
    touched = Touched(read=tuple(f"/x{number}" for number in range(8)))
    with pytest.raises(AgentPolicyViolated, match="and 3 more"):
        await result_of(ScriptedAgent(AgentResult(output={}, touched=touched)))


async def test_an_agent_that_takes_too_long_is_stopped() -> None:
    agent = ScriptedAgent(seconds=60)
    with pytest.raises(AgentTimedOut):
        async with asyncio.timeout(20):
            await result_of(agent, policy={"timeout_seconds": 1})

    assert agent.stopped == 1


async def test_an_error_of_the_agent_is_the_steps() -> None:
    with pytest.raises(Unavailable, match="no model today"):
        await result_of(ScriptedAgent(Unavailable("no model today")))


async def test_who_does_it() -> None:
    first, second = ScriptedAgent(name="first"), ScriptedAgent(name="second")
    step = AgentStep({"first": first, "second": second})

    await step.run(step_context(), AgentParams(runner="second"))
    with pytest.raises(NoAgentRunner, match="several"):
        await step.run(step_context(), AgentParams())
    with pytest.raises(NoAgentRunner, match="'secnd'"):
        await step.run(step_context(), AgentParams(runner="secnd"))

    assert (len(first.tasks), len(second.tasks)) == (0, 1)


TEXT = "name: t\ninputs: {who: string}\nsteps:\n  - id: a\n    type: set\n    fallback:\n      type: agent\n%s"


@pytest.mark.parametrize(
    ("runners", "parameter", "hint"),
    [
        ((), "", "install a package that brings an agent runner"),
        ((), '      runner: "{{ inputs.who }}"\n', "install a package that brings an agent runner"),
        (("first", "second"), "", "add `runner:` with one of first, second"),
        (("first",), "      runner: frist\n", "did you mean 'first'?"),
        (("first",), "", None),
        (("first", "second"), '      runner: "{{ inputs.who }}"\n', None),
    ],
)
def test_a_file_without_a_runner_is_refused_with_its_place(runners: tuple[str, ...], parameter: str, hint: str | None) -> None:
    step = AgentStep({name: ScriptedAgent(name=name) for name in runners})
    findings = check_support(read_definition(TEXT % parameter), {"agent": step})

    assert [(item.rule_id, item.line, item.hint and hint and hint in item.hint) for item in findings] == (
        [("workflow.no-agent-runner", 7, True)] if hint else []
    )
