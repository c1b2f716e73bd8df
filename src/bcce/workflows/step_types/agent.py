"""`agent`: a task for whoever is installed to carry out such tasks, within the step's policy."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field

from bcce.plugins import Registry, Services
from bcce.workflows.agent_runner import AgentPolicy, AgentRunner, AgentTask, Touched
from bcce.workflows.errors import AgentPolicyViolated, AgentTimedOut, NoAgentRunner
from bcce.workflows.form import did_you_mean
from bcce.workflows.model import Effect, StepResult
from bcce.workflows.step_type import Done, Lack, StepContext, StepOutcome

#: How many violations an error tells of.
_TOLD = 5


class PolicyParams(BaseModel):
    """The limits of an agent's step."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timeout_seconds: int = Field(default=30, ge=1, le=86_400, description="How long the agent may work.")
    max_files: int = Field(default=10, ge=0, le=100_000, description="How many files it may look at.")
    max_edits: int = Field(default=5, ge=0, le=100_000, description="How many edits it may make.")
    allowed_paths: tuple[str, ...] = Field(default=("**/*",), description="Patterns of the paths it may touch.")
    cmd_allowlist: tuple[str, ...] = Field(default=(), description="The commands it may run; none when it is empty.")


class AgentParams(BaseModel):
    """Parameters of `agent`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str | None = Field(
        default=None, min_length=1, max_length=65_536, description="What is to be done; without it the step's id says it."
    )
    model: str | None = Field(default=None, max_length=200, description="The model to use; the runner's own choice without it.")
    runner: str | None = Field(default=None, max_length=100, description="Who does it; needed only when several runners are installed.")
    context: dict[str, Any] = Field(default_factory=dict, description="Values of earlier steps.")
    policy: PolicyParams = Field(default_factory=PolicyParams, description="The limits of what it may do.")


class AgentStep:
    """Has an agent do something. Output: what it gave, and `touched`: `{read, edited, commands}`; a breach of its policy fails it."""

    name = "agent"
    effect = Effect.KEYED
    params: type[BaseModel] = AgentParams

    def __init__(self, runners: Mapping[str, AgentRunner]) -> None:
        self._runners = runners

    @classmethod
    def build(cls, services: Services) -> "AgentStep":
        """Wires the step with every installed runner."""
        return cls(Registry("bcce.agent_runners", AgentRunner).build_all(services))  # type: ignore[type-abstract]  # a door

    def lack(self, given: Mapping[str, object]) -> Lack | None:
        """Why nobody here could do a step with these parameters; None when somebody could."""
        name = given.get("runner")
        if self._runners and isinstance(name, str) and "{{" in name:
            return None  # only the run knows
        try:
            self._runner(name if isinstance(name, str) else None)
        except NoAgentRunner as error:
            return Lack(rule="workflow.no-agent-runner", message=error.message, hint=error.hint or "", key="type")
        return None

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Has the task done in its time, then holds what was touched against the policy."""
        given = cast(AgentParams, params)
        runner = self._runner(given.runner)
        policy = AgentPolicy(**given.policy.model_dump())
        task = AgentTask(
            run_id=context.run_id,
            tenant_id=context.tenant_id,
            name=context.key,
            attempt=context.attempt,
            idempotency_key=context.idempotency_key,
            prompt=given.prompt,
            model=given.model,
            context=given.context,
            policy=policy,
        )
        try:
            async with asyncio.timeout(policy.timeout_seconds):
                result = await runner.run(task)
        except TimeoutError as error:
            message = f"the agent took longer than the {policy.timeout_seconds} s of its policy and was stopped"
            raise AgentTimedOut(message, hint="give `policy.timeout_seconds` more, or the agent less to do") from error
        violations = policy.violations(result.touched)
        if violations:
            more = f", and {len(violations) - _TOLD} more" if len(violations) > _TOLD else ""
            raise AgentPolicyViolated(
                f"the agent did what its policy does not allow: {'; '.join(violations[:_TOLD])}{more}",
                hint="look at what it left behind; it is not undone",
                details={"violations": violations[:100]},
            )
        output = {**result.output, "touched": _shown(result.touched)}
        return Done(result=StepResult(status="completed", output=output, resources_used=result.resources_used))

    def _runner(self, name: str | None) -> AgentRunner:
        """The runner of that name, or the only one."""
        if not self._runners:
            raise NoAgentRunner(
                "nobody is installed who could do a step of type 'agent'",
                hint="install a package that brings an agent runner (an entry point of bcce.agent_runners), or take the step out",
            )
        if name is None and len(self._runners) > 1:
            raise NoAgentRunner("several agent runners are installed", hint=f"add `runner:` with one of {', '.join(sorted(self._runners))}")
        if name is not None and name not in self._runners:
            raise NoAgentRunner(f"there is no agent runner {name!r}", hint=did_you_mean(name, self._runners, "installed"))
        return next(iter(self._runners.values())) if name is None else self._runners[name]


def _shown(touched: Touched) -> dict[str, object]:
    commands = [list(command) for command in touched.commands]
    return {"read": list(touched.read), "edited": list(touched.edited), "commands": commands}
