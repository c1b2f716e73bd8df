"""A root model with one setting of each kind, as a product's settings are composed of sections."""

from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bcce.config.core import CoreSettings
from bcce.config.errors import InvalidConfig, Problem
from bcce.config.fields import SecretField
from bcce.config.load import Loaded, Sources, load
from bcce.config.model import Section
from bcce.kit.redact import Secret


class Colour(StrEnum):
    """A closed set."""

    RED = "red"
    GREEN = "green"


class Target(Section):
    """An item of a map of sections."""

    address: str | None = Field(default=None, description="Where it is.")
    port: int = Field(default=22, ge=1, le=65535, description="Its port.")


class Rule(Section):
    """An item of a list of sections."""

    label: str = Field(description="What it is called.")
    max_items: int = Field(default=1, description="How many.")


class MailSettings(Section):
    """A section with a secret, a limit across two keys, and every simple type."""

    password: SecretField | None = Field(default=None, description="The account's password.")
    sender: str | None = Field(default=None, description="Who writes.")
    is_enabled: bool = Field(default=False, description="Whether mail is sent.")
    timeout_s: float = Field(default=30.0, gt=0, le=600, description="Seconds until the server is given up.")
    colour: Colour = Field(default=Colour.RED, description="The colour of the banner.")
    ports: tuple[int, ...] = Field(default=(25,), description="Ports that are tried in this order.")
    folder: Path | None = Field(default=None, description="Where copies are kept.")
    code: str | int = Field(default=0, description="A union of two types.")

    @field_validator("password")
    @classmethod
    def _has_no_blank(cls, value: Secret | None) -> Secret | None:
        if value is not None and " " in value.reveal():
            raise ValueError(f"{value.reveal()!r} has a blank in it")
        return value

    @model_validator(mode="after")
    def _has_sender(self) -> "MailSettings":
        if self.is_enabled and self.sender is None:
            raise ValueError("mail needs a sender")
        return self


class PlainSettings(BaseModel):
    """A section that does not inherit from Section."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    expires_after_s: float = Field(default=60.0, description="Seconds.")


class Settings(CoreSettings):
    """The root."""

    mail: MailSettings = Field(default_factory=MailSettings, description="Mail.")
    plain: PlainSettings = Field(default_factory=PlainSettings, description="Plain.")
    targets: dict[str, Target] = Field(default_factory=dict, description="Machines by name.")
    rules: tuple[Rule, ...] = Field(default=(), description="Rules in order.")
    spare: MailSettings | None = Field(default=None, description="A section that may be missing.")


def write(folder: Path, text: str | bytes, name: str = "bcce.config.yaml") -> Path:
    """A configuration file with this text."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def load_text(folder: Path, text: str | bytes, name: str = "bcce.config.yaml", **sources: Any) -> Loaded[Settings]:
    """What a file with this text loads to."""
    return load(Settings, Sources(path=write(folder, text, name), **sources))


def problems_of(folder: Path, text: str | bytes, name: str = "bcce.config.yaml", **sources: Any) -> list[Problem]:
    """Everything that is wrong with a file with this text; empty when nothing is."""
    try:
        load_text(folder, text, name, **sources)
    except InvalidConfig as error:
        return list(error.problems)
    return []
