"""Follows the outbox for the events that connectors want, and delivers them: at least once, of each run in order.

What is to be delivered is written in one transaction with the step forward in the outbox, and what became of it in one of its own, so an
event is delivered again after a crash and never forgotten. Nothing here makes a run wait.
"""

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog
from sqlalchemy import Connection

from bcce.kit.clock import Clock
from bcce.kit.errors import BcceError
from bcce.kit.ids import Ids, RunId
from bcce.kit.redact import Secret, mask_text
from bcce.observability.metrics import Metrics
from bcce.resilience import Breaker, BreakerPolicy, BreakerStore, RetryPolicy
from bcce.storage import outbox
from bcce.storage.doors import Database
from bcce.storage.outbox import OutboxRow
from bcce.workflows.connector import Delivery
from bcce.workflows.errors import DeliveryFailed
from bcce.workflows.integrations import repository
from bcce.workflows.integrations.parcels import Parcel, Parcels
from bcce.workflows.integrations.repository import DELIVERED, GIVEN_UP, Lane
from bcce.workflows.model import StepError
from bcce.workflows.settings import IntegrationSettings

log = structlog.get_logger(__name__)

CURSOR = "integrations"
_PAGE = 500
_IDLE_S = 1.0
#: Events come in crowds; a look at each would cost more than what is looked for.
_BREATH_S = 0.05
#: So many events that nobody wants may be passed over before the cursor is written.
_SKIPPED = 5_000
#: How many events of one lane are delivered before others get their turn.
_IN_A_ROW = 50
#: What a lease lasts beyond the time that a delivery may take.
_MARGIN_S = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page:
    position: int
    wanted: list[dict[str, object]]
    is_last: bool
    finished: list[tuple[RunId, int]]


