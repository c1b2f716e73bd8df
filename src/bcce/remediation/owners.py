"""Whose an incident is: which run may start scripts for it, and which no longer may. Inside the caller's transaction.

Runs that one run has started, and those that they have, count as one: the outermost.
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection

from bcce.execution import repository as dispatches
from bcce.execution.model import Dispatch, DispatchState
from bcce.incidents.model import Incident
from bcce.workflows import repository as workflows
from bcce.workflows.askers.repository import outermost
from bcce.workflows.model import Run

_UNKNOWN: Final = (DispatchState.INDETERMINATE, DispatchState.STARTED, DispatchState.CLEARED)
_MAX_OPEN: Final = 100


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


def _first(conn: Connection, run: Run) -> str:
    run = outermost(conn, run)
    while run.rerun_of is not None:
        above = workflows.get_run(conn, run.rerun_of)
        if above is None:
            # It is gone; runs that were made from it are still known by its name.
            return run.rerun_of
        run = outermost(conn, above)
    return run.id
