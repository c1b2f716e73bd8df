"""Settings that belong to no domain, among them the keys of the two published configuration formats."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from bcce.config.fields import NOT_USED_YET
from bcce.config.model import Section

SUPPORTED_VERSIONS = ("1.0", "0.1.0")

_REGION = re.compile(r"[a-z]{2,5}(-[a-z]+)+-\d{1,2}")


def _region(text: str) -> str:
    """Only the form is checked: AWS opens regions faster than anyone updates programs."""
    if not _REGION.fullmatch(text):
        raise ValueError(f"{text[:40]!r} does not look like an AWS region, such as us-east-1")
    return text


Region = Annotated[str, AfterValidator(_region)]


class AwsSettings(Section):
    """The section `aws`."""

    region: Region | None = Field(default=None, description="The AWS region, such as us-east-1; null for that of the profile.")
    profile: str | None = Field(
        default=None, min_length=1, description="The profile in AWS's shared configuration files; null for the default credential chain."
    )
    client_pool_size: int = Field(
        default=10, ge=1, le=500, description="Connections that each AWS client keeps open; BCCE_CLIENT_POOL_SIZE sets it too."
    )


class CoreSettings(Section):
    """The top level of a configuration file, without the domains' sections.

    `env` is the overlay that was chosen, None without one. `environments` are the names of the overlays in the file; their values are put
    in place by the loader and are not kept here, where those of another environment could be shown or used by mistake.
    """

    version: str = Field(default="1.0", description="The format of this file: 1.0, or 0.1.0 for files of the first product.")
    name: str = Field(default="bcce", min_length=1, max_length=100, description="What this installation is called where people see it.")
    env: str | None = Field(
        default=None, description="The overlay under `environments` that applies when neither --env nor BCCE_ENV names one; null for none."
    )
    home: Path | None = Field(
        default=None,
        description="The folder for the database, keys and tokens; null for the user's state folder. BCCE_HOME sets it too.",
    )
    auth: Annotated[Literal["token", "identity-center", "none"], NOT_USED_YET] = Field(default="token", description="How people sign in.")
    regions: Annotated[tuple[Region, ...], NOT_USED_YET] = Field(default=(), description="The AWS regions that BCCE works in.")
    guardrails: Annotated[bool, NOT_USED_YET] = Field(default=True, description="Whether model calls pass a Bedrock guardrail.")
    aws: Annotated[AwsSettings, NOT_USED_YET] = Field(default_factory=AwsSettings, description="Access to AWS.")
    privatelink: Annotated[bool, NOT_USED_YET] = Field(default=False, description="Whether AWS is reached through PrivateLink endpoints.")
    analytics: Annotated[dict[str, object], NOT_USED_YET] = Field(
        default_factory=dict, description="The analytics model and its configuration."
    )
    plugin_path: Annotated[tuple[Path, ...], NOT_USED_YET] = Field(
        default=(), description="More folders in which plugins are looked for; BCCE_PLUGIN_PATH sets it too, separated like PATH."
    )
    environments: tuple[str, ...] = Field(default=(), description="Overlays by name: each holds the same keys as this file.")

    @field_validator("version", mode="before")
    @classmethod
    def _is_known(cls, value: object) -> str:
        # 1.0 without quotes is a number to YAML, and means the same to a person.
        text = str(value)
        if text not in SUPPORTED_VERSIONS:
            raise ValueError(f"{text[:20]!r} is not supported")
        return text
