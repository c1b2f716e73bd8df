"""Tickets: the door to ticket systems, and a book of our own."""

from bcce.itsm.book import TicketBook
from bcce.itsm.errors import UnknownTicket
from bcce.itsm.model import NoteKind, Ticket, TicketDraft, TicketNote, TicketRef, TicketState
from bcce.itsm.service import ItsmService
from bcce.itsm.settings import ItsmSettings

__all__ = [
    "ItsmService",
    "ItsmSettings",
    "NoteKind",
    "Ticket",
    "TicketBook",
    "TicketDraft",
    "TicketNote",
    "TicketRef",
    "TicketState",
    "UnknownTicket",
]
