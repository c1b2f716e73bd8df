"""The connector door: where events of runs go that a workflow's `integrations` name."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel

from bcce.kit.clock import format_time
from bcce.kit.ids import EventId, RunId, TenantId


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One event on its way to one connector.

    `event_id` is the same on every try, so that the other side can tell a repeat; `attempt` counts tries from 1. `timestamp` is UTC.
    `data` holds JSON values without secrets.
    """

    event_id: EventId
    run_id: RunId
    tenant_id: TenantId
    type: str
    timestamp: datetime
    source: str
    data: Mapping[str, object]
    attempt: int

    def to_wire(self) -> dict[str, object]:
        """The public form of the event, with its id."""
        event = {"type": self.type, "timestamp": format_time(self.timestamp), "source": self.source, "data": dict(self.data)}
        return {"id": self.event_id, **event}


class Connector(Protocol):
    """A kind of receiver of events.

    `name` is what `type:` says in `integrations` of a workflow file; all other keys there but `events` are its parameters, checked against
    the Pydantic model `params` when the file is validated and, with expressions over the run's inputs evaluated and references to secrets
    and variables filled in, before each call. Their values are masked in the errors it raises; it writes parameters into no log.
    """

    name: str
    params: type[BaseModel]

    async def deliver(self, delivery: Delivery, params: BaseModel) -> None:
        """Hands one event over; returns when the other side has taken it.

        Called for the events of one run in their order, the next one only when this one was taken or given up. May be called again with the
        same event after a crash or an unknown outcome. It is cut off after `workflows.integrations.timeoutS`.

        Raises:
            BcceError: it was not taken. If it is `retryable` it is tried again later, else the event is given up.
        """
        ...
