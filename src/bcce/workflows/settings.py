"""What an operator can set about running workflows."""

from pydantic import Field, model_validator

from bcce.config.model import Section

#: Heartbeats that may be lost before a worker counts as dead.
_BEATS = 2


class WorkflowSettings(Section):
    """The section `workflows`."""

    max_concurrent_workflows: int = Field(default=20, ge=1, le=10_000, description="How many runs one process advances at the same time.")
    lease_s: float = Field(
        default=15.0,
        ge=6,
        le=600,
        description="Seconds after its last heartbeat until a worker counts as dead and its runs are taken over.",
    )
    heartbeat_s: float = Field(default=3.0, gt=0, le=60, description="Seconds between a worker's heartbeats; well below the lease.")
    sweep_s: float = Field(default=1.0, gt=0, le=60, description="Seconds between looks for runs whose ring was lost or whose worker died.")
    crash_limit: int = Field(
        default=10, ge=1, le=1000, description="A run whose worker dies this many times without any progress goes to the dead letter."
    )
    directory: str | None = Field(
        default=None, description="A folder with workflow files (*.yaml) that are registered at start; null for the built-in ones only."
    )

    @model_validator(mode="after")
    def _in_proportion(self) -> "WorkflowSettings":
        if self.heartbeat_s * _BEATS > self.lease_s:
            raise ValueError(
                f"heartbeatS is {self.heartbeat_s:g} and leaseS {self.lease_s:g}: a lease has to last for {_BEATS} heartbeats, "
                "or workers that are alive are taken for dead"
            )
        return self
