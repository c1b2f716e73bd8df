"""Why an approval cannot be given, asked for or taken back."""

from bcce.kit.errors import Conflict, Forbidden, NotFound


class UnknownApproval(NotFound):
    """There is no such approval."""

    code = "unknown-approval"


class NotApprovable(Conflict):
    """What is blocked cannot be approved by anyone."""

    code = "not-approvable"


class ApprovalChanged(Conflict):
    """What would be approved is not what the approver saw."""

    code = "approval-changed"


class ApprovalExpired(Conflict):
    """The time to decide is over."""

    code = "approval-expired"


class ApprovalNotOpen(Conflict):
    """The approval is no longer in a state in which this can be done."""

    code = "approval-not-open"


class AlreadyDecided(Conflict):
    """This person has already decided about this approval."""

    code = "already-decided"


class MayNotApprove(Forbidden):
    """Nobody approves what they asked for themselves, and nothing but a person approves at all."""

    code = "may-not-approve"
