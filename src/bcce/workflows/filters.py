"""Which runs somebody wants to see. Pure."""

from dataclasses import dataclass
from datetime import datetime

from bcce.kit.errors import InvalidInput
from bcce.kit.ids import RunId
from bcce.kit.text import clean
from bcce.workflows.model import RunState


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFilter:
    """Which runs to list; what is empty or None limits nothing.

    Args:
        states: only runs in one of these states.
        workflow: only runs of the workflow with this name.
        subject: only runs about this, such as the id of an incident.
        parent: only runs that a step of this run started.
        has_children: False leaves out the runs that other runs started.
        since: only runs that were asked for at this moment or later.
        until: only runs that were asked for before this moment.
    """

    states: tuple[str, ...] = ()
    workflow: str | None = None
    subject: str | None = None
    parent: RunId | None = None
    has_children: bool = True
    since: datetime | None = None
    until: datetime | None = None

    def check(self) -> None:
        """Nothing, if there can be such runs.

        Raises:
            InvalidInput: there is no such state.
        """
        for state in self.states:
            if state not in tuple(RunState):
                raise InvalidInput(f"there is no state {clean(state, limit=60)!r}", hint=f"states: {', '.join(RunState)}")


#: Every run there is.
ALL_RUNS = RunFilter()
