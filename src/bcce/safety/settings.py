"""What an operator can set about judging scripts."""

from pydantic import Field

from bcce.config.model import Section


class SafetySettings(Section):
    """The section `safety`."""

    policy: str | None = Field(
        default=None,
        description="The script policy's file (YAML): what scripts may do where and when, and how many people have to agree; "
        "null for the built-in one, in which one person agrees to whatever is not proven to read only.",
    )
