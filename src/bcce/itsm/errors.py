"""What can go wrong with tickets."""

from bcce.kit.errors import NotFound


class UnknownTicket(NotFound):
    """There is no such ticket."""

    code = "unknown-ticket"
