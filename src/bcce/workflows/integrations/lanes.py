"""What became of a run's events for connectors, for whoever looks at the run."""

from bcce.kit.ids import RunId
from bcce.security.actor import Actor
from bcce.security.authz import Permission, require
from bcce.storage.doors import Database
from bcce.workflows.integrations import repository
from bcce.workflows.integrations.repository import LaneView


class IntegrationLanes:
    """What can be seen of deliveries."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def of(self, actor: Actor, run_id: RunId) -> list[LaneView]:
        """One for each entry of the workflow's `integrations`, in its order; none when the run is none of the actor's tenant."""
        require(actor, Permission.WORKFLOWS_READ)
        return await self._db.read(lambda conn: repository.views(conn, run_id, actor.tenant_id))
