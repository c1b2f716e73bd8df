"""Use cases of incidents: open, move on, note, show.

The synchronous methods work inside the caller's transaction, so that an incident changes together with the step, event or approval that
changes it. They lock what they change (the alert while an incident is opened for it, else the incident's row) and may be called again
in a new transaction. Each change of state is on the timeline, in the audit log and in the outbox, or did not happen.
"""

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import Connection

from bcce.alerts.errors import UnknownAlert
from bcce.alerts.model import Alert
from bcce.alerts.repository import lock_alert
from bcce.incidents import repository
from bcce.incidents.errors import IllegalTransition, IncidentChanged, UnknownIncident
from bcce.incidents.model import EVENTS, TRANSITIONS, Incident, IncidentState, TimelineEntry
from bcce.kit.clock import Clock, format_time
from bcce.kit.errors import InvalidInput
from bcce.kit.events import Event
from bcce.kit.ids import Ids, IncidentId, parse_id
from bcce.kit.text import clean
from bcce.security.actor import Actor
from bcce.security.audit import AuditLog
from bcce.security.authz import Permission, require
from bcce.storage.doors import Database, run
from bcce.storage.outbox import event_item

MAX_PAGE = 500
_TITLE_CHARS = 300
_ACTOR_CHARS = 200
_TEXT_CHARS = 4_000


