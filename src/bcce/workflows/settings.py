"""What an operator can set about running workflows."""

import re
from ipaddress import ip_network

from pydantic import Field, field_validator, model_validator

from bcce.config.fields import SecretField
from bcce.config.model import Section
from bcce.security.secrets import SecretOrigin
from bcce.workflows.destinations import HostRule

#: Heartbeats that may be lost before a worker counts as dead.
_BEATS = 2
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"


class HttpSettings(Section):
    """The section `workflows.http`: what steps of type `http` may do."""

    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts that may be sent requests: `host`, `host:port`, `*.domain`; without a port 80 and 443. Empty: none.",
    )
    allowed_networks: tuple[str, ...] = Field(
        default=(), description="Networks that allowed hosts may have their address in although it is not public, such as 10.1.0.0/16."
    )
    ca_file: str | None = Field(default=None, description="A file with more certificate authorities (PEM); null for the public ones only.")
    max_timeout_s: float = Field(default=300.0, gt=0, le=3600, description="The longest time, in seconds, that a step may give a request.")
    max_response_bytes: int = Field(default=1024 * 1024, ge=1, le=16 * 1024 * 1024, description="The largest answer, in bytes.")
    at_once: int = Field(default=10, ge=1, le=1000, description="How many requests to one host are under way at once in one process.")
    waiting: int = Field(default=100, ge=0, le=10_000, description="How many requests wait for that; one more fails and can be retried.")
    breaker_failures: int = Field(default=5, ge=1, le=100, description="How many failures of a host open its circuit.")
    breaker_window_s: float = Field(default=60.0, gt=0, le=3600, description="Within how many seconds they have to happen.")
    breaker_open_s: float = Field(default=30.0, gt=0, le=3600, description="Seconds until a host whose circuit is open is tried again.")

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            HostRule.parse(text)
        return value

    @field_validator("allowed_networks")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            ip_network(text)
        return value


class ScriptSettings(Section):
    """The section `workflows.script`: what the sandboxed Python of steps of type `script` may use."""

    max_timeout_s: float = Field(default=60.0, gt=0, le=3600, description="The longest time that a script gets, in seconds.")
    memory_mib: int = Field(default=256, ge=32, le=65_536, description="The memory that a script may use, in MiB.")
    disk_mib: int = Field(default=16, ge=1, le=65_536, description="What a script may write into its scratch folder, in MiB.")
    output_bytes: int = Field(default=1024 * 1024, ge=1024, le=16 * 1024 * 1024, description="What a script may print, in bytes.")
    at_once: int = Field(default=2, ge=1, le=256, description="How many scripts run at once in one process.")
    waiting: int = Field(default=100, ge=0, le=10_000, description="How many scripts wait for that; one more fails and can be retried.")


class IntegrationSettings(Section):
    """The section `workflows.integrations`: events of runs on their way to connectors."""

    timeout_s: float = Field(default=30.0, gt=0, le=600, description="How long a connector may take for one event, in seconds.")
    retry_base_s: float = Field(default=1.0, gt=0, le=3600, description="The first pause, in seconds, after an event was not taken.")
    retry_cap_s: float = Field(default=300.0, gt=0, le=86_400, description="The longest pause, in seconds; pauses double until then.")
    give_up_s: float = Field(
        default=86_400.0,
        gt=0,
        le=30 * 86_400,
        description="After so many seconds of failures an event is given up, and the next one tried.",
    )
    at_once: int = Field(default=10, ge=1, le=1000, description="To how many connectors of runs one process delivers at the same time.")
    webhook_secrets: dict[str, SecretField] = Field(
        default_factory=dict, description="Secrets with which events to webhooks are signed, by `host` or `host:port`."
    )


class WorkflowSettings(Section):
    """The section `workflows`."""

    max_concurrent_workflows: int = Field(default=200, ge=1, le=10_000, description="How many runs one process advances at the same time.")
    max_parallel_steps: int = Field(default=50, ge=1, le=10_000, description="How many steps of one run are in progress at the same time.")
    type_limits: dict[str, int] = Field(
        default_factory=dict, description="How many steps of a type are in progress at the same time in one process, by type."
    )
    lease_s: float = Field(
        default=15.0,
        ge=6,
        le=600,
        description="Seconds after its last heartbeat until a worker counts as dead and its runs are taken over.",
    )
    heartbeat_s: float = Field(default=3.0, gt=0, le=60, description="Seconds between a worker's heartbeats; well below the lease.")
    sweep_s: float = Field(default=1.0, gt=0, le=60, description="Seconds between looks for runs whose ring was lost or whose worker died.")
    crash_limit: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="A run whose worker dies this many times while it has nothing else, without progress, goes to the dead letter.",
    )
    directory: str | None = Field(
        default=None,
        description="A folder with workflow files (*.yaml); those that can run are registered at start. Null: only those of BCCE itself.",
    )
    artifact_max_bytes: int = Field(
        default=8 * 1024 * 1024,
        ge=16 * 1024,
        le=64 * 1024 * 1024,
        description="Bytes that a value of a step's output, or a file that a step leaves, may have.",
    )
    artifact_run_max_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=16 * 1024,
        le=4 * 1024 * 1024 * 1024,
        description="Bytes that all artifacts of one run may have together.",
    )
    log_max_lines: int = Field(
        default=1000, ge=1, le=100_000, description="Lines that one attempt of a step may add to the log of its run."
    )
    log_max_bytes: int = Field(
        default=64 * 1024, ge=1024, le=16 * 1024 * 1024, description="Bytes that these lines may have together, with their facts."
    )
    secrets: dict[str, str] = Field(
        default_factory=dict,
        description="Where the secrets are that workflow files may name as `{{ secrets.name }}`, by name: file:/path or env:VARIABLE.",
    )
    variables: tuple[str, ...] = Field(
        default=(), description="Variables of the server's environment that workflow files may name as `${NAME}`. Empty: none."
    )
    http: HttpSettings = Field(default_factory=HttpSettings, description="Requests of workflows to other hosts.")
    script: ScriptSettings = Field(default_factory=ScriptSettings, description="Sandboxed Python in workflows.")
    integrations: IntegrationSettings = Field(default_factory=IntegrationSettings, description="Events of runs for connectors.")

    @field_validator("secrets")
    @classmethod
    def _are_places(cls, value: dict[str, str]) -> dict[str, str]:
        for name, place in value.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", name):
                raise ValueError(f"{name[:60]!r} cannot be the name of a secret: use letters, digits, - and _")
            SecretOrigin.parse(place)
        return value

    @field_validator("variables")
    @classmethod
    def _are_variables(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not re.fullmatch(_VARIABLE, name) or name.startswith("BCCE_"):
                raise ValueError(f"{name[:60]!r} is not a name of a variable, or one of BCCE's own, which may hold its passwords")
        return value

    @model_validator(mode="after")
    def _in_proportion(self) -> "WorkflowSettings":
        if self.heartbeat_s * _BEATS > self.lease_s:
            raise ValueError(
                f"heartbeatS is {self.heartbeat_s:g} and leaseS {self.lease_s:g}: a lease has to last for {_BEATS} heartbeats, "
                "or workers that are alive are taken for dead"
            )
        return self
