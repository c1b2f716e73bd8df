"""What plugin authors import: the doors, the words that the doors' methods use, and what a plugin is built from.

A plugin is a class with the methods and attributes of one door and a `build(services)` class method, registered as an entry point of the
door's group (`bcce.agent_runners`, `bcce.alert_providers`, `bcce.connectors`, `bcce.dispatchers`, `bcce.executors`, `bcce.planners`,
`bcce.script_validators`, `bcce.step_types`, `bcce.ticket_books`). Only names from here stay compatible within a major version; other
modules may change with any release. Fakes for a plugin's own tests are in `bcce.testing`.
"""

from bcce.alerts.errors import UnparsableDelivery
from bcce.alerts.fingerprint import fingerprint
from bcce.alerts.model import Alert, AlertStatus, NormalizedAlert, ParsedDelivery
from bcce.alerts.provider import AlertProvider
from bcce.config.fields import SecretField
from bcce.config.model import Section
from bcce.execution.errors import ClearanceRefused, ExecutorUnavailable, InvalidDispatchKey, InvalidTarget, TargetNotReady
from bcce.execution.executor import Executor
from bcce.execution.model import (
    Clearance,
    ExitReason,
    HttpCheck,
    JobPhase,
    JobStatus,
    OutputChunk,
    Plan,
    PlannedAction,
    Probe,
    Script,
    Shell,
    SignedClearance,
    StartOutcome,
    StartReceipt,
    StopResult,
    Target,
    Verification,
)
from bcce.execution.signing import open_clearance
from bcce.incidents.model import Incident, IncidentState
from bcce.itsm.book import TicketBook
from bcce.itsm.errors import UnknownTicket
from bcce.itsm.model import NoteKind, Ticket, TicketDraft, TicketNote, TicketRef, TicketState
from bcce.kit.clock import Clock
from bcce.kit.errors import (
    BcceError,
    Conflict,
    DeadlineExceeded,
    Forbidden,
    InvalidDocument,
    InvalidInput,
    NotFound,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unexpected,
)
from bcce.kit.findings import Effects, Finding, Outcome, Rule, Severity, Verdict
from bcce.kit.ids import Ids, TenantId
from bcce.kit.redact import Secret
from bcce.kit.references import Part, SealedText
from bcce.kit.text import clean
from bcce.plugins import Buildable, MissingService, Services
from bcce.remediation.planner import Planner, PlanRequest, Proposal
from bcce.resilience import Backoff, Deadline, RetryPolicy, retrying
from bcce.safety.model import CommandUse, Judgement
from bcce.safety.validator import ScriptValidator
from bcce.security.actor import Actor
from bcce.security.authz import Permission
from bcce.security.crypto import Verifier
from bcce.security.errors import SecretUnavailable
from bcce.security.secrets import SecretStore
from bcce.workflows.agent_runner import AgentPolicy, AgentResult, AgentRunner, AgentTask, Touched
from bcce.workflows.connector import Connector, Delivery
from bcce.workflows.dispatcher import Advance, Dispatcher
from bcce.workflows.engine import Parked
from bcce.workflows.model import Artifact, Effect, StepError, StepResult, completed, failed
from bcce.workflows.references import Sealed
from bcce.workflows.step_type import (
    Asking,
    Checked,
    Commit,
    Done,
    FencedWrite,
    LogLevel,
    LogSink,
    Park,
    Remark,
    StepContext,
    StepOutcome,
    StepType,
    Stoppable,
)

__all__ = [
    "Actor",
    "Advance",
    "AgentPolicy",
    "AgentResult",
    "AgentRunner",
    "AgentTask",
    "Alert",
    "AlertProvider",
    "AlertStatus",
    "Artifact",
    "Asking",
    "Backoff",
    "BcceError",
    "Buildable",
    "Checked",
    "Clearance",
    "ClearanceRefused",
    "Clock",
    "CommandUse",
    "Commit",
    "Conflict",
    "Connector",
    "Deadline",
    "DeadlineExceeded",
    "Delivery",
    "Dispatcher",
    "Done",
    "Effect",
    "Effects",
    "Executor",
    "ExecutorUnavailable",
    "ExitReason",
    "FencedWrite",
    "Finding",
    "Forbidden",
    "HttpCheck",
    "Ids",
    "Incident",
    "IncidentState",
    "InvalidDispatchKey",
    "InvalidDocument",
    "InvalidInput",
    "InvalidTarget",
    "JobPhase",
    "JobStatus",
    "Judgement",
    "LogLevel",
    "LogSink",
    "MissingService",
    "NormalizedAlert",
    "NotFound",
    "NoteKind",
    "Outcome",
    "OutputChunk",
    "Park",
    "Parked",
    "ParsedDelivery",
    "Part",
    "Permission",
    "Plan",
    "PlanRequest",
    "PlannedAction",
    "Planner",
    "Probe",
    "Proposal",
    "Remark",
    "RetryPolicy",
    "Rule",
    "Script",
    "ScriptValidator",
    "Sealed",
    "SealedText",
    "Secret",
    "SecretField",
    "SecretStore",
    "SecretUnavailable",
    "Section",
    "Services",
    "Severity",
    "Shell",
    "SignedClearance",
    "StartOutcome",
    "StartReceipt",
    "StepContext",
    "StepError",
    "StepOutcome",
    "StepResult",
    "StepType",
    "StopResult",
    "Stoppable",
    "Target",
    "TargetNotReady",
    "TenantId",
    "Ticket",
    "TicketBook",
    "TicketDraft",
    "TicketNote",
    "TicketRef",
    "TicketState",
    "TooLarge",
    "Touched",
    "Unauthenticated",
    "Unavailable",
    "Unexpected",
    "UnknownTicket",
    "UnparsableDelivery",
    "Verdict",
    "Verification",
    "Verifier",
    "clean",
    "completed",
    "failed",
    "fingerprint",
    "open_clearance",
    "retrying",
]
