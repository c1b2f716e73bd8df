"""Where runs stand in their concurrency groups, for whoever looks at them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from bcce.kit.ids import RunId
from bcce.security.actor import Actor
from bcce.security.authz import Permission, require
from bcce.storage.doors import Database
from bcce.workflows.concurrency import repository
from bcce.workflows.model import Run, RunState
from bcce.workflows.repository import LIVE, get_run


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A run's place in its concurrency group. `ahead` are the runs before it, those that have their turn among them."""

    group: str
    limit: int
    has_turn: bool
    ahead: int


class ConcurrencyGroups:
    """What can be seen of concurrency groups."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def standing(self, actor: Actor, run_id: RunId) -> Standing | None:
        """Where a run stands; None when it has no group, is over, or is none of the actor's tenant."""
        require(actor, Permission.WORKFLOWS_READ)

        def read(conn: Connection) -> Standing | None:
            run, place = get_run(conn, run_id, actor.tenant_id), repository.place_of(conn, run_id)
            if run is None or place is None or run.state not in LIVE:
                return None
            return Standing(group=place.group_name, limit=place.at_most, has_turn=place.has_turn, ahead=repository.ahead(conn, place))

        return await self._db.read(read)

    async def waited_for(self, actor: Actor, page: Sequence[Run]) -> Mapping[RunId, str]:
        """The groups of those of the actor's runs that wait for their turn."""
        require(actor, Permission.WORKFLOWS_READ)
        queued = [run.id for run in page if run.state is RunState.QUEUED and run.tenant_id == actor.tenant_id]
        return await self._db.read(lambda conn: repository.groups_of(conn, queued)) if queued else {}
