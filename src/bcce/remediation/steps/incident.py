"""Steps on the incident itself: gather what is known, resolve, close, hand over to a person."""

from typing import cast

from pydantic import BaseModel, Field
from sqlalchemy import Connection

from bcce.alerts.repository import get_alerts
from bcce.incidents import repository as incidents
from bcce.incidents.model import IncidentState
from bcce.incidents.service import IncidentService
from bcce.itsm.book import TicketBook
from bcce.kit.errors import NotFound
from bcce.kit.ids import IncidentId
from bcce.plugins import Services
from bcce.remediation.settings import RemediationSettings
from bcce.remediation.steps.params import IncidentParams
from bcce.remediation.steps.ticket import ticket_ref
from bcce.storage.doors import Database
from bcce.workflows.model import Effect, StepResult, completed
from bcce.workflows.step_type import Commit, StepContext, StepOutcome


class ResolveParams(IncidentParams):
    """Parameters of `incident.resolve`."""

    summary: str = Field(max_length=4000, description="What fixed it, in one sentence.")


class EscalateParams(IncidentParams):
    """Parameters of `incident.escalate`."""

    reason: str = Field(max_length=4000, description="Why BCCE cannot go on by itself.")
    ticket: str | None = Field(default=None, description="The ticket that gets the reason as a note.")


class ContextStep:
    """`incident.context`: the incident, its alerts and earlier incidents of its kind."""

    name = "incident.context"
    effect = Effect.LOCAL
    params: type[BaseModel] = IncidentParams

    def __init__(self, service: IncidentService, settings: RemediationSettings) -> None:
        self._service = service
        self._settings = settings

    @classmethod
    def build(cls, services: Services) -> "ContextStep":
        """Wires the step."""
        return cls(services.get(IncidentService), services.get(RemediationSettings))

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Marks the incident as being investigated and returns what is known about it."""
        incident_id = IncidentId(cast(IncidentParams, params).incident)

        def write(conn: Connection) -> StepResult:
            incident = incidents.get(conn, context.tenant_id, incident_id)
            if incident is None:
                raise NotFound(f"there is no incident {incident_id}")
            alerts = get_alerts(conn, context.tenant_id, incidents.alert_ids(conn, incident_id))
            earlier = incidents.history(
                conn, context.tenant_id, incident.fingerprint, before=incident.opened_at, limit=self._settings.history_limit
            )
            if incident.state is IncidentState.OPEN:
                self._service.transition(
                    context.actor,
                    conn,
                    incident_id,
                    IncidentState.INVESTIGATING,
                    "gathering context",
                    correlation_id=context.correlation_id,
                )
            return completed(
                {
                    "incident": incident.id,
                    "severity": str(incident.severity),
                    "alerts": [
                        {"id": alert.id, "name": alert.name, "status": str(alert.status), "labels": dict(alert.labels)} for alert in alerts
                    ],
                    "history": [{"id": item.id, "title": item.title, "state": str(item.state)} for item in earlier],
                }
            )

        return Commit(write=write)


class ResolveStep:
    """`incident.resolve`: the repair is verified."""

    name = "incident.resolve"
    effect = Effect.LOCAL
    params: type[BaseModel] = ResolveParams

    def __init__(self, service: IncidentService) -> None:
        self._service = service

    @classmethod
    def build(cls, services: Services) -> "ResolveStep":
        """Wires the step."""
        return cls(services.get(IncidentService))

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Moves the incident to resolved, with what fixed it."""
        given = cast(ResolveParams, params)

        def write(conn: Connection) -> StepResult:
            incident_id = IncidentId(given.incident)
            self._service.transition(
                context.actor, conn, incident_id, IncidentState.RESOLVED, given.summary, correlation_id=context.correlation_id
            )
            return completed({"incident": given.incident})

        return Commit(write=write)


class CloseStep:
    """`incident.close`: nothing is left to do."""

    name = "incident.close"
    effect = Effect.LOCAL
    params: type[BaseModel] = IncidentParams

    def __init__(self, service: IncidentService) -> None:
        self._service = service

    @classmethod
    def build(cls, services: Services) -> "CloseStep":
        """Wires the step."""
        return cls(services.get(IncidentService))

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Moves the incident to closed."""
        given = cast(IncidentParams, params)

        def write(conn: Connection) -> StepResult:
            incident_id = IncidentId(given.incident)
            self._service.transition(
                context.actor, conn, incident_id, IncidentState.CLOSED, "ticket closed", correlation_id=context.correlation_id
            )
            return completed({"incident": given.incident})

        return Commit(write=write)


class EscalateStep:
    """`incident.escalate`: BCCE cannot go on; a person takes over, told why on the incident and its ticket."""

    name = "incident.escalate"
    effect = Effect.KEYED
    params: type[BaseModel] = EscalateParams

    def __init__(self, service: IncidentService, book: TicketBook, db: Database) -> None:
        self._service = service
        self._book = book
        self._db = db

    @classmethod
    def build(cls, services: Services) -> "EscalateStep":
        """Wires the step."""
        return cls(services.get(IncidentService), services.get(TicketBook), services.get(Database))  # type: ignore[type-abstract]  # Protocols are the keys

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Notes the reason on the ticket, then hands the incident over."""
        given = cast(EscalateParams, params)
        if given.ticket is not None:
            ref = ticket_ref(self._book, context, given.ticket)
            await self._book.comment(context.idempotency_key, ref, f"Handed to a person: {given.reason}")

        def write(conn: Connection) -> StepResult:
            incident_id = IncidentId(given.incident)
            self._service.transition(
                context.actor, conn, incident_id, IncidentState.ESCALATED, given.reason, correlation_id=context.correlation_id
            )
            return completed({"incident": given.incident, "reason": given.reason})

        return Commit(write=write)
