"""Which people wanted what a script does: none of them can be the one who agrees to it."""

from sqlalchemy import Connection

from bcce.alerts import repository as alerts
from bcce.approvals import repository as approvals
from bcce.incidents import repository as incidents
from bcce.kit.ids import IncidentId, RunId, TenantId
from bcce.workflows import repository as workflows
from bcce.workflows.askers.repository import How, askers_of, outermost


def people_who_asked(conn: Connection, tenant_id: TenantId, run_id: RunId, incident_id: IncidentId | None) -> tuple[str, ...]:
    """Whoever started the run or the run it comes from, signalled any of them, or sent an alert of their incidents; sorted.

    A run that is tried again is the wish of whoever wanted it first, so that one person on call can go on with a repair that failed. Only
    where somebody had said no, the one who tries it again is the one who asks.
    """
    run = workflows.get_run(conn, run_id, tenant_id)
    if run is None:
        return ()
    first = outermost(conn, run)
    known = askers_of(conn, first)
    # Also when nobody had been asked anything yet, a cancel is a no.
    is_refused = any(how is How.CANCELLED for _, how in known) or approvals.was_refused(conn, tenant_id, run.correlation_id)
    wants = {How.STARTED, How.SIGNALLED} | ({How.RETRIED} if is_refused else set())
    people = {person for person, how in known if how in wants}
    about = {incident_id, run.subject, first.subject} - {None}
    for alert_id, since in incidents.first_episodes(conn, tenant_id, sorted(str(item) for item in about)):
        people |= alerts.senders(conn, tenant_id, alert_id, since)
    return tuple(sorted(people))
