"""Dispatches: BCCE's own record of one attempt to start a script. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bcce.execution.model.clearance import Clearance
from bcce.execution.model.job import ExitReason, JobPhase, JobStatus
from bcce.execution.model.plan import Target
from bcce.kit.ids import ClearanceId, DispatchId, IncidentId, RunId, TenantId


class DispatchState(StrEnum):
    """What is recorded about a dispatch."""

    CLEARED = "cleared"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    ABANDONED = "abandoned"
    INDETERMINATE = "indeterminate"


#: From each state, where it may go. An indeterminate one stays so until a person, or a target that answers again, says what was.
TRANSITIONS: dict[DispatchState, frozenset[DispatchState]] = {
    DispatchState.CLEARED: frozenset(DispatchState) - {DispatchState.CLEARED},
    DispatchState.STARTED: frozenset(
        {DispatchState.SUCCEEDED, DispatchState.FAILED, DispatchState.STOPPED, DispatchState.INDETERMINATE, DispatchState.ABANDONED}
    ),
    DispatchState.INDETERMINATE: frozenset({DispatchState.SUCCEEDED, DispatchState.FAILED, DispatchState.STOPPED, DispatchState.ABANDONED}),
    DispatchState.SUCCEEDED: frozenset(),
    DispatchState.FAILED: frozenset(),
    DispatchState.STOPPED: frozenset(),
    DispatchState.ABANDONED: frozenset(),
}
#: Nothing of the script runs any more and its outcome is known, so the target is free for another.
SETTLED = frozenset(state for state, following in TRANSITIONS.items() if not following)
#: States that end a dispatch's time; `ended_at` is set with them.
ENDED = SETTLED | {DispatchState.INDETERMINATE}


def state_for(status: JobStatus) -> DispatchState | None:
    """The state that a target's answer leads to; None while the script runs."""
    if status.phase is JobPhase.RUNNING:
        return None
    if status.phase is JobPhase.NEVER_STARTED:
        return DispatchState.ABANDONED
    if status.phase is JobPhase.UNKNOWN:
        return DispatchState.INDETERMINATE
    if status.reason is ExitReason.STOPPED:
        return DispatchState.STOPPED
    return DispatchState.SUCCEEDED if status.exit_code == 0 else DispatchState.FAILED


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispatch:
    """One attempt to start one script on one target; committed before any byte leaves.

    Attributes:
        key: names the job on the target; unique.
        step_key: the step of the run that asked for it.
        epoch: the run's epoch when it was cleared.
        exit_code: 0 to 255; None while unknown.
        output_excerpt: what the script wrote, masked and cut; None while there is none.
        created_at: UTC; the moment of the clearance.
        started_at: UTC; when the start was recorded; None if it never was.
        ended_at: UTC; when the outcome, or that it cannot be known, was recorded; None before.
    """

    id: DispatchId
    tenant_id: TenantId
    run_id: RunId
    step_key: str
    incident_id: IncidentId | None
    key: str
    epoch: int
    target: Target
    target_digest: str
    script_digest: str
    parameters_digest: str
    approval_digest: str
    clearance_id: ClearanceId
    state: DispatchState
    exit_code: int | None = None
    output_excerpt: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @classmethod
    def cleared(cls, clearance: Clearance, *, step_key: str, incident_id: str | None, created_at: datetime) -> "Dispatch":
        """The row that goes with a new clearance. Its id is the dispatch key."""
        return cls(
            id=DispatchId(clearance.dispatch_key),
            tenant_id=clearance.tenant_id,
            run_id=clearance.run_id,
            step_key=step_key,
            incident_id=None if incident_id is None else IncidentId(incident_id),
            key=clearance.dispatch_key,
            epoch=clearance.epoch,
            target=clearance.target,
            target_digest=clearance.target_digest,
            script_digest=clearance.script_digest,
            parameters_digest=clearance.parameters_digest,
            approval_digest=clearance.approval_digest,
            clearance_id=clearance.id,
            state=DispatchState.CLEARED,
            created_at=created_at,
        )
