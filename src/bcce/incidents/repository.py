"""Every query on incidents. Synchronous: each function works inside the caller's transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from bcce.incidents.errors import IncidentChanged
from bcce.incidents.model import OVER, Incident, IncidentState, TimelineEntry
from bcce.incidents.tables import incident_alerts, incident_timeline, incidents
from bcce.kit.findings import Severity
from bcce.kit.ids import AlertId, IncidentId, RunId, TenantId


def get(conn: Connection, tenant_id: TenantId, incident_id: IncidentId, *, for_update: bool = False) -> Incident | None:
    """The incident; None when the tenant has none such. `for_update` locks its row until the commit."""
    query = select(incidents).where(incidents.c.tenant_id == tenant_id, incidents.c.id == incident_id)
    row = conn.execute(query.with_for_update() if for_update else query).mappings().first()
    return _incident_of(row) if row else None


def add(conn: Connection, incident: Incident) -> None:
    """Stores a new incident."""
    values = {name: getattr(incident, name) for name in Incident.__slots__}
    conn.execute(insert(incidents), [{**values, "state": str(incident.state), "severity": str(incident.severity)}])


def save(conn: Connection, incident: Incident) -> None:
    """Writes an incident's state, severity, times and summary.

    Raises:
        IncidentChanged: it no longer has the version before `incident.version`; nothing was written.
    """
    query = update(incidents).where(incidents.c.id == incident.id, incidents.c.version == incident.version - 1)
    changed = query.values(
        state=str(incident.state),
        severity=str(incident.severity),
        resolved_at=incident.resolved_at,
        closed_at=incident.closed_at,
        summary=incident.summary,
        version=incident.version,
    )
    if conn.execute(changed).rowcount != 1:
        raise IncidentChanged(details={"incidentId": incident.id})


def set_run(conn: Connection, incident_id: IncidentId, run_id: RunId) -> None:
    """Remembers which run repairs the incident."""
    conn.execute(update(incidents).where(incidents.c.id == incident_id).values(run_id=run_id))


def open_for(conn: Connection, tenant_id: TenantId, alert_id: AlertId, *, for_update: bool = False) -> list[Incident]:
    """The incidents of an alert that are neither resolved nor closed, oldest first; `for_update` locks them, so that they stay so."""
    table = incident_alerts
    of_alert = select(table.c.incident_id).where(table.c.tenant_id == tenant_id, table.c.alert_id == alert_id)
    query = select(incidents).where(incidents.c.id.in_(of_alert), incidents.c.state.not_in(sorted(OVER))).order_by(incidents.c.id)
    return [_incident_of(row) for row in conn.execute(query.with_for_update() if for_update else query).mappings()]


def for_episode(conn: Connection, tenant_id: TenantId, alert_id: AlertId, starts_at: datetime) -> IncidentId | None:
    """The incident that this episode of the alert belongs to; None when it belongs to none yet."""
    table = incident_alerts
    query = select(table.c.incident_id).where(table.c.tenant_id == tenant_id, table.c.alert_id == alert_id, table.c.starts_at == starts_at)
    found = conn.execute(query).scalar()
    return IncidentId(found) if found else None


def add_alert(conn: Connection, values: Mapping[str, object]) -> None:
    """Makes an episode of an alert part of an incident."""
    conn.execute(insert(incident_alerts), [dict(values)])


def alert_ids(conn: Connection, incident_id: IncidentId) -> list[AlertId]:
    """The incident's alerts, each once, the one that opened it first."""
    table = incident_alerts
    joined = func.min(table.c.added_at).label("joined")
    query = select(table.c.alert_id, joined).where(table.c.incident_id == incident_id).group_by(table.c.alert_id)
    return [AlertId(row.alert_id) for row in conn.execute(query.order_by(joined, table.c.alert_id))]


def first_episodes(conn: Connection, tenant_id: TenantId, incident_ids: Sequence[str]) -> list[tuple[AlertId, datetime]]:
    """The alerts of the incidents, each with the start of the first of its episodes that belong to them."""
    table = incident_alerts
    query = select(table.c.alert_id, func.min(table.c.starts_at).label("first")).where(
        table.c.tenant_id == tenant_id, table.c.incident_id.in_(incident_ids)
    )
    return [(AlertId(row.alert_id), row.first) for row in conn.execute(query.group_by(table.c.alert_id).order_by(table.c.alert_id))]


def history(conn: Connection, tenant_id: TenantId, fingerprint: str, *, before: datetime, limit: int) -> list[Incident]:
    """Earlier incidents that the same alert opened, newest first."""
    query = select(incidents).where(
        incidents.c.tenant_id == tenant_id, incidents.c.fingerprint == fingerprint, incidents.c.opened_at < before
    )
    return [_incident_of(row) for row in conn.execute(query.order_by(incidents.c.opened_at.desc()).limit(limit)).mappings()]


def list_incidents(
    conn: Connection, tenant_id: TenantId, *, state: IncidentState | None, before: IncidentId | None, limit: int
) -> list[Incident]:
    """The tenant's incidents, newest first, from below the id `before`."""
    query = select(incidents).where(incidents.c.tenant_id == tenant_id)
    if state is not None:
        query = query.where(incidents.c.state == str(state))
    if before is not None:
        query = query.where(incidents.c.id < before)
    return [_incident_of(row) for row in conn.execute(query.order_by(incidents.c.id.desc()).limit(limit)).mappings()]


def add_entry(conn: Connection, values: Mapping[str, object]) -> int:
    """Adds to an incident's timeline; returns the entry's number.

    The caller holds the incident's row lock, so no number is taken twice.
    """
    table = incident_timeline
    last = conn.scalar(select(func.max(table.c.seq)).where(table.c.incident_id == values["incident_id"]))
    seq = int(last or 0) + 1
    conn.execute(insert(table), [{**values, "seq": seq}])
    return seq


def timeline(conn: Connection, tenant_id: TenantId, incident_id: IncidentId) -> list[TimelineEntry]:
    """What happened to the incident, in order."""
    table = incident_timeline
    query = select(table).where(table.c.tenant_id == tenant_id, table.c.incident_id == incident_id).order_by(table.c.seq)
    return [TimelineEntry(**{name: row[name] for name in TimelineEntry.__slots__}) for row in conn.execute(query).mappings()]


def _incident_of(row: RowMapping) -> Incident:
    values = {name: row[name] for name in Incident.__slots__}
    return Incident(**{**values, "state": IncidentState(row["state"]), "severity": Severity(row["severity"])})
