"""The executors that are installed, by name."""

from collections.abc import Mapping

from bcce.execution.executor import Executor
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
