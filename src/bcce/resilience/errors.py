"""What callers are told when something is kept from them to protect it or them."""

from bcce.kit.errors import Unavailable


class CircuitOpen(Unavailable):
    """The other side failed too often; it is left alone for a while."""

    code = "circuit-open"


class BulkheadFull(Unavailable):
    """As many calls as allowed are under way, and as many as allowed wait for them."""

    code = "bulkhead-full"
