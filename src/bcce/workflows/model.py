"""The engine's words: states of runs and steps, results, and what the journal says about a step. Pure."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from bcce.kit.errors import BcceError
from bcce.kit.ids import DefinitionId, RunId, TenantId
from bcce.kit.values import value

#: The layout of snapshots and journal keys that this release writes; it continues every layout in KNOWN_FORMATS.
DEFINITION_FORMAT = 2
KNOWN_FORMATS = frozenset({1, 2})


class RunState(StrEnum):
    """Where a run is. Only `active` runs are claimed; a `paused` one lets what runs end and begins nothing, a `queued` one waits for its
    turn in its concurrency group.
    """

    QUEUED = "queued"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"
    NEEDS_UPGRADE = "needs-upgrade"


class StepState(StrEnum):
    """Where one attempt of a step is."""

    STARTED = "started"
    WAITING = "waiting"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


#: States of attempts that have not ended.
LIVE_STEPS = frozenset({StepState.STARTED, StepState.WAITING, StepState.RETRYING})


class Effect(StrEnum):
    """What a step type does to the world, which decides how it is recorded.

    pure: may repeat. local: its database work commits together with its journal row. keyed: the other side honours an
    idempotency key. marked: at most once by the marker protocol. Only the last two write an intent before they act.
    """

    PURE = "pure"
    LOCAL = "local"
    KEYED = "keyed"
    MARKED = "marked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """A file that a step leaves for people. `media_type` None: text for a text, `application/octet-stream` for bytes.

    `is_value`: it is no file, but what a reference in the step's output stands for (`bytes_value`).
    """

    name: str
    content: str | bytes
    media_type: str | None = None
    is_value: bool = False

    def to_wire(self) -> dict[str, str]:
        """`{name, content}`; bytes that are no text are in base 64, which `encoding` then says."""
        if isinstance(self.content, str):
            return {"name": self.name, "content": self.content}
        try:
            return {"name": self.name, "content": self.content.decode()}
        except UnicodeDecodeError:
            return {"name": self.name, "content": base64.b64encode(self.content).decode("ascii"), "encoding": "base64"}


@value
class StepResult:
    """How a step ended.

    `output` is a JSON object that later steps read as `steps.<id>.output`, also where its large values become artifacts. `artifacts` are
    files for people, which are stored in the same commit as the step's end: at most 100, each within `workflows.artifactMaxBytes`.
    `resources_used` counts what it cost (calls, tokens), by name. `execution_time_ms` is filled in by the engine.
    `error` says why it failed; None: the output's `message` does.
    """

    status: Literal["completed", "failed", "skipped"]
    output: Mapping[str, object] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()
    resources_used: Mapping[str, float] = field(default_factory=dict)
    execution_time_ms: float | None = None
    error: "StepError | None" = None

    def to_wire(self) -> dict[str, object]:
        """The public form: `{status, output, artifacts, metrics: {executionTime, resourcesUsed}}`, milliseconds."""
        return {
            "status": self.status,
            "output": dict(self.output),
            "artifacts": [item.to_wire() for item in self.artifacts],
            "metrics": {"executionTime": self.execution_time_ms, "resourcesUsed": dict(self.resources_used)},
        }


def completed(output: Mapping[str, object] | None = None, *, artifacts: tuple[Artifact, ...] = ()) -> StepResult:
    """A step that ended well with `output`, and left `artifacts`."""
    return StepResult(status="completed", output=output or {}, artifacts=artifacts)


def failed(error: BcceError, output: Mapping[str, object] | None = None) -> StepResult:
    """A step that failed, with what it can tell all the same."""
    return StepResult(status="failed", output=output or {}, error=StepError.of(error))


@dataclass(frozen=True, kw_only=True, slots=True)
class StepError:
    """Why a step failed: the error's stable code, its sentence, and whether trying again can help."""

    code: str
    message: str
    retryable: bool = False
    hint: str | None = None

    @classmethod
    def of(cls, error: BcceError) -> "StepError":
        """The step's view of an error that the code foresaw."""
        return cls(code=error.code, message=error.message, retryable=error.retryable, hint=error.hint)

    def to_dict(self) -> dict[str, object]:
        """The error as JSON values."""
        return {"code": self.code, "message": self.message, "retryable": self.retryable, "hint": self.hint}


@value
class StepRecord:
    """What the journal knows about the latest attempt of one step.

    `attempt` counts from 1. `wake_at` is when a waiting step wants to look again or a retrying one may, None for "only on a fact".
    `deadline_at` is when the whole step times out, None for never. `data` is what a waiting step keeps for itself.
    """

    key: str
    attempt: int
    state: StepState
    type: str
    started_at: datetime
    ended_at: datetime | None = None
    wake_at: datetime | None = None
    deadline_at: datetime | None = None
    output: Mapping[str, object] | None = None
    error: Mapping[str, object] | None = None
    waiting_for: str | None = None

    def ended(
        self, state: StepState, at: datetime, *, output: Mapping[str, object] | None, error: Mapping[str, object] | None
    ) -> "StepRecord":
        """The record once the attempt has ended; `dataclasses.replace` takes five times as long, and every step comes by here."""
        return StepRecord(
            key=self.key,
            attempt=self.attempt,
            state=state,
            type=self.type,
            started_at=self.started_at,
            ended_at=at,
            wake_at=self.wake_at,
            deadline_at=self.deadline_at,
            output=output,
            error=error,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run of a definition. Times are UTC; `ended_at` is None while it is active.

    `started_by` is the person whose wish it was, or the id of an actor that is none; for a run that another run started, that of the
    outermost one. None for runs of releases that did not write it down. `rerun_of` and `rerun_from` are the run and the step of it that
    this one began at; None for all others. `paused_with` is the run with which this one is paused, or will be once it has its turn,
    because that one waits for it; None when nobody paused it, or somebody paused this very one.
    """

    id: RunId
    tenant_id: TenantId
    definition_id: DefinitionId
    definition_format: int
    workflow: str
    queue: str
    priority: int
    state: RunState
    inputs: Mapping[str, object]
    output: Mapping[str, object] | None
    error: Mapping[str, object] | None
    correlation_id: str
    subject: str | None
    wake_at: datetime | None
    wake_seq: int
    seen_seq: int
    epoch: int
    lease_owner: str | None
    suspect: bool
    crashes: int
    parent_id: RunId | None
    parent_key: str | None
    cancel_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    started_by: str | None = None
    rerun_of: RunId | None = None
    rerun_from: str | None = None
    paused_with: RunId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """A run that a step of another run starts: its id is the same before and after any crash. `is_awaited`: the step waits for its end."""

    id: RunId
    parent_id: RunId
    parent_key: str
    is_awaited: bool = True
