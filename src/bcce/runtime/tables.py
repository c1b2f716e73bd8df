"""Imports every domain's tables, so that the one metadata holds the whole schema."""

from bcce.alerts import tables as alerts
from bcce.approvals import tables as approvals
from bcce.execution import tables as execution
from bcce.incidents import tables as incidents
from bcce.itsm import tables as itsm
from bcce.knowledge import tables as knowledge
from bcce.remediation import tables as remediation
from bcce.security.audit import tables as audit
from bcce.security.tokens import tables as tokens
from bcce.storage import breakers, outbox
from bcce.storage.metadata import metadata
from bcce.workflows import tables as workflows
from bcce.workflows.artifacts import tables as artifacts
from bcce.workflows.askers import tables as askers
from bcce.workflows.concurrency import tables as concurrency
from bcce.workflows.integrations import tables as integrations
from bcce.workflows.logs import tables as logs

__all__ = [
    "alerts",
    "approvals",
    "artifacts",
    "askers",
    "audit",
    "breakers",
    "concurrency",
    "execution",
    "incidents",
    "integrations",
    "itsm",
    "knowledge",
    "logs",
    "metadata",
    "outbox",
    "remediation",
    "tokens",
    "workflows",
]
