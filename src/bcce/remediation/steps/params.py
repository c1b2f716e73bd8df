"""Parameters that several steps share."""

from pydantic import BaseModel, ConfigDict, Field


class IncidentParams(BaseModel):
    """Parameters of every step that is about one incident."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    incident: str = Field(description="The incident's id.")


class PlanParams(BaseModel):
    """Parameters of every step that is about a plan."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plan: str = Field(description="The plan's id.")


class RepairParams(PlanParams):
    """Parameters of steps that are about an incident and its plan."""

    incident: str = Field(description="The incident that the plan repairs.")