class _Look:
    """When something is looked at: when somebody wants it, and otherwise no more often than once a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._is_wanted = True
        self._looked_at = 0.0

    def want(self) -> None:
        """The next `is_due` is true."""
        self._is_wanted = True

    def is_due(self) -> bool:
        """Whether to look now; whoever asks then does."""
        now = self._clock.monotonic()
        if not self._is_wanted and now - self._looked_at < _IDLE_S:
            return False
        self._is_wanted, self._looked_at = False, now
        return True


class Courier:
    """Delivers events until stopped. One per process; several processes share the work.

    Args:
        random: numbers in [0, 1) for the jitter of pauses.
    """

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        ids: Ids,
        metrics: Metrics,
        breakers: BreakerStore,
        parcels: Parcels,
        settings: IntegrationSettings,
        random: Callable[[], float],
    ) -> None:
        self._db = db
        self._clock = clock
        self._metrics = metrics
        self._parcels = parcels
        self._settings = settings
        self._random = random
        self._owner = ids.new("wrk")
        self._lease_s = settings.timeout_s + _MARGIN_S
        self._breaker = Breaker(breakers, BreakerPolicy(probe_s=self._lease_s))
        self._retry = RetryPolicy(base_s=settings.retry_base_s, cap_s=settings.retry_cap_s)
        self._news = asyncio.Event()
        self._position = self._written = 0
        self._busy: dict[tuple[RunId, int], asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None
        # Both looks go through all that is open, so they are not taken with each crowd of events: when there is a reason, or after a while.
        self._finished_look = _Look(clock)
        self._due_look = _Look(clock)

    async def start(self) -> None:
        """Begins to follow, from where the last process stopped."""
        self._db.on_commit(self._news.set)
        self._task = asyncio.create_task(self._follow(), name="integrations")

    async def stop(self) -> None:
        """Ends following and cuts off what is being delivered; it is delivered again by whoever comes next."""
        tasks = [*([self._task] if self._task is not None else []), *self._busy.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def is_following(self) -> bool:
        """The loop lives."""
        return self._task is not None and not self._task.done()

    async def _follow(self) -> None:
        while True:
            self._news.clear()
            try:
                while not await self._collect():
                    pass
                await self._begin()
            except BcceError as error:
                log.warning("integrations.retrying", code=error.code, reason=error.message)
                await self._clock.sleep(_IDLE_S)
            except Exception:  # the loop that must outlive any one event; the next turn reads the same position again
                log.exception("integrations.failed")
                await self._clock.sleep(_IDLE_S)
            try:
                async with asyncio.timeout(_IDLE_S):
                    await self._news.wait()
                    await self._clock.sleep(_BREATH_S)
            except TimeoutError:
                # A look every second is the guarantee behind the notification.
                self._finished_look.want()
                self._due_look.want()

    async def _collect(self) -> bool:
        """Writes down what is to be delivered of the next events; whether they were the last."""
        is_closing = self._finished_look.is_due()
        page = await self._db.read(lambda conn: self._read(conn, is_closing=is_closing))
        if is_closing and not (page.is_last and len(page.finished) < repository.CLOSES):
            self._finished_look.want()
        if page.wanted:
            self._due_look.want()
        if page.wanted or page.finished or page.position - self._written >= _SKIPPED:

            def write(conn: Connection) -> None:
                repository.add(conn, page.wanted)
                repository.close_lanes(conn, page.finished)
                outbox.advance_cursor(conn, CURSOR, page.position)

            await self._db.write(write)
            self._written = page.position
        self._position = page.position
        return page.is_last

    def _read(self, conn: Connection, *, is_closing: bool) -> _Page:
        """The next events, as of one moment: a run whose lanes are not there yet has published nothing yet either.

        `is_closing`: behind the last of them, also the runs whose lanes are to be closed.
        """
        begin = max(self._position, outbox.cursor(conn, CURSOR))
        if not repository.has_open_lanes(conn):
            return _Page(position=max(begin, outbox.head(conn)), wanted=[], is_last=True, finished=[])
        rows = outbox.read_after(conn, begin, _PAGE, tenant_id=None)
        is_last = len(rows) < _PAGE
        return _Page(
            position=rows[-1].position if rows else begin,
            wanted=repository.wanted(conn, rows),
            is_last=is_last,
            finished=repository.finished_lanes(conn) if is_last and is_closing else [],
        )

    async def _begin(self) -> None:
        """Begins to deliver in as many lanes as may be at once."""
        free = self._settings.at_once - len(self._busy)
        if free <= 0 or not self._due_look.is_due():
            return
        busy = set(self._busy)
        for lane in await self._db.read(lambda conn: repository.due_lanes(conn, free, without=busy)):
            self._busy[lane] = task = asyncio.create_task(self._deliver_all(*lane))
            task.add_done_callback(lambda _, lane=lane: self._ended(lane))  # type: ignore[misc]  # the lane of this turn

    def _ended(self, lane: tuple[RunId, int]) -> None:
        del self._busy[lane]
        self._due_look.want()
        self._news.set()

    async def _deliver_all(self, run_id: RunId, number: int) -> None:
        """Delivers what waits in a lane until something fails."""
        try:
            for _ in range(_IN_A_ROW):
                if not await self._deliver_next(run_id, number):
                    return
        except BcceError as error:
            log.warning("integrations.retrying", run_id=run_id, code=error.code, reason=error.message)
            await self._clock.sleep(_IDLE_S)

    async def _deliver_next(self, run_id: RunId, number: int) -> bool:
        """Delivers a lane's first event; whether the next one may follow."""
        lane = await self._db.write(lambda conn: repository.take_lane(conn, run_id, number, self._owner, self._lease_s))
        if lane is None:
            return False
        row = await self._db.read(lambda conn: repository.first_pending(conn, lane))
        if row is None:
            await self._db.write(lambda conn: repository.release(conn, lane, self._owner))
            return False
        masks: tuple[Secret, ...] = ()
        try:
            parcel = await self._parcels.make(lane)
            masks = parcel.masks
            await self._deliver(lane, row, parcel)
        except BcceError as error:
            reason = StepError.of(error)
            hint = mask_text(reason.hint, masks) if reason.hint is not None else None
            return await self._failed(lane, row, replace(reason, message=mask_text(reason.message, masks), hint=hint))
        except Exception:  # a plugin's connector may raise anything, and must not take other lanes along
            # Not as an exception: what it says may hold the values of secrets.
            told = mask_text(traceback.format_exc(), masks)
            log.error("integrations.connector_broken", connector=lane.connector, run_id=run_id, exception=told)
            broken = DeliveryFailed(f"the connector {lane.connector!r} broke; the log has the details")
            return await self._failed(lane, row, StepError.of(broken))
        self._metrics.delivery_ended(lane.connector, "delivered")
        await self._settle(lane, row, DELIVERED, None)
        return True

    async def _deliver(self, lane: Lane, row: OutboxRow, parcel: Parcel) -> None:
        delivery = Delivery(
            event_id=row.id,
            run_id=lane.run_id,
            tenant_id=lane.tenant_id,
            type=row.type,
            timestamp=row.at,
            source=row.source,
            data=row.data,
            attempt=lane.failures + 1,
        )
        sending = parcel.connector.deliver
        await self._breaker.call(lane.tenant_id, parcel.where, lambda: self._in_time(sending(delivery, parcel.params), lane))

    async def _in_time(self, delivering: Coroutine[Any, Any, None], lane: Lane) -> None:
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await delivering
        except TimeoutError as error:
            raise DeliveryFailed(f"the connector {lane.connector!r} took longer than {self._settings.timeout_s:g} s") from error

    async def _failed(self, lane: Lane, row: OutboxRow, error: StepError) -> bool:
        """Tries again later, or gives the event up; whether the next one may follow."""
        reason = error.to_dict()
        facts = {"connector": lane.connector, "run_id": lane.run_id, "event_id": row.id, "event_type": row.type, "code": error.code}
        is_late = await self._db.read(lambda conn: repository.failing_for(conn, lane, self._settings.give_up_s))
        if error.retryable and not is_late:
            delay_s = self._retry.delay_s(lane.failures + 1, random=self._random())
            await self._db.write(lambda conn: repository.postpone(conn, lane, self._owner, delay_s=delay_s, error=reason))
            self._metrics.delivery_ended(lane.connector, "failed")
            log.warning("integrations.delivery_failed", **facts, reason=error.message, retry_in_s=round(delay_s, 1))
            return False
        self._metrics.delivery_ended(lane.connector, "given-up")
        log.error("integrations.event_given_up", **facts, reason=error.message, attempts=lane.failures + 1)
        await self._settle(lane, row, GIVEN_UP, reason)
        return True

    async def _settle(self, lane: Lane, row: OutboxRow, state: str, error: Mapping[str, object] | None) -> None:
        def write(conn: Connection) -> None:
            if repository.settle(conn, lane, row.id, self._owner, state=state, error=error):
                repository.release(conn, lane, self._owner)

        await self._db.write(write)
