"""Taking alerts in, and looking at them."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection

from bcce.alerts import repository
from bcce.alerts.errors import (
    AlreadyReplayed,
    InvalidSource,
    UnknownAlert,
    UnknownDeadLetter,
    UnknownProvider,
    UnparsableDelivery,
)
from bcce.alerts.intake import Delivery, accepted_items, dead_item, people
from bcce.alerts.model import Alert, AlertStatus, DeadLetter, Notification, ParsedDelivery, Receipt, alert_id_of
from bcce.alerts.provider import AlertProvider
from bcce.kit.clock import Clock, format_time, parse_time
from bcce.kit.errors import InvalidInput
from bcce.kit.findings import Severity
from bcce.kit.ids import AlertId, DeadLetterId, DeliveryId, Ids
from bcce.kit.text import clean, has_hidden
from bcce.observability.metrics import Metrics
from bcce.security.actor import Actor
from bcce.security.authz import Permission, require
from bcce.security.origin import require_source
from bcce.storage.doors import Append, Database, run

#: What alerts can be listed by; each filter asks for exactly this value.
FILTERS = ("status", "name", "severity", "source", "provider", "service", "host")
MAX_PAGE = 500
#: Notifications that come along with one alert.
SHOWN_NOTIFICATIONS = 100

_CLOSED_FILTERS: Mapping[str, tuple[str, ...]] = {"status": tuple(AlertStatus), "severity": tuple(Severity)}
_SOURCE_CHARS = 64
#: From this size on a body is parsed in another thread, so that the event loop goes on answering; below it the hop would cost more.
_THREAD_BYTES = 64 * 1024


class AlertService:
    """Alert intake: a body is answered for only after its one durable append, which reads nothing.

    Args:
        providers: the installed providers by name.
    """

    def __init__(self, *, db: Database, clock: Clock, ids: Ids, providers: Mapping[str, AlertProvider], metrics: Metrics) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self._providers = providers
        self._metrics = metrics

    def check_source(self, actor: Actor, provider: str, source: str) -> None:
        """Does nothing if `actor` may send for this source; what can be refused before a body is read.

        Raises:
            Forbidden: the actor may not send, or not for this source.
            UnknownProvider: there is no such provider.
            InvalidSource: no source can be called that.
        """
        require(actor, Permission.ALERTS_SEND)
        require_source(actor, provider, source)
        self.check_names(provider, source)

    def check_names(self, provider: str, source: str) -> None:
        """Does nothing if there can be such a source; asks nothing of who wants to know.

        Raises:
            UnknownProvider: there is no such provider.
            InvalidSource: no source can be called that.
        """
        if provider not in self._providers:
            raise UnknownProvider(
                f"there is no alert provider {clean(provider, limit=60)!r}", hint=f"installed: {', '.join(sorted(self._providers))}"
            )
        if not 1 <= len(source) <= _SOURCE_CHARS or has_hidden(source) or set(source) & set("\t\r\n"):
            raise InvalidSource(details={"limit": _SOURCE_CHARS})

    async def receive(
        self, actor: Actor, *, provider: str, source: str, body: bytes, headers: Mapping[str, str], correlation_id: str
    ) -> Receipt:
        """Stores a webhook body and its alerts in one commit; durable when it returns.

        The same body twice is stored twice and its alerts are seen twice: telling a repeat from a retry is not possible here, and an
        alert's identity makes both harmless.

        Args:
            headers: of the request, names in lower case.

        Raises:
            Forbidden, UnknownProvider, InvalidSource: as `check_source`; nothing is kept.
            UnparsableDelivery: the body was kept as a dead letter, whose id is `deadLetterId` in the details.
            Unavailable: nothing was stored; the sender should try again.
        """
        self.check_source(actor, provider, source)
        delivery = Delivery(
            id=self._ids.new("dlv"),
            tenant_id=actor.tenant_id,
            provider=provider,
            source=source,
            body=body,
            received_at=self._clock.now(),
            correlation_id=correlation_id,
            sent_by=people(actor),
        )
        try:
            parsed = await self._parse(delivery, headers)
        except UnparsableDelivery as error:
            error.details["deadLetterId"] = await self._bury(delivery, error)
            raise
        await self._db.append(Append(items=tuple(accepted_items(self._ids, delivery, parsed))))
        return self._receipt(delivery, parsed)

    async def replay(self, actor: Actor, dead_id: str) -> Receipt:
        """Tries a dead letter again, as if it arrived when it first did; for after a provider has learnt to understand it.

        Raises:
            UnknownDeadLetter: there is none in the actor's tenant.
            AlreadyReplayed: it became alerts before; nothing is stored again.
            UnparsableDelivery: it is still not understood, and stays a dead letter.
            Forbidden, UnknownProvider: as `check_source`.
        """
        require(actor, Permission.ALERTS_SEND)
        letter = await self._dead_letter(actor, dead_id)
        self.check_source(actor, letter.provider, letter.source)
        delivery = Delivery(
            id=self._ids.new("dlv"),
            tenant_id=actor.tenant_id,
            provider=letter.provider,
            source=letter.source,
            body=letter.body,
            received_at=letter.received_at,
            correlation_id=letter.correlation_id,
            sent_by=people(actor, letter.sent_by),
        )
        try:
            parsed = await self._parse(delivery, {})
        except UnparsableDelivery as error:
            error.details["deadLetterId"] = letter.id
            raise
        items = accepted_items(self._ids, delivery, parsed)

        def write(conn: Connection) -> None:
            if not repository.mark_replayed(conn, letter.id, DeliveryId(delivery.id)):
                raise AlreadyReplayed(details={"deadLetterId": letter.id})
            run(conn, items)

        await self._db.write(write)
        return self._receipt(delivery, parsed)

    async def list(
        self, actor: Actor, *, filters: Mapping[str, str] | None = None, cursor: str | None = None, limit: int = 50
    ) -> tuple[list[Alert], str | None]:
        """A page of alerts, the latest start first, and the cursor of the next page; None after the last.

        Args:
            filters: values by the names of `FILTERS`; all must hold.
            cursor: from the page before; None: the first page.
            limit: how many; taken as 1 to 500.

        Raises:
            InvalidInput: an unknown filter, a status or severity that does not exist, or a cursor that is not ours.
        """
        require(actor, Permission.ALERTS_READ)
        wanted = _checked_filters(filters or {})
        before = _alert_cursor(cursor) if cursor is not None else None
        size = _page_size(limit)
        rows = await self._db.read(
            lambda conn: repository.list_alerts(conn, actor.tenant_id, filters=wanted, before=before, limit=size + 1)
        )
        page = rows[:size]
        return page, f"{format_time(page[-1].starts_at)}~{page[-1].id}" if len(rows) > size else None

    async def get(self, actor: Actor, alert_id: str) -> tuple[Alert, tuple[Notification, ...]]:
        """An alert with its latest notifications.

        Raises:
            UnknownAlert: there is none in the actor's tenant.
        """
        require(actor, Permission.ALERTS_READ)
        key = AlertId(alert_id)

        def read(conn: Connection) -> tuple[list[Alert], list[Notification]]:
            return (
                repository.get_alerts(conn, actor.tenant_id, [key]),
                repository.list_notifications(conn, actor.tenant_id, key, before=None, limit=SHOWN_NOTIFICATIONS),
            )

        found, notifications = await self._db.read(read)
        if not found:
            raise UnknownAlert(f"there is no alert {clean(alert_id, limit=60)!r}", hint="`bcce alert list` shows which there are")
        return found[0], tuple(notifications)

    async def notifications(
        self, actor: Actor, alert_id: str, *, cursor: str | None = None, limit: int = 50
    ) -> tuple[tuple[Notification, ...], str | None]:
        """A page of an alert's notifications, the latest delivery first, and the cursor of the next page; None after the last.

        Raises:
            InvalidInput: a cursor that is not ours.
        """
        require(actor, Permission.ALERTS_READ)
        before = _notification_cursor(cursor) if cursor is not None else None
        size = _page_size(limit)
        rows = await self._db.read(
            lambda conn: repository.list_notifications(conn, actor.tenant_id, AlertId(alert_id), before=before, limit=size + 1)
        )
        page = tuple(rows[:size])
        return page, f"{page[-1].delivery_id}~{page[-1].ordinal}" if len(rows) > size else None

    async def dead_letters(self, actor: Actor, *, before: str | None = None, limit: int = 50) -> tuple[DeadLetter, ...]:
        """Bodies that could not be understood, newest first; `before` is the id of the last one of the page before."""
        require(actor, Permission.ALERTS_READ)
        size = _page_size(limit)
        return tuple(await self._db.read(lambda conn: repository.list_dead_letters(conn, actor.tenant_id, before=before, limit=size)))

    async def dead_letter(self, actor: Actor, dead_id: str) -> DeadLetter:
        """One of them.

        Raises:
            UnknownDeadLetter: there is none in the actor's tenant.
        """
        require(actor, Permission.ALERTS_READ)
        return await self._dead_letter(actor, dead_id)

    async def _dead_letter(self, actor: Actor, dead_id: str) -> DeadLetter:
        found = await self._db.read(lambda conn: repository.get_dead_letter(conn, actor.tenant_id, DeadLetterId(dead_id)))
        if found is None:
            raise UnknownDeadLetter(f"there is no dead letter {clean(dead_id, limit=60)!r}")
        return found

    async def _parse(self, delivery: Delivery, headers: Mapping[str, str]) -> ParsedDelivery:
        parser = self._providers[delivery.provider]

        def parse() -> ParsedDelivery:
            return parser.parse(delivery.body, headers, source=delivery.source, received_at=delivery.received_at)

        return parse() if len(delivery.body) < _THREAD_BYTES else await asyncio.to_thread(parse)

    async def _bury(self, delivery: Delivery, error: UnparsableDelivery) -> str:
        dead = Delivery(
            id=self._ids.new("dead"),
            tenant_id=delivery.tenant_id,
            provider=delivery.provider,
            source=delivery.source,
            body=delivery.body,
            received_at=delivery.received_at,
            correlation_id=delivery.correlation_id,
            sent_by=delivery.sent_by,
        )
        await self._db.append(Append(items=(dead_item(dead, error.message),)))
        self._metrics.webhook_refused(error.code)
        return dead.id

    def _receipt(self, delivery: Delivery, parsed: ParsedDelivery) -> Receipt:
        self._metrics.alerts_received(delivery.provider, delivery.source, len(parsed.alerts))
        keys = (alert_id_of(delivery.tenant_id, alert.fingerprint) for alert in parsed.alerts)
        return Receipt(delivery_id=DeliveryId(delivery.id), alert_ids=tuple(dict.fromkeys(keys)), notices=parsed.notices)


def _page_size(limit: int) -> int:
    return min(max(limit, 1), MAX_PAGE)


def _checked_filters(filters: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in filters.items():
        if name not in FILTERS:
            raise InvalidInput(f"alerts cannot be filtered by {clean(name, limit=60)!r}", hint=f"filters: {', '.join(FILTERS)}")
        choices = _CLOSED_FILTERS.get(name)
        if choices is not None and value not in choices:
            raise InvalidInput(f"there is no {name} {clean(value, limit=60)!r}", hint=f"one of {', '.join(choices)}")
    return dict(filters)


def _alert_cursor(cursor: str) -> tuple[datetime, str]:
    moment, separator, key = cursor.partition("~")
    try:
        if not separator:
            raise ValueError(cursor)
        return parse_time(moment), key
    except ValueError as error:
        raise _not_ours() from error


def _notification_cursor(cursor: str) -> tuple[str, int]:
    delivery_id, _, ordinal = cursor.partition("~")
    if not (ordinal.isascii() and ordinal.isdigit() and len(ordinal) < 10):
        raise _not_ours()
    return delivery_id, int(ordinal)


def _not_ours() -> InvalidInput:
    return InvalidInput("this cursor is not one of ours", hint="take the cursor that came with the page before")
