"""Steps on the ticket: open, close."""

from typing import cast

from pydantic import BaseModel, ConfigDict, Field

from bcce.incidents import repository as incidents
from bcce.itsm.book import TicketBook
from bcce.itsm.model import TicketDraft, TicketRef
from bcce.kit.errors import NotFound
from bcce.kit.ids import IncidentId, TicketId
from bcce.plugins import Services
from bcce.remediation.steps.params import IncidentParams
from bcce.storage.doors import Database
from bcce.workflows.model import Effect, completed
from bcce.workflows.step_type import Done, StepContext, StepOutcome


class CloseTicketParams(BaseModel):
    """Parameters of `ticket.close`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ticket: str = Field(description="The ticket's id in its book.")
    resolution: str = Field(max_length=4000, description="What was done, for whoever reads the ticket later.")


class OpenTicketStep:
    """`ticket.open`: one ticket per incident, found again after a crash by the step's key."""

    name = "ticket.open"
    effect = Effect.KEYED
    params: type[BaseModel] = IncidentParams

    def __init__(self, db: Database, book: TicketBook) -> None:
        self._db = db
        self._book = book

    @classmethod
    def build(cls, services: Services) -> "OpenTicketStep":
        """Wires the step."""
        return cls(services.get(Database), services.get(TicketBook))  # type: ignore[type-abstract]  # Protocols are the keys

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Opens the ticket, or finds the one that an earlier call opened."""
        incident_id = IncidentId(cast(IncidentParams, params).incident)
        incident = await self._db.read(lambda conn: incidents.get(conn, context.tenant_id, incident_id))
        if incident is None:
            raise NotFound(f"there is no incident {incident_id}")
        draft = TicketDraft(
            tenant_id=context.tenant_id,
            incident_id=incident_id,
            title=incident.title,
            description=f"Opened for incident {incident_id}, severity {incident.severity}.",
            severity=incident.severity,
        )
        ref = await self._book.open(context.idempotency_key, draft)
        return Done(result=completed({"ticket": ref.id, "book": ref.book}))


def ticket_ref(book: TicketBook, context: StepContext, ticket_id: str) -> TicketRef:
    """The reference behind a ticket's id in a workflow."""
    return TicketRef(book=book.name, tenant_id=context.tenant_id, id=TicketId(ticket_id))


class CloseTicketStep:
    """`ticket.close`: closes the ticket with what was done."""

    name = "ticket.close"
    effect = Effect.KEYED
    params: type[BaseModel] = CloseTicketParams

    def __init__(self, book: TicketBook) -> None:
        self._book = book

    @classmethod
    def build(cls, services: Services) -> "CloseTicketStep":
        """Wires the step."""
        return cls(services.get(TicketBook))  # type: ignore[type-abstract]  # a Protocol is the key

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Closes the ticket; a ticket that is closed already stays as it is."""
        given = cast(CloseTicketParams, params)
        await self._book.close(context.idempotency_key, ticket_ref(self._book, context, given.ticket), given.resolution)
        return Done(result=completed({"ticket": given.ticket}))
