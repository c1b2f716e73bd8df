"""`log`: events as lines of the server's own log."""

from typing import Literal, cast

import structlog
from pydantic import BaseModel, ConfigDict, Field

from bcce.kit.redact import redact
from bcce.plugins import Services
from bcce.workflows.connector import Delivery

log = structlog.get_logger(__name__)


class LogParams(BaseModel):
    """Parameters of `log`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Literal["info", "warning"] = Field(default="info", description="How important the lines are.")


class LogConnector:
    """Writes a line `integration.event` with the event's id, type and data into the log."""

    name = "log"
    params: type[BaseModel] = LogParams

    @classmethod
    def build(cls, services: Services) -> "LogConnector":
        """Wires the connector."""
        return cls()

    async def deliver(self, delivery: Delivery, params: BaseModel) -> None:
        """Writes the line."""
        write = log.warning if cast(LogParams, params).level == "warning" else log.info
        write(
            "integration.event",
            run_id=delivery.run_id,
            event_id=delivery.event_id,
            event_type=delivery.type,
            data=redact(dict(delivery.data)),
        )
