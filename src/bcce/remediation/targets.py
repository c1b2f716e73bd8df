"""The targets that configuration names, resolved when they are needed."""

from collections.abc import Mapping

from bcce.execution.model import Target
from bcce.remediation.errors import UnknownTarget


class Targets:
    """Looks targets up by name. A target that configuration does not name cannot be reached by any SOP."""

    def __init__(self, targets: Mapping[str, Target], groups: Mapping[str, tuple[str, ...]]) -> None:
        self._targets = dict(targets)
        self._groups = dict(groups)

    def groups(self, name: str) -> tuple[str, ...]:
        """The groups that the target is in; empty for none."""
        return self._groups.get(name, ())

    def get(self, name: str) -> Target:
        """The target called `name`, as configured now.

        Raises:
            UnknownTarget: configuration has none of that name.
        """
        if name not in self._targets:
            known = ", ".join(sorted(self._targets)) or "none"
            raise UnknownTarget(f"no target {name!r} is configured", hint=f"add it under execution.targets; configured: {known}")
        return self._targets[name]
