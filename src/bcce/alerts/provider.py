"""The provider door: who turns a monitor's webhook body into alerts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from bcce.alerts.model import ParsedDelivery


class AlertProvider(Protocol):
    """Understands the bodies of one monitor.

    `parse` is pure and may be called from any thread: the same arguments give the same alerts. It acts on each alert's own status and never
    on a group's, takes unknown fields without complaint, and cleans and caps every text (`bcce.alerts.body`). All or nothing: one
    alert that cannot be understood refuses the whole body, so that nothing is half stored.
    """

    name: str

    def parse(self, body: bytes, headers: Mapping[str, str], *, source: str, received_at: datetime) -> ParsedDelivery:
        """The alerts in `body`.

        Args:
            body: the bytes as they came, not trusted.
            headers: of the request, names in lower case; empty when a dead letter is replayed.
            source: which of the provider's monitors sent it; part of each alert's fingerprint.
            received_at: when the body arrived, UTC; what a source's times are plausible against.

        Raises:
            UnparsableDelivery: names the JSON path of the first thing that is wrong.
        """
        ...
