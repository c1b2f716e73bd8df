"""Whose an incident is: which run may start scripts for it, and which no longer may. Inside the caller's transaction.

Runs that one run has started, and those that they have, count as one: the outermost.
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection

from bcce.execution import repository as dispatches
from bcce.execution.model import Dispatch, DispatchState
from bcce.incidents import repository as incidents
from bcce.incidents.model import TRANSITIONS, Incident, IncidentState
from bcce.kit.ids import IncidentId
from bcce.remediation.errors import NotCleared, NotYet
from bcce.remediation.repository import is_followed
from bcce.workflows import repository as workflows
from bcce.workflows.askers.repository import outermost
from bcce.workflows.model import Run
from bcce.workflows.step_type import StepContext

_UNKNOWN: Final = (DispatchState.INDETERMINATE, DispatchState.STARTED, DispatchState.CLEARED)
_MAX_OPEN: Final = 100
_HINT: Final = (
    "whoever has the incident repairs it by hand, starts a workflow of their own, or has the repair tried again: `bcce run retry`"
)


def is_of_one_repair(conn: Connection, run: Run, other: Run) -> bool:
    """Whether the two come from the same first run, as parts of it or by being run again."""
    return _first(conn, run) == _first(conn, other)


def is_superseded(conn: Connection, run: Run, by: Run) -> bool:
    """Whether `by`, the run that repairs an incident, began in the place of the outermost run `run`."""
    return run.id != by.id and (run.created_at, run.id) < (by.created_at, by.id) and is_of_one_repair(conn, run, by)


def open_dispatches(conn: Connection, incident: Incident) -> Iterator[Dispatch]:
    """The scripts for the incident of which it is not known what became, those that nobody follows first."""
    for state in _UNKNOWN:
        yield from dispatches.list_dispatches(conn, incident.tenant_id, incident_id=incident.id, state=state, limit=_MAX_OPEN)


def check_may_start(conn: Connection, context: StepContext, incident_id: IncidentId, *, is_undoing: bool) -> None:
    """Lets a script of the step's run start for the incident; locks the incident's row until the commit.

    Args:
        is_undoing: somebody cancelled the run, and the script undoes what it did; that somebody has the incident is no reason against it.

    Raises:
        NotCleared: a person has it and the run is not theirs, another run repairs it, or nobody knows what became of a script for it.
        NotYet: a script of another run for it has not ended.
    """
    incident = incidents.get(conn, context.tenant_id, incident_id, for_update=True)
    run = workflows.get_run(conn, context.run_id, context.tenant_id)
    if incident is None or run is None:
        raise NotCleared(f"there is no incident {incident_id}, so no script is started for it")
    own = outermost(conn, run)
    known = workflows.get_run(conn, incident.run_id, context.tenant_id) if incident.run_id is not None else None
    if known is not None and is_superseded(conn, own, known):
        raise NotCleared(f"run {known.id} repairs incident {incident_id} in the place of run {own.id}", hint=f"bcce run show {known.id}")
    is_repair = known is not None and known.id == own.id
    if incident.state is IncidentState.ESCALATED:
        if not is_undoing and (is_repair or not _is_begun_since(conn, own, incident)):
            raise NotCleared(f"incident {incident_id} is {incident.state}, so no script is started for it", hint=_HINT)
    elif known is not None and not is_repair and known.state not in workflows.ENDED:
        raise NotCleared(f"run {known.id} repairs incident {incident_id} now", hint=f"bcce run show {known.id}")
    _check_open(conn, own, incident)


def check_may_repair(conn: Connection, context: StepContext, incident_id: IncidentId) -> None:
    """Lets the script of a repair start: only in the run that repairs the incident, after a look at it and before it is over.

    Raises:
        NotCleared: it is not so.
    """
    incident = incidents.get(conn, context.tenant_id, incident_id, for_update=True)
    run = workflows.get_run(conn, context.run_id, context.tenant_id)
    state = incident.state if incident is not None else IncidentState.CLOSED
    if state is not IncidentState.REMEDIATING and IncidentState.REMEDIATING not in TRANSITIONS[state]:
        raise NotCleared(f"incident {incident_id} is {state}, so no script is started for it", hint=_HINT)
    if incident is None or run is None or outermost(conn, run).id != incident.run_id:
        raise NotCleared(
            f"this run does not repair incident {incident_id}", hint=f"`bcce incident show {incident_id}` says which run repairs it"
        )


def _check_open(conn: Connection, own: Run, incident: Incident) -> None:
    """Two runs do not act for one incident at the same time; what became of its own scripts each run finds out itself."""
    for left in open_dispatches(conn, incident):
        run = workflows.get_run(conn, left.run_id, incident.tenant_id)
        if run is not None and outermost(conn, run).id == own.id:
            continue
        if left.state is not DispatchState.INDETERMINATE and is_followed(conn, left):
            raise NotYet(f"another run's script for incident {incident.id} has not ended: dispatch {left.id}")
        raise NotCleared(
            f"nobody knows what became of dispatch {left.id} for incident {incident.id}, so nothing is started for it",
            hint=f"look at the target, then say what was: bcce dispatch settle {left.id}",
        )


def _is_begun_since(conn: Connection, run: Run, incident: Incident) -> bool:
    """Whether the run was asked for after the incident was handed to a person: then it is theirs, and not what was going on before."""
    handed_over = [item.at for item in incidents.timeline(conn, incident.tenant_id, incident.id) if item.kind == IncidentState.ESCALATED]
    return bool(handed_over) and run.created_at >= handed_over[-1]


def _first(conn: Connection, run: Run) -> str:
    run = outermost(conn, run)
    while run.rerun_of is not None:
        above = workflows.get_run(conn, run.rerun_of)
        if above is None:
            # It is gone; runs that were made from it are still known by its name.
            return run.rerun_of
        run = outermost(conn, above)
    return run.id
