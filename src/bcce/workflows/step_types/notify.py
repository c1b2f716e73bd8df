"""`notify`: asks that people be told something. Who is told and how is the business of whoever listens."""

from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from bcce.kit.clock import Clock
from bcce.kit.events import Event
from bcce.kit.ids import Ids
from bcce.kit.text import clean
from bcce.plugins import Services
from bcce.storage.doors import run
from bcce.storage.outbox import event_item
from bcce.workflows.model import Effect, StepResult, completed
from bcce.workflows.step_type import Commit, StepContext, StepOutcome

_TITLE_CHARS = 200
_TEXT_CHARS = 4000


class NotifyParams(BaseModel):
    """Parameters of `notify`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1, description="One line; what is longer than 200 characters is cut.")
    text: str = Field(default="", description="The rest; what is longer than 4000 characters is cut.")
    channel: str = Field(
        default="default",
        max_length=100,
        pattern=r"^[A-Za-z0-9_.:#@-]+$",
        description="Who is meant, as the operator named it.",
    )
    severity: Literal["info", "warning", "critical"] = Field(default="info", description="How urgent it is.")


class NotifyStep:
    """Publishes `notification.requested` with `{stepId, workflowId, title, text, channel, severity}`. Output: `{channel, severity}`."""

    name = "notify"
    effect = Effect.LOCAL
    params: type[BaseModel] = NotifyParams

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids

    @classmethod
    def build(cls, services: Services) -> "NotifyStep":
        """Wires the step."""
        return cls(services.get(Clock), services.get(Ids))  # type: ignore[type-abstract]  # a Protocol is the key

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Puts the event into the outbox, in one transaction with the step's own record: one for each time the step ends well."""
        given = cast(NotifyParams, params)
        about = {"channel": given.channel, "severity": given.severity}
        data = {
            "stepId": context.key,
            "workflowId": context.run_id,
            "title": clean(" ".join(given.title.split()), limit=_TITLE_CHARS),
            "text": clean(given.text, limit=_TEXT_CHARS),
            **about,
        }
        event = Event(
            type="notification.requested", timestamp=self._clock.now(), source="workflows", tenant_id=context.tenant_id, data=data
        )
        item = event_item(self._ids, event, correlation_id=context.correlation_id)

        def write(conn: Connection) -> StepResult:
            run(conn, [item])
            return completed(about)

        return Commit(write=write)
