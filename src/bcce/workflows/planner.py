"""What a run does next, decided from its definition and its journal alone: no clock, no I/O.

Steps run one after another in an order that respects `depends_on` and otherwise the file. A condition is a step whose record says which
branch
was taken; its branch's steps follow it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bcce.workflows.definition import Step, WorkflowDefinition
from bcce.workflows.model import StepRecord, StepState


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """`step` is ready and has no record yet."""

    step: Step


@dataclass(frozen=True, kw_only=True, slots=True)
class Continue:
    """`step` has begun and is to be called again: it waits, retries, or was cut off by a crash."""

    step: Step
    record: StepRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Finish:
    """Nothing is left to do. `failed` is the record of the step that failed the run, None when it ended well."""

    failed: StepRecord | None


NextMove = Start | Continue | Finish


def next_move(definition: WorkflowDefinition, records: Mapping[str, StepRecord]) -> NextMove:
    """The one thing to do now."""
    return _walk(definition.steps, records) or Finish(failed=None)


def _walk(scope: Iterable[Step], records: Mapping[str, StepRecord]) -> NextMove | None:
    """The next move inside `scope`, None when all of it is done."""
    for step in in_order(list(scope)):
        record = records.get(step.id)
        if record is None:
            return Start(step=step)
        if record.state in (StepState.STARTED, StepState.WAITING, StepState.RETRYING):
            return Continue(step=step, record=record)
        if record.state is StepState.FAILED:
            return Finish(failed=record)
        if record.state is StepState.COMPLETED and step.type == "condition":
            branch = step.then if (record.output or {}).get("branch") == "then" else step.otherwise
            inner = _walk(branch, records)
            if inner is not None:
                return inner
    return None


def in_order(scope: list[Step]) -> list[Step]:
    """`scope` in the order in which its steps run: each after what it depends on, else as written.

    Dependencies on steps outside the scope are met before the scope begins. A cycle cannot be here: validation refuses it.
    """
    here = {step.id for step in scope}
    placed: set[str] = set()
    ordered: list[Step] = []
    waiting = list(scope)
    while waiting:
        ready = next((step for step in waiting if all(name in placed or name not in here for name in step.depends_on)), waiting[0])
        waiting.remove(ready)
        placed.add(ready.id)
        ordered.append(ready)
    return ordered
