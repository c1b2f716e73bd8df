"""Who follows which run: one look at the new events serves all streams, and tells each of them when there is something for it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import structlog

from bcce.kit.errors import BcceError
from bcce.kit.ids import RunId
from bcce.runtime import Runtime
from bcce.security.actor import Actor
from bcce.storage.outbox import OutboxRow, head, read_after
from bcce.workflows.model import Run
from bcce.workflows.repository import LIVE

log = structlog.get_logger(__name__)

_PAGE = 500
#: How many events a stream holds while its reader takes them: each may have 16 KiB, and a reader may take its time.
_FEW = 20
_LOOK_S = 0.2
#: Proxies cut connections on which nothing is said for a minute.
_BEAT_S = 15.0


@dataclass(slots=True, eq=False)
class _Follower:
    """One stream. `rings` when its run has new events; all events up to `quiet_until` that the hub has looked at are of other runs."""

    run_id: RunId
    rings: asyncio.Event = field(default_factory=asyncio.Event)
    quiet_until: int = 0


class RunStreams:
    """The streams of one server. Each holds a few events, however slow its reader is."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._followers: dict[RunId, set[_Follower]] = {}
        self._hub: asyncio.Task[None] | None = None
        self._is_closing = False

    def close(self) -> None:
        """Ends every stream after what it has begun to send; its reader comes back with the last event's id."""
        self._is_closing = True
        for followers in self._followers.values():
            for follower in followers:
                follower.rings.set()

    async def follow(self, actor: Actor, run: Run, position: int, rows: list[OutboxRow]) -> AsyncIterator[OutboxRow | None]:
        """`rows`, then the run's events behind `position` as they happen, until it is over; None now and then when nothing happens."""
        with self._following(run.id) as follower:
            while not self._is_closing:
                for row in rows:
                    yield row
                    if self._is_closing:
                        return
                # Looked at before the events are read, so that all events of a run that is over are among them.
                state = await self._runtime.workflows.state(actor, run.id)
                rows, position = await self.events_of(run, position)
                if rows:
                    continue
                if state not in LIVE:
                    return
                try:
                    async with asyncio.timeout(_BEAT_S):
                        await follower.rings.wait()
                except TimeoutError:
                    yield None
                position = max(position, follower.quiet_until)
                follower.rings.clear()

    async def events_of(self, run: Run, position: int) -> tuple[list[OutboxRow], int]:
        """The run's next events behind a position, and up to where all events have been looked at."""
        limit = _FEW
        while True:
            rows = await self._runtime.db.read(partial(read_after, position=position, limit=limit, tenant_id=run.tenant_id))
            own = [row for row in rows if row.data.get("workflowId") == run.id]
            position = rows[-1].position if rows else position
            if own or len(rows) < limit:
                return own, position
            # What is not the run's own is let go of at once, so it may be more.
            limit = min(_PAGE, limit * 2)

    @contextmanager
    def _following(self, run_id: RunId) -> Iterator[_Follower]:
        follower = _Follower(run_id)
        self._followers.setdefault(run_id, set()).add(follower)
        if self._hub is None:
            self._hub = asyncio.create_task(self._look(), name="run-streams")
        try:
            yield follower
        finally:
            self._followers[run_id].discard(follower)
            if not self._followers[run_id]:
                del self._followers[run_id]
            if not self._followers and self._hub is not None:
                self._hub.cancel()
                self._hub = None

    async def _look(self) -> None:
        """Rings whoever follows a run that has new events."""
        position = None
        while True:
            try:
                if position is None:
                    position = await self._runtime.db.read(head)
                    self._ring({run_id for run_id in self._followers}, 0)
                rows = await self._runtime.db.read(partial(read_after, position=position, limit=_PAGE, tenant_id=None))
            except BcceError as error:
                log.warning("api.streams_cannot_look", code=error.code, reason=error.message)
                rows = []
            if rows:
                position = rows[-1].position
                self._ring({RunId(str(row.data.get("workflowId"))) for row in rows}, position)
            if len(rows) < _PAGE:
                await asyncio.sleep(_LOOK_S)

    def _ring(self, run_ids: set[RunId], position: int) -> None:
        for run_id, followers in self._followers.items():
            for follower in followers:
                if run_id in run_ids:
                    follower.rings.set()
                elif not follower.rings.is_set():
                    follower.quiet_until = position
