"""People's agreement to scripts, and that a run may go on: bound to exactly what they saw, at most once, with an end."""

from bcce.approvals.digest import BoundScript, approval_digest
from bcce.approvals.errors import (
    AlreadyDecided,
    ApprovalChanged,
    ApprovalExpired,
    ApprovalNotOpen,
    MayNotApprove,
    NotApprovable,
    UnknownApproval,
)
from bcce.approvals.model import TRANSITIONS, Approval, ApprovalDetails, ApprovalRequest, ApprovalState, Decision, DecisionRecord
from bcce.approvals.requirement import Requirement, requirement
from bcce.approvals.service import ApprovalService, RecordFact, approval_id_for
from bcce.approvals.settings import ApprovalSettings

__all__ = [
    "TRANSITIONS",
    "AlreadyDecided",
    "Approval",
    "ApprovalChanged",
    "ApprovalDetails",
    "ApprovalExpired",
    "ApprovalNotOpen",
    "ApprovalRequest",
    "ApprovalService",
    "ApprovalSettings",
    "ApprovalState",
    "BoundScript",
    "Decision",
    "DecisionRecord",
    "MayNotApprove",
    "NotApprovable",
    "RecordFact",
    "Requirement",
    "UnknownApproval",
    "approval_digest",
    "approval_id_for",
    "requirement",
]
