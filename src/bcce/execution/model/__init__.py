"""Plans, clearances, jobs and dispatches: the words of execution, pure values without I/O."""

from bcce.execution.model.clearance import MAX_TIMEOUT_S, MAX_VALIDITY_S, Clearance, SignedClearance
from bcce.execution.model.dispatch import ENDED, SETTLED, TRANSITIONS, Dispatch, DispatchState, state_for
from bcce.execution.model.job import (
    STOPPED_CODE,
    TIMED_OUT_CODE,
    ExitReason,
    JobPhase,
    JobStatus,
    OutputChunk,
    Probe,
    StartOutcome,
    StartReceipt,
    StopResult,
    check_key,
)
from bcce.execution.model.parameters import encode_parameters, is_allowed_name, parameters_digest
from bcce.execution.model.plan import HttpCheck, Plan, PlannedAction, Script, Shell, Target, Verification

__all__ = [
    "ENDED",
    "MAX_TIMEOUT_S",
    "MAX_VALIDITY_S",
    "SETTLED",
    "STOPPED_CODE",
    "TIMED_OUT_CODE",
    "TRANSITIONS",
    "Clearance",
    "Dispatch",
    "DispatchState",
    "ExitReason",
    "HttpCheck",
    "JobPhase",
    "JobStatus",
    "OutputChunk",
    "Plan",
    "PlannedAction",
    "Probe",
    "Script",
    "Shell",
    "SignedClearance",
    "StartOutcome",
    "StartReceipt",
    "StopResult",
    "Target",
    "Verification",
    "check_key",
    "encode_parameters",
    "is_allowed_name",
    "parameters_digest",
    "state_for",
]
