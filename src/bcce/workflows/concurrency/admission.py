"""Who of a concurrency group goes next, decided in the database under the group's lock.

Each transaction locks one group and gives one run its turn, or locks one run and cancels it; so no two transactions wait for each other,
and whatever dies in between, the next look at the group goes on from the rows.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from bcce.kit.clock import Clock
from bcce.kit.events import Event
from bcce.kit.ids import Ids, RunId, TenantId
from bcce.security.actor import system_actor
from bcce.storage.doors import Database
from bcce.storage.doors import run as run_items
from bcce.storage.outbox import event_item
from bcce.workflows import repository as journal
from bcce.workflows.concurrency import repository
from bcce.workflows.concurrency.repository import Place
from bcce.workflows.control import RunControl


@dataclass(frozen=True, slots=True)
class _Step:
    """What one look at a group brought: a run that has its turn now, or runs that `newest` wants cancelled, or nothing."""

    admitted: RunId | None = None
    in_the_way: tuple[RunId, ...] = ()
    newest: Place | None = None


class Admission:
    """Gives waiting runs their turn, for any number of workers at the same time."""

    def __init__(self, *, db: Database, clock: Clock, ids: Ids, control: RunControl) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self._control = control

    async def sweep(self) -> list[RunId]:
        """Looks at every group in which something could change; returns the runs that are to be rung."""
        rings: list[RunId] = []
        for tenant_id, group in await self._db.read(repository.movable):
            rings += await self.admit(tenant_id, group)
        return rings

    async def admit_beside(self, run_id: RunId) -> list[RunId]:
        """Looks at the group of a run that came or ended; returns the runs that are to be rung, none when it has no group."""
        place = await self._db.read(lambda conn: repository.place_of(conn, run_id))
        return await self.admit(place.tenant_id, place.group_name) if place is not None else []

    async def admit(self, tenant_id: TenantId, group: str) -> list[RunId]:
        """Gives everybody in the group a turn who can have one; returns the runs that are to be rung."""
        rings: list[RunId] = []
        while True:
            step = await self._db.write(lambda conn: self._step(conn, tenant_id, group))
            if step.admitted is not None:
                rings.append(step.admitted)
            elif step.newest is not None and step.in_the_way:
                for run_id in step.in_the_way:
                    await self._control.supersede(system_actor("concurrency", tenant_id), run_id, by=step.newest.run_id, group=group)
                    rings.append(run_id)
            else:
                return rings

    def _step(self, conn: Connection, tenant_id: TenantId, group: str) -> _Step:
        repository.lock_group(conn, tenant_id, group)
        taken = repository.taken(conn, tenant_id, group)
        first = repository.first_waiting(conn, tenant_id, group)
        if first is None:
            return _Step()
        newest = repository.newest_canceller(conn, tenant_id, group)
        in_the_way = repository.in_the_way(conn, newest) if newest is not None else []
        if in_the_way:
            return _Step(in_the_way=tuple(in_the_way), newest=newest)
        if taken >= first.at_most:
            return _Step()
        if not repository.let_go(conn, first):
            return self._step(conn, tenant_id, group)  # somebody cancelled it just now; then it is not the first any more
        run = journal.get_run(conn, first.run_id)
        if run is not None:
            data = {"workflowId": run.id, "workflow": run.workflow, "subject": run.subject}
            kind = "workflow.started" if run.started_at is None else "workflow.resumed"
            event = Event(type=kind, timestamp=self._clock.now(), source="workflows", tenant_id=run.tenant_id, data=data)
            run_items(conn, [event_item(self._ids, event, correlation_id=run.correlation_id)])
        return _Step(admitted=first.run_id)
