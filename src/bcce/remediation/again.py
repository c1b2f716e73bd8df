"""A repair that is tried again: the incident that was handed to a person becomes BCCE's again, in the same transaction."""

from sqlalchemy import Connection

from bcce.incidents import repository as incidents
from bcce.incidents.model import OVER, Incident, IncidentState
from bcce.incidents.service import IncidentService
from bcce.kit.ids import IncidentId, RunId
from bcce.remediation.owners import is_of_one_repair, is_superseded, open_dispatches
from bcce.security.actor import Actor
from bcce.workflows import repository as workflows
from bcce.workflows.askers.repository import outermost
from bcce.workflows.errors import NotRepeatable
from bcce.workflows.model import Run


class RepairsAgain:
    """What `RunControl` asks before it tries a run again."""

    def __init__(self, service: IncidentService) -> None:
        self._service = service

    def __call__(self, actor: Actor, conn: Connection, run: Run, again: RunId) -> None:
        """Gives the incident back to the run `again`, which is `run` or repeats it; nothing if the run is no repair of an incident.

        In the same run nothing is started twice: it asks its target what became of what it had started. A new run would not know of it, so
        there is none before that is known.

        Raises:
            NotRepeatable: another run repairs the incident or has done so since, the run is only a part of the one that does, or nobody
                knows what became of a script for it.
        """
        incident = incidents.get(conn, actor.tenant_id, IncidentId(run.subject), for_update=True) if run.subject is not None else None
        known = workflows.get_run(conn, incident.run_id, actor.tenant_id) if incident is not None and incident.run_id is not None else None
        if incident is None or known is None or not is_of_one_repair(conn, run, known):
            return
        first = outermost(conn, run)
        if again == run.id and is_superseded(conn, first, known):
            raise NotRepeatable(
                f"run {known.id} repairs incident {incident.id} in the place of run {first.id}",
                hint=f"go on with that one: bcce run show {known.id}",
            )
        if incident.state in OVER:
            return
        if first.id != run.id:
            _check_part(run, again, first, incident)
            return
        if again != run.id:
            _check_none_repairs(conn, known, incident)
            incidents.set_run(conn, incident.id, again)
        elif run.id != known.id:
            return  # begun when the incident was over, so it never was its repair
        if incident.state is IncidentState.ESCALATED:
            to = _before(conn, incident) if again == known.id else IncidentState.INVESTIGATING
            reason = f"{actor.name} has its repair tried again"
            data = {"runId": again, "by": actor.id}
            self._service.transition(actor, conn, incident.id, to, reason, correlation_id=run.correlation_id, data=data)


def _check_part(run: Run, again: RunId, first: Run, incident: Incident) -> None:
    """A part of a repair neither takes the incident back from a person nor goes on beside it as a run of its own."""
    if again != run.id or incident.state is IncidentState.ESCALATED:
        raise NotRepeatable(
            f"run {run.id} is a part of run {first.id}, which repairs incident {incident.id}",
            hint=f"have the whole tried again: bcce run retry {first.id}",
        )


def _check_none_repairs(conn: Connection, known: Run, incident: Incident) -> None:
    if known.state not in workflows.ENDED:
        raise NotRepeatable(f"run {known.id} repairs incident {incident.id} now", hint=f"bcce run show {known.id}")
    for left in open_dispatches(conn, incident):
        raise NotRepeatable(
            f"nobody knows what became of dispatch {left.id} for incident {incident.id}, so nothing is started for it again",
            hint=f"look at the target, then say what was: bcce dispatch settle {left.id}",
        )


def _before(conn: Connection, incident: Incident) -> IncidentState:
    """Where the same run goes on: a repair that was verified before the run failed stays verified."""
    handed_over = [item for item in incidents.timeline(conn, incident.tenant_id, incident.id) if item.kind == IncidentState.ESCALATED]
    was_resolved = bool(handed_over) and handed_over[-1].data.get("previousState") == IncidentState.RESOLVED
    return IncidentState.RESOLVED if was_resolved else IncidentState.INVESTIGATING
