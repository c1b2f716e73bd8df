"""What a run that begins at a step of another one takes over from it. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bcce.kit.errors import InvalidInput
from bcce.workflows.definition import CONDITION, OnFailure, Step, StepList, Strategy, WorkflowDefinition
from bcce.workflows.errors import NotRepeatable
from bcce.workflows.form import did_you_mean
from bcce.workflows.model import StepRecord, StepState

#: How steps whose records are taken over have ended.
OVER = (StepState.COMPLETED, StepState.SKIPPED, StepState.FAILED)


@dataclass(frozen=True, slots=True)
class Taken:
    """Ids of the steps whose records a new run takes over; `scopes`, among them, are those around the step it begins at, still open."""

    steps: frozenset[str]
    scopes: frozenset[str]

    def is_copied(self, key: str) -> bool:
        """The record of this key is that of another run, and what it tells of happened there."""
        name = owner(key)
        return name in self.steps and name not in self.scopes


def owner(key: str) -> str:
    """The id of the step that a key belongs to, without its turn and what was done instead."""
    return key.partition("[")[0].partition(".")[0]


def taken_over(definition: WorkflowDefinition, step: str) -> Taken:
    """What a run that begins at `step` takes over.

    Raises:
        InvalidInput: there is no such step, or it stands in a loop.
    """
    path = _path(definition.body, step)
    if path is None:
        raise InvalidInput(f"there is no step {step[:80]!r}", hint=did_you_mean(step, definition.by_id, "steps"))
    if definition.loops[step]:
        hint = f"begin at the loop {definition.loops[step][0]!r}"
        raise InvalidInput(f"step {step!r} stands in a loop, so it has no one place to begin at", hint=hint)
    found: set[str] = set()
    for body, name in path:
        for other in body.before(name):
            found |= {inner.id for inner in body.by_id[other].walk()}
    scopes = frozenset(name for _, name in path[:-1])
    return Taken(frozenset(found) | scopes, scopes)


def _path(body: StepList, step: str) -> list[tuple[StepList, str]] | None:
    """The lists from the outermost to the one that `step` stands in, each with the id that leads on."""
    for each in body.steps:
        if each.id == step:
            return [(body, step)]
        for branch in each.branches.values():
            inner = _path(branch, step)
            if inner is not None:
                return [(body, each.id), *inner]
    return None


def check_answers(definition: WorkflowDefinition, step: str, asks: Callable[[Step], bool]) -> None:
    """Nothing, if nobody is asked before `step`: what was answered for one run would let another go on, perhaps with other inputs.

    Raises:
        NotRepeatable: somebody is.
    """
    for body, name in _path(definition.body, step) or []:
        for other in sorted(body.before(name)):
            if any(asks(inner) for inner in body.by_id[other].walk()):
                message = f"step {step!r} stands behind {other!r}, in which people are asked; they are asked anew for each run"
                raise NotRepeatable(message, hint=f"begin at {other!r}")


def check_ended(definition: WorkflowDefinition, step: str, records: Mapping[str, StepRecord]) -> None:
    """Nothing, if everything that `step` waits for has ended and let the list go on.

    Raises:
        NotRepeatable: something has not.
    """
    strategy = Strategy.ABORT
    for body, name in _path(definition.body, step) or []:
        for other in sorted(body.before(name)):
            record = records.get(other)
            if record is None or record.state not in OVER:
                raise NotRepeatable(f"step {step!r} waits for {other!r}, which has not ended in that run", hint=f"begin at {other!r}")
            if record.state is StepState.FAILED and strategy is not Strategy.CONTINUE and not _went_on(body.by_id[other], records):
                raise NotRepeatable(f"step {step!r} waits for {other!r}, which failed in that run", hint=f"begin at {other!r}")
        holder = body.by_id[name]
        strategy = Strategy.ABORT if holder.type == CONDITION else holder.strategy


def _went_on(step: Step, records: Mapping[str, StepRecord]) -> bool:
    """Whether the list that the step stands in went on behind its failure."""
    instead = records.get(step.fallback.id) if step.fallback is not None else None
    return step.on_failure is OnFailure.CONTINUE or (instead is not None and instead.state in (StepState.COMPLETED, StepState.SKIPPED))