class IncidentService:
    """What others may ask about incidents."""

    def __init__(self, *, db: Database, clock: Clock, ids: Ids, audit: AuditLog) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self._audit = audit

    def open_for_alert(self, actor: Actor, conn: Connection, alert: Alert, *, correlation_id: str) -> tuple[Incident, bool]:
        """The incident of the alert's present episode, and whether it was opened just now.

        The same episode twice gives the same incident and changes nothing. An alert that fires again while its incident is not over
        joins it, visibly on the timeline; the incident is then at least as severe as the alert. Whether an alert that is resolved
        already is worth an incident is for the caller to decide.

        Raises:
            Forbidden: the actor may not.
            UnknownAlert: the actor's tenant has no such alert.
        """
        require(actor, Permission.INCIDENTS_WRITE)
        # Two workers with the same alert take turns here, so that the second one sees what the first one opened.
        if not lock_alert(conn, actor.tenant_id, alert.id):
            raise UnknownAlert(f"there is no alert {alert.id}")
        known = repository.for_episode(conn, actor.tenant_id, alert.id, alert.starts_at)
        if known is not None:
            return self._locked(actor, conn, known), False
        unfinished = repository.open_for(conn, actor.tenant_id, alert.id, for_update=True)
        if unfinished:
            return self._fired_again(actor, conn, unfinished[-1], alert, correlation_id), False
        return self._open(actor, conn, alert, correlation_id), True

    def transition(
        self,
        actor: Actor,
        conn: Connection,
        incident_id: IncidentId,
        to: IncidentState,
        reason: str,
        *,
        correlation_id: str,
        data: Mapping[str, object] | None = None,
        expected_version: int | None = None,
    ) -> Incident:
        """Moves the incident to `to` and returns it; a move to the state that it has already is only noted.

        Args:
            reason: a sentence for people; kept as the incident's summary when it is resolved or handed over.
            data: more facts for the timeline, as JSON values.
            expected_version: the version that the caller's decision rests on; None: whatever it is now.

        Raises:
            Forbidden: the actor may not.
            UnknownIncident: the actor's tenant has none such.
            IllegalTransition: `to` cannot follow its present state.
            IncidentChanged: it has another version than expected.
        """
        require(actor, Permission.INCIDENTS_WRITE)
        incident = self._locked(actor, conn, incident_id)
        if expected_version not in (None, incident.version):
            raise IncidentChanged(
                f"incident {incident.id} was changed meanwhile",
                hint="look at it again, then decide",
                details={"incidentId": incident.id, "state": str(incident.state), "version": incident.version},
            )
        if incident.state is to:
            self._entry(actor, conn, incident_id, "repeated", reason, {"state": str(to), **(data or {})})
            return incident
        if to not in TRANSITIONS[incident.state]:
            raise IllegalTransition(
                f"incident {incident_id} is {incident.state} and cannot become {to}",
                hint=f"from here it can become {', '.join(sorted(TRANSITIONS[incident.state])) or 'nothing else'}",
                details={"incidentId": incident_id, "state": str(incident.state), "wanted": str(to)},
            )
        moved = self._moved(incident, to, clean(reason, limit=_TEXT_CHARS))
        repository.save(conn, moved)
        self._tell(actor, conn, moved, reason, {"previousState": str(incident.state), **(data or {})}, correlation_id)
        return moved

    def note(
        self, actor: Actor, conn: Connection, incident_id: IncidentId, kind: str, text: str, data: Mapping[str, object] | None = None
    ) -> None:
        """Adds something to the incident's timeline, whatever its state; changes nothing else.

        Raises:
            Forbidden: the actor may not.
            UnknownIncident: the actor's tenant has none such.
        """
        require(actor, Permission.INCIDENTS_WRITE)
        self._locked(actor, conn, incident_id)
        self._entry(actor, conn, incident_id, kind, text, data or {})

    async def list(
        self, actor: Actor, *, state: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> tuple[list[Incident], str | None]:
        """A page of incidents, newest first, and the cursor of the next page; None after the last.

        Args:
            state: only incidents in this state; None: all.
            cursor: from the page before; None: the first page.
            limit: how many; taken as 1 to 500.

        Raises:
            InvalidInput: there is no such state, or the cursor is not ours.
        """
        require(actor, Permission.INCIDENTS_READ)
        if state is not None and state not in tuple(IncidentState):
            raise InvalidInput(f"there is no state {clean(state, limit=60)!r}", hint=f"states: {', '.join(IncidentState)}")
        wanted = IncidentState(state) if state is not None else None
        before = IncidentId(parse_id(cursor, "inc")) if cursor is not None else None
        size = min(max(limit, 1), MAX_PAGE)
        rows = await self._db.read(
            lambda conn: repository.list_incidents(conn, actor.tenant_id, state=wanted, before=before, limit=size + 1)
        )
        return rows[:size], rows[size - 1].id if len(rows) > size else None

    async def get(self, actor: Actor, incident_id: str) -> tuple[Incident, tuple[TimelineEntry, ...]]:
        """An incident with its timeline, as of one moment.

        Raises:
            UnknownIncident: there is none in the actor's tenant.
        """
        require(actor, Permission.INCIDENTS_READ)
        key = IncidentId(incident_id)
        incident, entries = await self._db.read(
            lambda conn: (repository.get(conn, actor.tenant_id, key), repository.timeline(conn, actor.tenant_id, key))
        )
        if incident is None:
            raise _unknown(incident_id)
        return incident, tuple(entries)

    def _locked(self, actor: Actor, conn: Connection, incident_id: IncidentId) -> Incident:
        incident = repository.get(conn, actor.tenant_id, incident_id, for_update=True)
        if incident is None:
            raise _unknown(incident_id)
        return incident

    def _open(self, actor: Actor, conn: Connection, alert: Alert, correlation_id: str) -> Incident:
        incident = Incident(
            id=IncidentId(self._ids.new("inc")),
            tenant_id=actor.tenant_id,
            title=clean(alert.summary or alert.name, limit=_TITLE_CHARS),
            severity=alert.severity,
            state=IncidentState.OPEN,
            service=alert.service,
            host=alert.host,
            fingerprint=alert.fingerprint,
            run_id=None,
            opened_at=self._clock.now(),
            resolved_at=None,
            closed_at=None,
            summary=None,
            version=1,
        )
        repository.add(conn, incident)
        self._join(actor, conn, incident, alert)
        self._tell(actor, conn, incident, f"opened by the alert {alert.name}", _alert_facts(alert), correlation_id)
        return incident

    def _fired_again(self, actor: Actor, conn: Connection, incident: Incident, alert: Alert, correlation_id: str) -> Incident:
        self._join(actor, conn, incident, alert)
        severity = max(incident.severity, alert.severity, key=lambda item: item.rank)
        joined = replace(incident, severity=severity, version=incident.version + 1)
        repository.save(conn, joined)
        text = f"{alert.name} fired again (episode {alert.episode})"
        self._entry(actor, conn, incident.id, "alert-fired-again", text, _alert_facts(alert))
        self._publish(actor, conn, "incident.updated", self._facts(joined, text, _alert_facts(alert)), correlation_id)
        return joined

    def _join(self, actor: Actor, conn: Connection, incident: Incident, alert: Alert) -> None:
        values = {"alert_id": alert.id, "starts_at": alert.starts_at, "episode": alert.episode}
        repository.add_alert(conn, {**values, "incident_id": incident.id, "tenant_id": actor.tenant_id, "added_at": self._clock.now()})

    def _moved(self, incident: Incident, to: IncidentState, reason: str) -> Incident:
        now = self._clock.now()
        return replace(
            incident,
            state=to,
            version=incident.version + 1,
            resolved_at=incident.resolved_at or (now if to is IncidentState.RESOLVED else None),
            closed_at=incident.closed_at or (now if to is IncidentState.CLOSED else None),
            summary=reason if to in (IncidentState.RESOLVED, IncidentState.ESCALATED) else incident.summary,
        )

    def _tell(
        self, actor: Actor, conn: Connection, incident: Incident, reason: str, data: Mapping[str, object], correlation_id: str
    ) -> None:
        """Timeline, audit and outbox of a state that was just reached."""
        self._entry(actor, conn, incident.id, str(incident.state), reason, data)
        kind, facts = EVENTS[incident.state], self._facts(incident, reason, data)
        run(conn, [self._audit.item(actor, kind, incident.id, facts, correlation_id=correlation_id)])
        self._publish(actor, conn, kind, facts, correlation_id)

    def _entry(self, actor: Actor, conn: Connection, incident_id: IncidentId, kind: str, text: str, data: Mapping[str, object]) -> None:
        values = {"incident_id": incident_id, "tenant_id": actor.tenant_id, "at": self._clock.now(), "actor": actor.id[:_ACTOR_CHARS]}
        repository.add_entry(conn, {**values, "kind": kind, "text": clean(text, limit=_TEXT_CHARS), "data": dict(data)})

    def _publish(self, actor: Actor, conn: Connection, kind: str, facts: Mapping[str, object], correlation_id: str) -> None:
        event = Event(type=kind, timestamp=self._clock.now(), source="incidents", tenant_id=actor.tenant_id, data=facts)
        run(conn, [event_item(self._ids, event, correlation_id=correlation_id)])

    def _facts(self, incident: Incident, reason: str, data: Mapping[str, object]) -> dict[str, object]:
        lasted = incident.time_to_resolve
        return {
            **data,
            "incidentId": incident.id,
            "title": incident.title,
            "state": str(incident.state),
            "severity": str(incident.severity),
            "service": incident.service,
            "host": incident.host,
            "runId": incident.run_id,
            "version": incident.version,
            "reason": clean(reason, limit=_TEXT_CHARS),
            "openedAt": format_time(incident.opened_at),
            "resolvedAt": format_time(incident.resolved_at) if incident.resolved_at else None,
            "closedAt": format_time(incident.closed_at) if incident.closed_at else None,
            "timeToResolve": None if lasted is None else round(lasted.total_seconds() * 1000, 3),
        }


def _alert_facts(alert: Alert) -> dict[str, object]:
    return {"alertId": alert.id, "fingerprint": alert.fingerprint, "startsAt": format_time(alert.starts_at), "episode": alert.episode}


def _unknown(incident_id: str) -> UnknownIncident:
    return UnknownIncident(f"there is no incident {clean(incident_id, limit=60)!r}", hint="`bcce incident list` shows which there are")
