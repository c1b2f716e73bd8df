"""Use cases around tickets: write them through the configured book, and show those that the embedded book has."""

from bcce.itsm import repository
from bcce.itsm.book import TicketBook
from bcce.itsm.books.embedded import BOOK_NAME
from bcce.itsm.errors import UnknownTicket
from bcce.itsm.model import Ticket, TicketDraft, TicketRef, TicketState
from bcce.kit.errors import Forbidden
from bcce.kit.ids import TenantId, TicketId
from bcce.security.actor import Actor
from bcce.security.authz import Permission, require
from bcce.storage.doors import Database


class ItsmService:
    """What others may ask about tickets.

    Args:
        book: where tickets are written.
    """

    def __init__(self, *, db: Database, book: TicketBook) -> None:
        self._db = db
        self._book = book

    async def open(self, actor: Actor, key: str, draft: TicketDraft) -> TicketRef:
        """`TicketBook.open` for an actor of the draft's tenant.

        Raises:
            Forbidden: the actor may not, or belongs to another tenant.
            Unavailable: the book does not answer; call again with the same key.
        """
        require(actor, Permission.TICKETS_WRITE)
        _require_tenant(actor, draft.tenant_id)
        return await self._book.open(key, draft)

    async def comment(self, actor: Actor, key: str, ref: TicketRef, text: str) -> None:
        """`TicketBook.comment` for an actor of the ticket's tenant; raises as `open` does, and UnknownTicket."""
        require(actor, Permission.TICKETS_WRITE)
        _require_tenant(actor, ref.tenant_id)
        await self._book.comment(key, ref, text)

    async def close(self, actor: Actor, key: str, ref: TicketRef, resolution: str) -> None:
        """`TicketBook.close` for an actor of the ticket's tenant; raises as `open` does, and UnknownTicket."""
        require(actor, Permission.TICKETS_WRITE)
        _require_tenant(actor, ref.tenant_id)
        await self._book.close(key, ref, resolution)

    async def list(
        self, actor: Actor, *, state: TicketState | None = None, before: TicketId | None = None, limit: int = 50
    ) -> tuple[Ticket, ...]:
        """The newest tickets of the embedded book, without their notes; `before` is the id of the last one of the page before."""
        require(actor, Permission.TICKETS_READ)
        found = await self._db.read(
            lambda conn: repository.list_tickets(conn, actor.tenant_id, book=BOOK_NAME, state=state, before=before, limit=limit)
        )
        return tuple(found)

    async def get(self, actor: Actor, ticket_id: TicketId) -> Ticket:
        """A ticket of the embedded book with its notes.

        Raises:
            UnknownTicket: the actor's tenant has none such.
        """
        require(actor, Permission.TICKETS_READ)
        ticket = await self._db.read(lambda conn: repository.get(conn, actor.tenant_id, ticket_id, book=BOOK_NAME))
        if ticket is None:
            raise UnknownTicket(f"there is no ticket {ticket_id}", hint="list the tickets to see which there are")
        return ticket


def _require_tenant(actor: Actor, tenant_id: TenantId) -> None:
    if actor.tenant_id != tenant_id:
        raise Forbidden(f"{actor.name} may not see or write tickets of another tenant", details={"actor": actor.id})
