"""Why an incident cannot be repaired automatically."""

from bcce.kit.errors import BcceError, Conflict, NotFound


class NotCleared(Conflict):
    """The gate did not clear the script to start."""

    code = "not-cleared"


class TargetBusy(NotCleared):
    """Another script runs on the target, so this one waits for it."""

    code = "target-busy"


class UnknownTarget(NotFound):
    """No target of that name is configured."""

    code = "unknown-target"


class UnknownPlan(NotFound):
    """There is no such plan."""

    code = "unknown-plan"


class DispatchFailed(BcceError):
    """The script could not be started."""

    code = "dispatch-failed"
