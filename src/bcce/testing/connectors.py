"""A connector that sends nothing and remembers everything."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from bcce.kit.errors import BcceError
from bcce.workflows.connector import Delivery


class RecordingParams(BaseModel):
    """Any parameters."""

    model_config = ConfigDict(extra="allow", frozen=True)


class RecordingConnector:
    """A `Connector` whose other side a test plays. `taken` are the deliveries that were taken, with their parameters; `tried` all."""

    def __init__(self, name: str = "recording", params: type[BaseModel] = RecordingParams) -> None:
        self.name = name
        self.params = params
        self.taken: list[tuple[Delivery, dict[str, Any]]] = []
        self.tried: list[Delivery] = []
        self._errors: list[BcceError] = []

    def fail_next(self, *errors: BcceError) -> None:
        """Makes the next calls raise these errors, one each."""
        self._errors += errors

    async def deliver(self, delivery: Delivery, params: BaseModel) -> None:
        """Takes the event, unless the test said otherwise."""
        self.tried.append(delivery)
        if self._errors:
            raise self._errors.pop(0)
        self.taken.append((delivery, params.model_dump()))
