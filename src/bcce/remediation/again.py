"""A repair that is tried again: the incident that was handed to a person becomes BCCE's again, in the same transaction."""

from typing import Final

from sqlalchemy import Connection

from bcce.execution import repository as dispatches
from bcce.execution.model import DispatchState
from bcce.incidents import repository as incidents
from bcce.incidents.model import OVER, Incident, IncidentState
from bcce.incidents.service import IncidentService
from bcce.kit.ids import IncidentId, RunId
from bcce.security.actor import Actor
from bcce.workflows import repository as workflows
from bcce.workflows.errors import NotRepeatable
from bcce.workflows.model import Run

_UNKNOWN: Final = (DispatchState.INDETERMINATE, DispatchState.STARTED, DispatchState.CLEARED)


class RepairsAgain:
    """What `RunControl` asks before it tries a run again."""

    def __init__(self, service: IncidentService) -> None:
        self._service = service

    def __call__(self, actor: Actor, conn: Connection, run: Run, again: RunId) -> None:
        """Gives the incident back to the run `again`, which is `run` or repeats it; nothing if the run is no repair of an incident.

        In the same run nothing is started twice: it asks its target what became of what it had started. A new run would not know of it, so
        there is none before that is known.

        Raises:
            NotRepeatable: another run repairs the incident, or nobody knows what became of a script for it.
        """
        incident = incidents.get(conn, actor.tenant_id, IncidentId(run.subject), for_update=True) if run.subject is not None else None
        if incident is None or incident.run_id is None or incident.state in OVER or run.parent_id is not None:
            return
        known = workflows.get_run(conn, incident.run_id, actor.tenant_id)
        if known is None or known.workflow != run.workflow:
            return
        if known.id != again and known.state not in workflows.ENDED:
            raise NotRepeatable(f"run {known.id} repairs incident {incident.id} now", hint=f"bcce run show {known.id}")
        if again != run.id:
            _check_known(conn, incident)
        if again != known.id:
            incidents.set_run(conn, incident.id, again)
        if incident.state is IncidentState.ESCALATED:
            to = _before(conn, incident) if again == known.id else IncidentState.INVESTIGATING
            reason = f"{actor.name} has its repair tried again"
            data = {"runId": again, "by": actor.id}
            self._service.transition(actor, conn, incident.id, to, reason, correlation_id=run.correlation_id, data=data)


def _check_known(conn: Connection, incident: Incident) -> None:
    for state in _UNKNOWN:
        for left in dispatches.list_dispatches(conn, incident.tenant_id, incident_id=incident.id, state=state, limit=1):
            raise NotRepeatable(
                f"nobody knows what became of dispatch {left.id} for incident {incident.id}, so nothing is started for it again",
                hint=f"look at the target, then say what was: bcce dispatch settle {left.id}",
            )


def _before(conn: Connection, incident: Incident) -> IncidentState:
    """Where the same run goes on: a repair that was verified before the run failed stays verified."""
    handed_over = [item for item in incidents.timeline(conn, incident.tenant_id, incident.id) if item.kind == IncidentState.ESCALATED]
    was_resolved = bool(handed_over) and handed_over[-1].data.get("previousState") == IncidentState.RESOLVED
    return IncidentState.RESOLVED if was_resolved else IncidentState.INVESTIGATING
