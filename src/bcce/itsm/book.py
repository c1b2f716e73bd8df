"""The ticket book door: where incidents are written down for people who do not look at BCCE."""

from typing import Protocol

from bcce.itsm.model import Ticket, TicketDraft, TicketRef


class TicketBook(Protocol):
    """Keeps tickets. This docstring and those of the methods are the specification that the contract tests check.

    `name` is the book's name in references and settings; it never changes.

    Every writing method takes a `key`, at most 200 characters, chosen by the caller: the same for every try of one intent, another for
    every other intent. A book does what is asked at most once for each key, also when two callers use the key at the same time, when the
    first try's answer got lost, and after a restart. A repeated call returns what the first one returned and changes nothing, even if
    its other arguments differ. Keys of `open` are unique within a tenant, those of `comment` and `close` within a ticket.

    A method that raises a retryable error may or may not have done its work; calling it again with the same key is always right.
    """

    name: str

    async def open(self, key: str, draft: TicketDraft) -> TicketRef:
        """Makes a ticket; durable when it returns.

        Raises:
            Unavailable: the book does not answer; call again with the same key.
        """
        ...

    async def comment(self, key: str, ref: TicketRef, text: str) -> None:
        """Adds a note to the ticket, open or closed; durable when it returns.

        Raises:
            UnknownTicket: the book has no such ticket.
            Unavailable: as for `open`.
        """
        ...

    async def close(self, key: str, ref: TicketRef, resolution: str) -> None:
        """Closes the ticket and says how it was resolved; durable when it returns.

        Closing a closed ticket under another key changes nothing: the first resolution stands.

        Raises:
            UnknownTicket: the book has no such ticket.
            Unavailable: as for `open`.
        """
        ...

    async def get(self, ref: TicketRef) -> Ticket:
        """The ticket as it is now, with its notes in order.

        Raises:
            UnknownTicket: the book has no such ticket.
            Unavailable: the book does not answer; may be repeated.
        """
        ...
