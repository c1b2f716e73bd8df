"""An agent runner that asks no model: a test says what it does."""

import asyncio

from bcce.kit.errors import BcceError
from bcce.workflows.agent_runner import AgentResult, AgentTask


class ScriptedAgent:
    """An `AgentRunner` that gives the prepared results one after the other, the last one for ever; `tasks` are what it was asked.

    Args:
        results: what comes of each task; an error is raised.
        seconds: how long each task takes.
    """

    def __init__(self, *results: AgentResult | BcceError, name: str = "scripted", seconds: float = 0.0) -> None:
        self.name = name
        self.tasks: list[AgentTask] = []
        self.stopped = 0
        self._results = list(results) or [AgentResult(output={})]
        self._seconds = seconds

    async def run(self, task: AgentTask) -> AgentResult:
        """The next result."""
        self.tasks.append(task)
        try:
            await asyncio.sleep(self._seconds)
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        result = self._results.pop(0) if len(self._results) > 1 else self._results[0]
        if isinstance(result, BcceError):
            raise result
        return result
