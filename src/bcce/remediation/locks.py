"""One script at a time on a machine, and what is said to the one that has to wait for it."""

from datetime import datetime

from sqlalchemy import Connection

from bcce.execution import repository as dispatches
from bcce.execution.model import Clearance, DispatchState
from bcce.remediation.errors import NotCleared, TargetBusy
from bcce.remediation.repository import is_followed


def take_target(conn: Connection, clearance: Clearance, at: datetime) -> None:
    """Gives the target's machine to the dispatch that is being cleared.

    Raises:
        NotCleared: only a person can free it.
        TargetBusy: another script runs there.
    """
    held_by = dispatches.lock_target(conn, clearance.tenant_id, clearance.target, clearance.dispatch_key, at)
    if held_by is None:
        return
    name = clearance.target.name
    holder = dispatches.get_by_key(conn, held_by)
    where = f"the target {name!r}"
    if holder is not None and holder.target.name != name:
        where = f"the machine of target {name!r}, as its target {holder.target.name!r}"
    if holder is not None and (holder.state is DispatchState.INDETERMINATE or not is_followed(conn, holder)):
        why = "cannot be known" if holder.state is DispatchState.INDETERMINATE else "nobody follows: its step has ended"
        raise NotCleared(
            f"{where} is locked: what became of dispatch {held_by} {why}",
            hint=f"look at the target, then say what was: bcce dispatch settle {held_by}",
        )
    raise TargetBusy(f"another script runs on {where}: dispatch {held_by}")
