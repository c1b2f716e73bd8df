"""The executors that are installed, by name."""

from collections.abc import Mapping

from bcce.execution.errors import TargetNotReady
from bcce.execution.executor import Executor
from bcce.execution.model import Target
from bcce.remediation.errors import UnknownTarget


class Executors:
    """Looks executors up by the name that a target gives."""

    def __init__(self, executors: Mapping[str, Executor]) -> None:
        self._executors = dict(executors)

    def get(self, name: str) -> Executor:
        """The executor called `name`.

        Raises:
            UnknownTarget: none of that name is installed.
        """
        if name not in self._executors:
            raise UnknownTarget(f"no executor {name!r} is installed", hint=f"installed: {', '.join(sorted(self._executors)) or 'none'}")
        return self._executors[name]

    async def check_ready(self, target: Target) -> None:
        """Does nothing if scripts can be started on the target; makes its base folder if that is missing.

        Raises:
            UnknownTarget: its executor is not installed.
            TargetNotReady: with everything that is wrong.
        """
        probe = await self.get(target.executor).probe(target)
        if not probe.is_ready:
            raise TargetNotReady(f"no script can be started on {target.name!r}: {'; '.join(probe.problems)}")
