"""What a ticket is, whichever book it is in. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bcce.kit.findings import Severity
from bcce.kit.ids import IncidentId, TenantId, TicketId


class TicketState(StrEnum):
    """Where a ticket is."""

    OPEN = "open"
    CLOSED = "closed"


class NoteKind(StrEnum):
    """What a note on a ticket is."""

    COMMENT = "comment"
    RESOLUTION = "resolution"


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketDraft:
    """What a new ticket says. The texts come from outside; a book caps and cleans them. `incident_id` is None when it is about none."""

    tenant_id: TenantId
    title: str
    description: str
    severity: Severity
    incident_id: IncidentId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketRef:
    """Where a ticket is: its id in the book called `book`. `url` leads a person to it, None when the book has no pages."""

    book: str
    tenant_id: TenantId
    id: TicketId
    url: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketNote:
    """One note. `at` is UTC."""

    key: str
    kind: NoteKind
    text: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """A ticket as its book has it.

    Times are UTC; `resolution` and `closed_at` are None while it is open; `notes` are in the order of their writing.
    """

    ref: TicketRef
    title: str
    description: str
    severity: Severity
    incident_id: IncidentId | None
    state: TicketState
    resolution: str | None
    opened_at: datetime
    closed_at: datetime | None
    notes: tuple[TicketNote, ...] = ()
