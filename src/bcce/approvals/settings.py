"""What an operator can set about approvals."""

from pydantic import Field

from bcce.config.model import Section


class ApprovalSettings(Section):
    """The section `approvals`."""

    expires_after_s: float = Field(
        default=3600.0,
        ge=60,
        le=30 * 86400,
        description="Seconds in which a person must decide, and for which the decision then holds.",
    )
    allow_self_approval: bool = Field(default=False, description="Whether a person may approve what they asked for themselves.")
    required_approvals: int = Field(default=1, ge=1, le=10, description="How many different people must agree before a script may run.")
    required_approvals_critical: int = Field(
        default=1, ge=1, le=10, description="The same for critical incidents; the larger of the two numbers counts."
    )
