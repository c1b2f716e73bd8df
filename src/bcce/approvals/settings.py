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
