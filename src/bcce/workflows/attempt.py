"""One call of one step while it is in progress: what is recorded of it, and all that is needed to record more."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from bcce.kit.values import value
from bcce.workflows.definition import WorkflowDefinition
from bcce.workflows.logs.model import StepLog
from bcce.workflows.model import Effect, Run, StepRecord


@dataclass(slots=True)
class Ending:
    """How the run is to end, shared by all calls in progress.

    `is_stopping`: it was cancelled. `is_over`: it has ended, together with one of its steps.
    """

    is_stopping: bool = False
    is_over: bool = False


@dataclass(slots=True)
class Row:
    """Whether an attempt has a row in the journal, and what it has said.

    `is_continued`: the attempt had a row before this worker took its run up.
    `telling` is the last write that told of it while it went on, None when there was none; `log` is None as long as it said nothing.
    `inputs` is the digest of its rendered parameters, empty until they are known.
    """

    is_stored: bool = False
    telling: "asyncio.Task[None] | None" = None
    log: StepLog | None = None
    told_at: float = 0.0
    is_continued: bool = False
    inputs: str = ""


@value
class Attempt:
    """One call of one step and all that is needed to record it.

    `records` are the run's other records; `row` says whether the attempt has one already.
    """

    run: Run
    definition: WorkflowDefinition
    records: Mapping[str, StepRecord]
    ending: Ending
    record: StepRecord
    effect: Effect
    row: Row
