"""A run's way into its concurrency group, inside the transaction that makes the run."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from bcce.kit.errors import InvalidInput
from bcce.kit.ids import RunId, TenantId
from bcce.kit.text import canonical_json
from bcce.workflows import repository as journal
from bcce.workflows.concurrency import repository
from bcce.workflows.concurrency.deadlocks import circle
from bcce.workflows.definition import WorkflowDefinition
from bcce.workflows.errors import ConcurrencyDeadlock
from bcce.workflows.expressions import Expressions

MAX_GROUP_CHARS = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """What a run waits for: a place in `group`, of which `at_most` runs have one; `cancels`: those before it are cancelled."""

    group: str
    at_most: int
    cancels: bool

    def enter(self, conn: Connection, run_id: RunId, tenant_id: TenantId) -> None:
        """Puts the run, whose row is there and says that it waits, at the end of the group."""
        repository.enter(conn, run_id=run_id, tenant_id=tenant_id, group=self.group, at_most=self.at_most, cancels=self.cancels)


def turn_of(definition: WorkflowDefinition, inputs: Mapping[str, object], expressions: Expressions) -> Turn | None:
    """The turn that a run with these inputs waits for; None when its workflow has no `concurrency`.

    Raises:
        InvalidInput: the inputs give the group no name, or one that is too long.
        InvalidExpression: the group's name cannot be evaluated.
    """
    concurrency = definition.concurrency
    if concurrency is None:
        return None
    value = expressions.render(concurrency.group, {"inputs": dict(inputs)})
    group = (value if isinstance(value, str) else canonical_json(value).decode()).strip()
    if not group or value is None or len(group) > MAX_GROUP_CHARS or not group.isprintable():
        raise InvalidInput(
            f"the concurrency group of workflow {definition.name!r} gets no name from these inputs",
            hint=f"a group's name has 1 to {MAX_GROUP_CHARS} characters on one line; give the inputs that `concurrency.group` reads",
        )
    return Turn(group=group, at_most=concurrency.limit, cancels=concurrency.cancel_in_progress)


def check_no_circle(conn: Connection, turn: Turn, tenant_id: TenantId, parent_id: RunId) -> None:
    """Checks that this run would not wait for one that waits for it: for a run above it in its own group, or crosswise with other groups.

    Raises:
        ConcurrencyDeadlock: it would.
    """
    above = _ancestors(conn, turn, parent_id)
    if turn.cancels:
        return  # who is in the way is cancelled, and need not end by itself
    holders = circle(conn, tenant_id, group=turn.group, at_most=turn.at_most, waiting=above)
    if holders:
        raise ConcurrencyDeadlock(
            f"in the concurrency group {turn.group!r} it would wait for the run {holders[0]}, which waits in turn for {parent_id}",
            hint="let the workflows enter their groups in the same order, or start the other one with `wait: false`",
            details={"group": turn.group, "runIds": [str(run_id) for run_id in holders[:10]]},
        )


def _ancestors(conn: Connection, turn: Turn, parent_id: RunId) -> list[RunId]:
    """The runs that would wait for this one, the nearest first; none of them may stand in its group."""
    run_id = parent_id
    found: list[RunId] = []
    while True:
        found.append(run_id)
        place = repository.place_of(conn, run_id)
        if place is not None and place.group_name == turn.group:
            raise ConcurrencyDeadlock(
                f"the run {run_id} has a place in the concurrency group {turn.group!r} and would wait for a run of the same group",
                hint="give the two workflows groups of different names, or start the other one with `wait: false`",
            )
        above = journal.get_run(conn, run_id)
        if above is None or above.parent_id is None or not repository.waits_for(conn, above.parent_id, run_id):
            return found
        run_id = above.parent_id
