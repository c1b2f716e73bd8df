"""The audit log: decisions, clearances, dispatches, logins and configuration, chained and signed."""

from bcce.security.audit.checkpoints import Checkpoint, Checkpoints
from bcce.security.audit.log import AuditLog, AuditRecord
from bcce.security.audit.verify import AuditReport, take_checkpoint, verify_audit

__all__ = ["AuditLog", "AuditRecord", "AuditReport", "Checkpoint", "Checkpoints", "take_checkpoint", "verify_audit"]
