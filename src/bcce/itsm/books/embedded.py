"""The ticket book in BCCE's own database: for everybody who has no other, and for tests of the whole pipeline."""

from typing import Any

from sqlalchemy import Connection

from bcce.itsm import repository
from bcce.itsm.errors import UnknownTicket
from bcce.itsm.model import NoteKind, Ticket, TicketDraft, TicketRef, TicketState
from bcce.itsm.tables import tickets
from bcce.kit.clock import Clock
from bcce.kit.ids import TicketId, derived_id
from bcce.kit.text import clean
from bcce.plugins import Services
from bcce.storage.doors import Append, Database
from bcce.storage.upsert import upsert

BOOK_NAME = "embedded"
#: A ticket's id follows from its key, so a second insertion finds the first one's row and leaves it as it is.
_OPEN = upsert(tickets, keys=["id"])
_MAX_TITLE_CHARS = 255
_MAX_TEXT_CHARS = 20_000


class EmbeddedTicketBook:
    """A TicketBook over two tables."""

    name = BOOK_NAME

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    @classmethod
    def build(cls, services: Services) -> "EmbeddedTicketBook":
        """Wires the book."""
        return cls(services.get(Database), services.get(Clock))  # type: ignore[type-abstract]  # the two Protocols are keys, not instances

    async def open(self, key: str, draft: TicketDraft) -> TicketRef:
        """Makes a ticket, once for each key."""
        ticket_id = TicketId(derived_id("tkt", draft.tenant_id, key))
        values = {
            "id": ticket_id,
            "tenant_id": draft.tenant_id,
            "open_key": key,
            "title": clean(draft.title, limit=_MAX_TITLE_CHARS),
            "description": clean(draft.description, limit=_MAX_TEXT_CHARS),
            "severity": draft.severity,
            "incident_id": draft.incident_id,
            "state": TicketState.OPEN,
            "resolution": None,
            "opened_at": self._clock.now(),
            "closed_at": None,
        }
        await self._db.append(Append(items=((_OPEN, values),)))
        return TicketRef(book=self.name, tenant_id=draft.tenant_id, id=ticket_id)

    async def comment(self, key: str, ref: TicketRef, text: str) -> None:
        """Adds a note, once for each key."""
        note = self._note(key, ref, NoteKind.COMMENT, text)

        def write(conn: Connection) -> None:
            if repository.lock(conn, ref.tenant_id, ref.id) is None:
                raise _unknown(ref)
            repository.add_note(conn, note)

        await self._db.write(write)

    async def close(self, key: str, ref: TicketRef, resolution: str) -> None:
        """Closes the ticket; the first resolution stands."""
        note = self._note(key, ref, NoteKind.RESOLUTION, resolution)

        def write(conn: Connection) -> None:
            state = repository.lock(conn, ref.tenant_id, ref.id)
            if state is None:
                raise _unknown(ref)
            if state is TicketState.OPEN and repository.add_note(conn, note):
                repository.close(conn, ref.id, resolution=note["text"], at=note["at"])

        await self._db.write(write)

    async def get(self, ref: TicketRef) -> Ticket:
        """The ticket with its notes."""
        ticket = await self._db.read(lambda conn: repository.get(conn, ref.tenant_id, ref.id, book=self.name))
        if ticket is None:
            raise _unknown(ref)
        return ticket

    def _note(self, key: str, ref: TicketRef, kind: NoteKind, text: str) -> dict[str, Any]:
        """A note's row but for its number."""
        return {
            "ticket_id": ref.id,
            "note_key": key,
            "tenant_id": ref.tenant_id,
            "kind": kind,
            "text": clean(text, limit=_MAX_TEXT_CHARS),
            "at": self._clock.now(),
        }


def _unknown(ref: TicketRef) -> UnknownTicket:
    return UnknownTicket(f"there is no ticket {ref.id}", hint="list the tickets to see which there are", details={"ticketId": ref.id})
