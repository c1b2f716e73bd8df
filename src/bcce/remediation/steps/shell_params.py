"""Parameters of `shell`. What can be known to be wrong from the file alone is refused here."""

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from bcce.execution.model import Shell, is_allowed_name
from bcce.execution.settings import LOCAL_TARGET
from bcce.kit.references import SealedText
from bcce.workflows.durations import parse_duration_s
from bcce.workflows.references import Sealed

Scalar = str | int | float | bool

MAX_TITLE_CHARS = 200


class ApprovalWish(BaseModel):
    """What the workflow wants of those who are asked, beyond what the script itself needs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = Field(default=1, ge=1, le=10, description="How many people have to agree at least, even if the script only reads.")
    reason: str = Field(default="", max_length=1000, description="Why it is to be done, for whoever is asked.")


class ShellParams(BaseModel):
    """Parameters of `shell`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    script: str = Field(min_length=1, max_length=65_536, description="The script, as it is: expressions are not allowed in it.")
    target: str = Field(default=LOCAL_TARGET, min_length=1, description="Where it runs: a name of execution.targets.")
    shell: Shell = Field(default=Shell.BASH, description="What reads it.")
    env: dict[str, Scalar | Sealed] = Field(
        default_factory=dict, max_length=256, description="What it gets, as environment variables by name."
    )
    title: str | None = Field(default=None, min_length=1, max_length=MAX_TITLE_CHARS, description="What it does, for whoever is asked.")
    timeout: str | float | None = Field(default=None, description="How long it may run; at most, and by default, the operator's limit.")
    approval: ApprovalWish | None = Field(default=None, description="Asks people even if the script only reads, or more of them.")

    @field_validator("script", mode="before")
    @classmethod
    def _holds_no_expression(cls, value: object) -> object:
        """Outside text must never become a program, only its environment.

        Before all other checks and with the type `missing`: other errors of a value with an expression are left for the run, where the
        expression has been evaluated and its braces are gone.
        """
        if isinstance(value, str) and "{{" in value:
            raise PydanticCustomError(
                "missing",
                "a script is the text of the file itself and takes no expression; hand values over in `env`, write braces as '{''{'",
            )
        return value

    @field_validator("env")
    @classmethod
    def _are_names(cls, value: dict[str, Scalar | SealedText]) -> dict[str, Scalar | SealedText]:
        for name in value:
            if not is_allowed_name(name):
                # Of the type `missing`, as above: a name is known before the run, also when values have expressions.
                raise PydanticCustomError(
                    "missing",
                    "{name} cannot be set: use capital letters, digits and underscores, and no name that shells or tools read",
                    {"name": repr(name[:80])},
                )
        return value

    @field_validator("timeout")
    @classmethod
    def _is_duration(cls, value: str | float | None) -> str | float | None:
        if value is not None and parse_duration_s(value) < 1:
            raise ValueError("a script has at least one second")
        return value
