"""What can go wrong around starting a script.

InvalidInput
├── InvalidScript               a script or a parameter that no executor takes
├── InvalidTarget               a target that no executor can address
└── InvalidDispatchKey          a key that cannot name a job
Forbidden
└── ClearanceRefused            no valid permission for exactly this; nothing was started
Conflict
├── TargetNotReady              the base folder is missing, unsafe or newer than the permission; nothing was started
└── IllegalDispatchTransition   a dispatch cannot go from its state into the asked one
NotFound
└── UnknownDispatch             there is no such dispatch
Unavailable
├── NotStarted                  the target could not take the script; nothing was started, and another start may be tried
└── ExecutorUnavailable         the target did not give a usable answer; ask `status` what became of a start
"""

from bcce.kit.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable


class InvalidScript(InvalidInput):
    """The script or one of its parameters cannot be started as it is."""

    code = "invalid-script"


class InvalidTarget(InvalidInput):
    """The target cannot be addressed as it is."""

    code = "invalid-target"


class InvalidDispatchKey(InvalidInput):
    """That cannot be the key of a dispatch."""

    code = "invalid-dispatch-key"


class ClearanceRefused(Forbidden):
    """The clearance does not permit to start exactly this; nothing was started."""

    code = "clearance-refused"


class TargetNotReady(Conflict):
    """The target's base folder cannot be used; nothing was started."""

    code = "target-not-ready"


class IllegalDispatchTransition(Conflict):
    """The dispatch cannot go into that state from the one it is in."""

    code = "illegal-dispatch-transition"


class UnknownDispatch(NotFound):
    """There is no such dispatch."""

    code = "unknown-dispatch"


class NotStarted(Unavailable):
    """The target could not take the script; nothing was started."""

    code = "not-started"


class ExecutorUnavailable(Unavailable):
    """The target did not give a usable answer; whether a script was started is for `status` to find out."""

    code = "executor-unavailable"
