"""What the suites of alerts and incidents share: an open database with a service, bodies, and what the database then holds."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Table, func, select

from bcce.alerts import AlertService, AlertSettings, Receipt
from bcce.alerts.providers.alertmanager import Alertmanager
from bcce.kit.clock import format_time
from bcce.kit.ids import Ids, TenantId
from bcce.observability.metrics import Metrics
from bcce.security.actor import Actor, role_actor, source_actor
from bcce.security.audit.tables import audit
from bcce.security.authz import Role
from bcce.storage.doors import Database, Options, open_database
from bcce.storage.metadata import metadata
from bcce.storage.outbox import outbox
from bcce.testing.clock import FrozenClock
from bcce.workflows.tables import runs

FIXTURES = Path(__file__).parents[1] / "fixtures" / "alertmanager"
START = datetime(2026, 11, 21, 4, tzinfo=UTC)

SENDER = source_actor("alertmanager", "prod")
RESPONDER = role_actor(Role.RESPONDER, id="user:rosa", name="rosa", kind="user")
VIEWER = role_actor(Role.VIEWER, id="user:victor", name="victor", kind="user")
STRANGER = role_actor(Role.ADMIN, id="user:sam", name="sam", kind="user", tenant_id=TenantId("other"))


@dataclass(kw_only=True)
class Intake:
    """Alert intake over one database."""

    db: Database
    clock: FrozenClock
    ids: Ids
    metrics: Metrics
    service: AlertService

    async def send(self, body: bytes, *, actor: Actor = SENDER, source: str = "prod", correlation_id: str = "cor_1") -> Receipt:
        """What the service answers to `body`."""
        return await self.service.receive(
            actor, provider="alertmanager", source=source, body=body, headers={}, correlation_id=correlation_id
        )

    async def count(self, table: Table) -> int:
        """How many rows `table` has."""
        return int(await self.db.read(lambda conn: conn.execute(select(func.count()).select_from(table)).scalar_one()))

    async def events(self) -> list[tuple[str, dict[str, object], str | None]]:
        """Type, data and correlation id of everything published, in order."""
        query = select(outbox.c.type, outbox.c.data, outbox.c.correlation_id).order_by(outbox.c.ordinal)
        return await self.db.read(lambda conn: [(row.type, row.data, row.correlation_id) for row in conn.execute(query)])

    async def audited(self) -> list[tuple[str, str, str, dict[str, object]]]:
        """Actor, action, subject and body of every audit record, in order."""
        query = select(audit.c.actor, audit.c.action, audit.c.subject, audit.c.body).order_by(audit.c.id)
        return await self.db.read(lambda conn: [(row.actor, row.action, row.subject, row.body) for row in conn.execute(query)])


@asynccontextmanager
async def intake(url: str, clock: FrozenClock, ids: Ids, *, create: bool = True, options: Options | None = None) -> AsyncIterator[Intake]:
    """Alert intake over the database at `url`."""
    async with open_database(url, clock=clock, ids=ids, fence_table=runs, options=options or Options()) as db:
        if create:
            await db.migrate(metadata.create_all)
        metrics = Metrics()
        providers = {"alertmanager": Alertmanager(AlertSettings())}
        service = AlertService(db=db, clock=clock, ids=ids, providers=providers, metrics=metrics)
        yield Intake(db=db, clock=clock, ids=ids, metrics=metrics, service=service)


def fixture(name: str) -> bytes:
    """One of the bodies in the folder of fixtures."""
    return (FIXTURES / f"{name}.json").read_bytes()


def alert(name: str = "A", *, start: datetime = START, end: datetime | None = None, summary: str = "", **labels: str) -> dict[str, object]:
    """One alert of a body; it is resolved if it has an end."""
    return {
        "status": "resolved" if end else "firing",
        "labels": {"alertname": name, **labels},
        "annotations": {"summary": summary} if summary else {},
        "startsAt": format_time(start),
        "endsAt": format_time(end) if end else "0001-01-01T00:00:00Z",
    }


def body(*alerts: dict[str, object]) -> bytes:
    """A body with these alerts."""
    return json.dumps({"version": "4", "status": "firing", "alerts": alerts}).encode()
