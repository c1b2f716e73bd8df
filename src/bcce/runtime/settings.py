"""The whole configuration: the core's keys and each domain's section."""

from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator

from bcce.alerts.settings import AlertSettings
from bcce.approvals.settings import ApprovalSettings
from bcce.config.core import CoreSettings
from bcce.config.fields import SecretField
from bcce.config.model import Section
from bcce.execution.settings import ExecutionSettings
from bcce.itsm.settings import ItsmSettings
from bcce.kit.redact import Secret
from bcce.knowledge.settings import KnowledgeSettings
from bcce.remediation.settings import RemediationSettings
from bcce.safety.settings import SafetySettings
from bcce.storage.errors import UnknownDatabase
from bcce.workflows.settings import WorkflowSettings


class DatabaseSettings(Section):
    """The section `database`."""

    url: SecretField | None = Field(
        default=None,
        description="sqlite:////path, postgresql://… or mysql://…, never shown; null for a SQLite file under BCCE's home.",
    )

    @field_validator("url")
    @classmethod
    def _usable(cls, value: Secret | None) -> Secret | None:
        if value is not None:
            from bcce.storage.opening import parse_url  # noqa: PLC0415 - most commands name no database and need no driver

            try:
                parse_url(value.reveal())
            except UnknownDatabase as error:
                raise ValueError(f"{error.message}; {error.hint}") from None
        return value

    def secrets(self) -> tuple[Secret, ...]:
        """The password in the address, as it is written and as it is meant; empty without one."""
        try:
            password = urlsplit(self.url.reveal()).password if self.url is not None else None
        except ValueError:  # not an address at all, which opening it will say
            return ()
        return (Secret(password), Secret(unquote(password))) if password else ()


class ServerSettings(Section):
    """The section `server`."""

    host: str = Field(default="127.0.0.1", description="The address that `bcce serve` listens on; only this machine by default.")
    port: int = Field(default=8420, ge=0, le=65535, description="The port; 0 for a free one.")


class LoggingSettings(Section):
    """The section `logging`."""

    format: Literal["json", "console"] = Field(default="json", description="json for machines, console for people.")
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="The least important lines that are written.")


class SecuritySettings(Section):
    """The section `security`."""

    checkpoint_path: str | None = Field(
        default=None, description="The file for signed audit checkpoints, best on another disk; null for one under BCCE's home."
    )
    checkpoint_s: float = Field(default=60.0, gt=0, le=3600, description="Seconds between audit checkpoints.")


class Settings(CoreSettings):
    """Everything that can be configured."""

    database: DatabaseSettings = Field(default_factory=DatabaseSettings, description="Where state is kept.")
    server: ServerSettings = Field(default_factory=ServerSettings, description="The API server.")
    logging: LoggingSettings = Field(default_factory=LoggingSettings, description="What the program says about itself.")
    security: SecuritySettings = Field(default_factory=SecuritySettings, description="The audit log's second place.")
    alerts: AlertSettings = Field(default_factory=AlertSettings, description="Taking alerts in.")
    workflows: WorkflowSettings = Field(default_factory=WorkflowSettings, description="Running workflows.")
    knowledge: KnowledgeSettings = Field(default_factory=KnowledgeSettings, description="SOPs.")
    approvals: ApprovalSettings = Field(default_factory=ApprovalSettings, description="Who must agree before a script runs.")
    safety: SafetySettings = Field(default_factory=SafetySettings, description="Judging scripts.")
    execution: ExecutionSettings = Field(default_factory=ExecutionSettings, description="Where scripts may run.")
    itsm: ItsmSettings = Field(default_factory=ItsmSettings, description="Tickets.")
    remediation: RemediationSettings = Field(default_factory=RemediationSettings, description="The way from an alert to a verified fix.")
