"""What people see of a run beside its row and its steps: the tree of its steps, the runs it started, and what it took over."""

from collections.abc import Sequence
from dataclasses import dataclass

from bcce.kit.errors import BcceError
from bcce.kit.ids import RunId
from bcce.storage.doors import Database
from bcce.workflows import repository
from bcce.workflows.definition import WorkflowDefinition
from bcce.workflows.model import Run, RunState, StepRecord
from bcce.workflows.outline import Outline, outline
from bcce.workflows.reruns import taken_over
from bcce.workflows.service import WorkflowService


@dataclass(frozen=True, kw_only=True, slots=True)
class StartedRun:
    """A run that a step started; `parent_key` is that step's key. The first of several of one step is that of its first try."""

    id: RunId
    workflow: str
    state: RunState
    parent_key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """What can be told of a run as of one moment. `copied` are the keys of steps that a re-run took over and did not execute."""

    outline: Outline
    children: tuple[StartedRun, ...]
    copied: frozenset[str]


async def overview(db: Database, workflows: WorkflowService, run: Run, attempts: Sequence[StepRecord]) -> Overview:
    """The overview of a run that its caller may see. Reads the database."""
    try:
        definition = await workflows.load(run.definition_id, run.definition_format)
    except BcceError:  # a text of a newer format: the run can be looked at all the same
        definition = None
    rows = await db.read(lambda conn: repository.runs_started_by(conn, run.id))
    children = (StartedRun(id=child, workflow=workflow, state=state, parent_key=key or "") for child, workflow, state, key in rows)
    latest = {record.key: record for record in sorted(attempts, key=lambda record: record.attempt)}
    return Overview(outline=outline(definition, latest), children=tuple(children), copied=_copied(run, definition, latest))


def _copied(run: Run, definition: WorkflowDefinition | None, latest: dict[str, StepRecord]) -> frozenset[str]:
    if run.rerun_from is None or definition is None or run.rerun_from not in definition.by_id:
        return frozenset()
    taken = taken_over(definition, run.rerun_from)
    # What was taken over and failed is tried again by `retry`, and then it is the run's own.
    return frozenset(key for key, record in latest.items() if taken.is_copied(key) and record.started_at < run.created_at)
