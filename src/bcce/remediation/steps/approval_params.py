"""Parameters of `approval`: a question with a `message`, or the `plan` of an `incident`'s repair."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bcce.approvals.question import Answerer

_OF_QUESTIONS = frozenset({"details", "required", "role", "approvers"})
_OF_REPAIRS = frozenset({"plan", "incident"})


class ApprovalParams(BaseModel):
    """Parameters of `approval`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    message: str | None = Field(default=None, max_length=4000, description="What is asked, for whoever answers.")
    details: Any = Field(default=None, description="Values that are shown with it.")
    required: int = Field(default=1, ge=1, le=10, description="How many people have to agree.")
    role: Answerer = Field(default="approver", description="Who may answer has at least this role.")
    approvers: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Those who alone may answer, by token or person; without it everybody with the role.",
    )
    plan: str | None = Field(default=None, description="The id of the plan whose script is to be agreed to, instead of a message.")
    incident: str | None = Field(default=None, description="The incident that the plan repairs.")

    @model_validator(mode="before")
    @classmethod
    def _has_one_form(cls, data: Any) -> Any:
        """The error is of the type `missing`: which parameters there are is known before a run, whatever their expressions say."""
        if not isinstance(data, Mapping) or not data.keys() <= cls.model_fields.keys():
            return data
        given = {name for name, value in data.items() if value is not None}
        if "message" not in given and not given >= _OF_REPAIRS:
            raise PydanticCustomError("missing", "give `message`, or both `plan` and `incident`")
        if "message" in given and given & _OF_REPAIRS:
            raise PydanticCustomError(
                "missing", "a `message` asks a question, `plan` and `incident` ask about a script; give one or the other"
            )
        if "message" not in given and given & _OF_QUESTIONS:
            raise PydanticCustomError(
                "missing",
                "what belongs to a `message` cannot stand beside a plan: {names}",
                {"names": ", ".join(sorted(given & _OF_QUESTIONS))},
            )
        return data

    @field_validator("message")
    @classmethod
    def _says_something(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("a question has words")
        return value

    @model_validator(mode="after")
    def _can_be_met(self) -> "ApprovalParams":
        if self.approvers is not None and len(set(self.approvers)) < self.required:
            raise PydanticCustomError("missing", "more people are `required` than there are `approvers`")
        return self
