"""Why an incident cannot be repaired automatically."""

from bcce.kit.errors import BcceError, Conflict, NotFound


class NotCleared(Conflict):
    """The gate did not clear the script to start."""

    code = "not-cleared"


class ScriptBlocked(NotCleared):
    """The script is blocked, so nobody can approve it and nothing starts it."""

    code = "script-blocked"


class NotApproved(NotCleared):
    """Those who were asked did not agree to the script, or no longer do."""

    code = "not-approved"


class ApprovalRejected(Conflict):
    """Somebody who was asked whether the run may go on said no."""

    code = "approval-rejected"


class ApprovalRevoked(Conflict):
    """The question whether the run may go on was taken back, so nobody can agree to it any more."""

    code = "approval-revoked"


class NotYet(NotCleared):
    """The gate cannot clear the script at this moment; the step waits and asks it again."""

    code = "not-yet-cleared"


class TargetBusy(NotYet):
    """Another script runs on the target, so this one waits for it."""

    code = "target-busy"


class RunHeld(NotCleared):
    """The run is paused or being cancelled, so the script waits for what becomes of the run."""

    code = "run-held"


class UnknownTarget(NotFound):
    """No target of that name is configured."""

    code = "unknown-target"


class UnknownPlan(NotFound):
    """There is no such plan."""

    code = "unknown-plan"


class OutcomeUnknown(Conflict):
    """Nobody can find out any more what became of the script; it is never started again by itself."""

    code = "outcome-unknown"


class DispatchFailed(BcceError):
    """The script could not be started."""

    code = "dispatch-failed"
