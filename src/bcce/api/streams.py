"""Who follows which run: one look at the new events serves all streams, and tells each of them when there is something for it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from bcce.kit.errors import BcceError
from bcce.kit.ids import RunId
from bcce.runtime import Runtime
from bcce.storage.outbox import OutboxRow, has_unplaced, head, position_before, read_after
from bcce.workflows.model import Run
from bcce.workflows.repository import ENDED, get_run

log = structlog.get_logger(__name__)

_PAGE = 500
#: How many events a stream holds while its reader takes them: each may have 16 KiB, and a reader may take its time.
_FEW = 20
_LOOK_S = 0.2
#: Proxies cut connections on which nothing is said for a minute.
_BEAT_S = 15.0
#: How much later than a run's end its last events may seem to be: the database's clock need not be ours.
_SLACK = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Found:
    """A run's next events, as of one moment. All up to `position` have been looked at; `is_all`: no others will come, the run is over."""

    rows: list[OutboxRow]
    position: int
    is_over: bool
    is_all: bool


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

    async def follow(self, run: Run, found: Found) -> AsyncIterator[OutboxRow | None]:
        """The events that were `found`, then those behind them as they happen, until it is over; None now and then when nothing happens."""
        with self._following(run.id) as follower:
            while not self._is_closing:
                for row in found.rows:
                    yield row
                    if self._is_closing:
                        return
                if found.is_all:
                    return
                position = found.position
                if not found.rows:
                    is_quiet = await self._is_quiet(follower, for_s=_LOOK_S if found.is_over else _BEAT_S)
                    if is_quiet and not found.is_over:
                        yield None
                    position = max(position, follower.quiet_until)
                    follower.rings.clear()
                found = await self.events_of(run, position)

    async def events_of(self, run: Run, position: int) -> Found:
        """The run's next events behind a position."""
        limit = _FEW
        while True:
            found, is_page_full = await self._runtime.db.read(partial(_read, run=run, position=position, limit=limit))
            if found.rows or not is_page_full:
                return found
            # What is not the run's own is let go of at once, so it may be more.
            position, limit = found.position, min(_PAGE, limit * 2)

    @staticmethod
    async def _is_quiet(follower: _Follower, *, for_s: float) -> bool:
        try:
            async with asyncio.timeout(for_s):
                await follower.rings.wait()
        except TimeoutError:
            return True
        return False

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


def _read(conn: Connection, *, run: Run, position: int, limit: int) -> tuple[Found, bool]:
    """The run's own of the next `limit` events with its correlation id, and whether there were as many."""
    now = get_run(conn, run.id, run.tenant_id)
    is_over = now is None or now.state in ENDED
    until = head(conn)
    if now is not None and is_over and now.ended_at is not None:
        until = min(until, position_before(conn, now.ended_at + _SLACK))
    rows = read_after(conn, position, limit, tenant_id=run.tenant_id, correlation_id=run.correlation_id, until=until)
    own = [row for row in rows if row.data.get("workflowId") == run.id]
    is_page_full = len(rows) == limit
    # On servers an event has its position only a moment after its commit.
    is_all = is_over and not is_page_full and not has_unplaced(conn, run.correlation_id)
    return Found(own, rows[-1].position if is_page_full else max(position, until), is_over, is_all), is_page_full
