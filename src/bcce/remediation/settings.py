"""What an operator can set about remediation."""

from pydantic import Field

from bcce.config.model import Section


class RemediationSettings(Section):
    """The section `remediation`. Nothing runs on a target until `enabled` is true."""

    enabled: bool = Field(
        default=False, description="Whether approved scripts may be started at all; while false every plan goes to a person as a proposal."
    )
    workflow: str = Field(default="remediate", description="The workflow that each new incident starts.")
    planner: str = Field(default="sop", description="Which planner writes the plan.")
    history_limit: int = Field(default=10, ge=0, le=100, description="How many earlier incidents of the same kind are gathered as context.")
    verify_interval_s: float = Field(default=1.0, gt=0, le=300, description="Seconds between looks at a repaired service's health.")
    script_timeout_s: int = Field(default=600, ge=1, le=86_400, description="Seconds after which a running script is ended on its target.")
    clearance_s: float = Field(default=60.0, ge=10, le=60, description="Seconds for which a clearance to start one script is valid.")
