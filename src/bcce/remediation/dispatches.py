"""What a person says about a script that nobody else can tell of: the only way, besides the target's own answer, to free its target."""

from collections.abc import Mapping

from sqlalchemy import Connection

from bcce.execution import repository
from bcce.execution.errors import UnknownDispatch
from bcce.execution.model import SETTLED, Dispatch, DispatchState
from bcce.incidents.service import IncidentService
from bcce.kit.clock import Clock
from bcce.kit.errors import Conflict, InvalidInput
from bcce.kit.events import Event
from bcce.kit.ids import DispatchId, Ids
from bcce.kit.text import clean
from bcce.remediation.repository import is_followed
from bcce.security.actor import Actor
from bcce.security.audit import AuditLog
from bcce.security.authz import Permission, require
from bcce.storage.doors import Database
from bcce.storage.doors import run as run_items
from bcce.storage.outbox import event_item

#: What can have become of it, in a person's words on the command line.
OUTCOMES: Mapping[str, DispatchState] = {
    "succeeded": DispatchState.SUCCEEDED,
    "failed": DispatchState.FAILED,
    "stopped": DispatchState.STOPPED,
    "never-ran": DispatchState.ABANDONED,
}
_MAX_REASON_CHARS = 2000


class NotIndeterminate(Conflict):
    """The dispatch's outcome is known, or its step still follows it, so there is nothing to settle."""

    code = "not-indeterminate"


class DispatchService:
    """Looks at dispatches, and settles those that only a person can settle."""

    def __init__(self, *, db: Database, clock: Clock, ids: Ids, audit: AuditLog, incidents: IncidentService) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self._audit = audit
        self._incidents = incidents

    async def list(self, actor: Actor, *, state: str | None = None, before: str | None = None, limit: int = 50) -> list[Dispatch]:
        """The newest dispatches; `before` is the id of the last one of the page before.

        Raises:
            InvalidInput: there is no such state.
        """
        require(actor, Permission.INCIDENTS_READ)
        if state is not None and state not in tuple(DispatchState):
            raise InvalidInput(f"there is no state {clean(state, limit=60)!r}", hint=f"states: {', '.join(DispatchState)}")
        wanted = DispatchState(state) if state is not None else None
        cursor = DispatchId(before) if before is not None else None
        return await self._db.read(lambda conn: repository.list_dispatches(conn, actor.tenant_id, state=wanted, before=cursor, limit=limit))

    async def get(self, actor: Actor, dispatch_id: str) -> Dispatch:
        """One dispatch.

        Raises:
            UnknownDispatch: the actor's tenant has none such.
        """
        require(actor, Permission.INCIDENTS_READ)
        return await self._db.read(lambda conn: self._known(conn, actor, dispatch_id))

    async def settle(self, actor: Actor, dispatch_id: str, outcome: str, *, reason: str) -> Dispatch:
        """Records what a person found out, and frees the target; the incident stays with whoever has it.

        Raises:
            UnknownDispatch: the actor's tenant has none such.
            InvalidInput: no such outcome, or no reason.
            NotIndeterminate: its outcome is known, or its step has not ended and still follows it.
        """
        require(actor, Permission.DISPATCHES_SETTLE)
        if outcome not in OUTCOMES:
            raise InvalidInput(f"there is no outcome {clean(outcome, limit=60)!r}", hint=f"one of {', '.join(OUTCOMES)}")
        why = clean(reason, limit=_MAX_REASON_CHARS).strip()
        if not why:
            raise InvalidInput("say how you know: it is kept in the audit log")

        def write(conn: Connection) -> Dispatch:
            before = self._known(conn, actor, dispatch_id)
            _check_unsettled(conn, before)
            now = self._clock.now()
            after = repository.transition(conn, before.key, OUTCOMES[outcome], at=now)
            repository.unlock_target(conn, actor.tenant_id, before.id)
            facts = {"dispatchId": before.id, "incidentId": before.incident_id, "state": str(after.state), "reason": why}
            event = Event(type="dispatch.settled", timestamp=now, source="remediation", tenant_id=actor.tenant_id, data=facts)
            run_items(conn, [self._audit.item(actor, "dispatch.settled", before.id, facts), event_item(self._ids, event)])
            if before.incident_id is not None:
                text = f"{actor.name} says that the script {outcome.replace('-', ' ')}: {why}"
                self._incidents.note(actor, conn, before.incident_id, "dispatch-settled", text, facts)
            return after

        return await self._db.write(write)

    def _known(self, conn: Connection, actor: Actor, dispatch_id: str) -> Dispatch:
        found = repository.get_by_key(conn, dispatch_id, actor.tenant_id)
        if found is None:
            raise UnknownDispatch(
                f"there is no dispatch {clean(dispatch_id, limit=60)!r}", hint="`bcce dispatch list` shows which there are"
            )
        return found


def _check_unsettled(conn: Connection, dispatch: Dispatch) -> None:
    """What its own step will still find out is not for a person to say; one that is left behind by an ended step nobody else looks at."""
    details: dict[str, object] = {"dispatchId": dispatch.id, "state": str(dispatch.state)}
    if dispatch.state in SETTLED:
        raise NotIndeterminate(f"dispatch {dispatch.id} is {dispatch.state}", details=details)
    if dispatch.state is not DispatchState.INDETERMINATE and is_followed(conn, dispatch):
        raise NotIndeterminate(
            f"dispatch {dispatch.id} is {dispatch.state}, and step {dispatch.step_key!r} of its run still follows it",
            hint=f"to end it, cancel the run: bcce run cancel {dispatch.run_id}",
            details=details,
        )
