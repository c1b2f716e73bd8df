"""`webhook`: events as JSON to a host that an operator has allowed."""

import hashlib
import hmac
from pathlib import Path
from typing import cast

from pydantic import BaseModel, ConfigDict, Field

from bcce.kit.redact import Secret
from bcce.kit.text import canonical_json
from bcce.plugins import Services
from bcce.workflows.connector import Delivery
from bcce.workflows.destinations import Destination, Destinations
from bcce.workflows.errors import HttpUnavailable, HttpUnexpectedStatus
from bcce.workflows.exchange import Exchange, Follow, Request
from bcce.workflows.settings import IntegrationSettings, WorkflowSettings

#: Statuses with which a host asks for another try later.
_LATER = frozenset({408, 425, 429})
#: Nobody reads the answer, but what is behind the limit would still have to be received.
_MAX_ANSWER_BYTES = 64 * 1024


class WebhookParams(BaseModel):
    """Parameters of `webhook`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        min_length=1,
        max_length=8192,
        pattern=r"^https?://[^\s]+$",
        description="http:// or https://; the host has to be in workflows.http.allowedHosts.",
    )


class WebhookConnector:
    """POSTs each event as JSON, its id as `Idempotency-Key`, signed with HMAC-SHA256 if the operator set a secret for the host."""

    name = "webhook"
    params: type[BaseModel] = WebhookParams

    def __init__(self, settings: IntegrationSettings, exchange: Exchange, destinations: Destinations) -> None:
        self._settings = settings
        self._exchange = exchange
        self._destinations = destinations

    @classmethod
    def build(cls, services: Services) -> "WebhookConnector":
        """Wires the connector."""
        settings = services.get(WorkflowSettings)
        destinations = Destinations(settings.http.allowed_hosts, settings.http.allowed_networks)
        exchange = Exchange(destinations, ca_file=Path(settings.http.ca_file) if settings.http.ca_file is not None else None)
        return cls(settings.integrations, exchange, destinations)

    async def deliver(self, delivery: Delivery, params: BaseModel) -> None:
        """Sends the event; any answer from 200 to 299 means that it was taken. No redirect is followed."""
        body = canonical_json(delivery.to_wire())
        headers = {"content-type": "application/json", "idempotency-key": delivery.event_id, "x-bcce-event": delivery.type}
        request = Request(method="POST", url=cast(WebhookParams, params).url, headers=headers, content=body)
        destination = request.destination
        self._destinations.check(destination)
        secret = self._secret(destination)
        if secret is not None:
            headers["x-bcce-signature"] = signature(secret, body)
        answer = await self._exchange.send(
            request, follow=Follow.NONE, keep=frozenset(), max_bytes=_MAX_ANSWER_BYTES, timeout_s=self._settings.timeout_s
        )
        if answer.status >= 500 or answer.status in _LATER:
            raise HttpUnavailable(f"{destination.authority} answers {answer.status}", details={"status": answer.status})
        if not 200 <= answer.status < 300:
            raise HttpUnexpectedStatus(
                f"{destination.authority} answers {answer.status}",
                hint="a receiver of events answers with a status from 200 to 299",
                details={"status": answer.status},
            )

    def _secret(self, destination: Destination) -> Secret | None:
        secrets = self._settings.webhook_secrets
        return secrets.get(f"{destination.host}:{destination.port}", secrets.get(destination.host))


def signature(secret: Secret, body: bytes) -> str:
    """The value of `X-BCCE-Signature`: `sha256=` and the hexadecimal HMAC-SHA256 of the body under the secret's UTF-8 bytes."""
    return "sha256=" + hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()
