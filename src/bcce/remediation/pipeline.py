"""What BCCE does when something has happened: it reads the outbox in order and reacts, each event once.

The reaction and the cursor's step forward are one transaction, so an event is neither lost nor handled twice, whatever dies.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection

from bcce.alerts.model import Alert, AlertStatus
from bcce.alerts.repository import get_alerts
from bcce.approvals.model import ApprovalState
from bcce.approvals.service import ApprovalService
from bcce.incidents import repository as incidents
from bcce.incidents.model import TERMINAL, IncidentState
from bcce.incidents.service import IncidentService
from bcce.kit.clock import Clock
from bcce.kit.errors import BcceError, Unavailable
from bcce.kit.ids import AlertId, IncidentId, RunId, TenantId
from bcce.observability.correlation import bind_correlation
from bcce.remediation import repository
from bcce.remediation.settings import RemediationSettings
from bcce.security.actor import Actor, system_actor
from bcce.security.audit import AuditLog
from bcce.storage import outbox
from bcce.storage.doors import Database
from bcce.storage.doors import run as run_items
from bcce.storage.outbox import OutboxRow
from bcce.workflows import repository as workflows
from bcce.workflows.journal import wake
from bcce.workflows.service import WorkflowService

log = structlog.get_logger(__name__)

CURSOR = "remediation"
_PAGE = 100
_IDLE_S = 1.0
_EXPIRE_S = 2.0
_TRIES = 3


@dataclass(slots=True)
class Reaction:
    """What is to be done after the commit: runs that may be ready now."""

    rings: list[RunId] = field(default_factory=list)


#: What the pipeline reacts to; everything else it passes over.
_REACTS_TO = frozenset({"alert.received", "alert.resolved", "workflow.failed", "workflow.cancelled"})
#: So many events may be passed over before the cursor is written.
_SKIPPED = 5_000
_BREATH_S = 0.01


class Pipeline:
    """Follows the outbox until stopped.

    Args:
        ring: told the runs that may be ready after each commit; the worker's sweep would find them a second later.
    """

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        incidents: IncidentService,
        approvals: ApprovalService,
        workflows: WorkflowService,
        audit: AuditLog,
        settings: RemediationSettings,
        ring: Callable[[RunId], None],
    ) -> None:
        self._db = db
        self._clock = clock
        self._incidents = incidents
        self._approvals = approvals
        self._workflows = workflows
        self._audit = audit
        self._settings = settings
        self._ring = ring
        self._news = asyncio.Event()
        self._expires_next = 0.0
        self._position = self._written = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to follow, from where the last process stopped."""
        self._db.on_commit(self._news.set)
        self._task = asyncio.create_task(self._follow(), name="pipeline")

    async def stop(self) -> None:
        """Ends following; an event that was being handled is either committed or handled again next time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def is_following(self) -> bool:
        """The loop lives."""
        return self._task is not None and not self._task.done()

    async def catch_up(self) -> int:
        """Handles every event there is now that it reacts to; returns how many."""
        handled = 0
        while True:
            rows, head = await self._db.read(self._read)
            for row in rows:
                await self._handle(row)
                handled += 1
                self._position = row.position
            if len(rows) < _PAGE:
                await self._skip_to(head)
                return handled

    def _read(self, conn: Connection) -> tuple[list[OutboxRow], int]:
        """The next events that it reacts to, and the position of the last of all events there are."""
        position = max(self._position, outbox.cursor(conn, CURSOR))
        return outbox.read_after(conn, position, _PAGE, tenant_id=None, types=_REACTS_TO), outbox.head(conn)

    async def _skip_to(self, position: int) -> None:
        """Remembers that nothing up to `position` is left to do; written down only now and then, since to read again costs little."""
        self._position = max(self._position, position)
        if self._position - self._written >= _SKIPPED:
            self._written = self._position
            await self._db.write(lambda conn: outbox.advance_cursor(conn, CURSOR, self._written))

    async def _follow(self) -> None:
        while True:
            self._news.clear()
            try:
                await self._expire()
                if await self.catch_up() == 0:
                    await self._pause()
            except BcceError as error:
                log.warning("pipeline.retrying", code=error.code, reason=error.message)
                await self._clock.sleep(_IDLE_S)
            except Exception:  # the loop that must outlive any one event; the next turn reads the same position again
                log.exception("pipeline.failed")
                await self._clock.sleep(_IDLE_S)

    async def _expire(self) -> None:
        """Ends approvals whose time is over; looked at every few seconds and not after every commit."""
        now = self._clock.monotonic()
        if now >= self._expires_next:
            self._expires_next = now + _EXPIRE_S
            for run_id in await self._approvals.expire_overdue():
                self._ring(run_id)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(_IDLE_S):
                await self._news.wait()
                # Events come in crowds; a look at each would cost more than what is looked for.
                await self._clock.sleep(_BREATH_S)
        except TimeoutError:
            pass  # a look every second is the guarantee behind the notification

    async def _handle(self, row: OutboxRow) -> None:
        """Reacts to one event; one that breaks the reaction three times is set aside, loudly, so that those behind it are not held up."""
        bind_correlation(row.correlation_id or row.id)
        for attempt in range(1, _TRIES + 1):
            try:
                reaction = await self._db.write(lambda conn: self._react(conn, row))
            except Unavailable:
                raise
            except Exception:  # whatever broke, the events behind this one must go on; it is tried again, then set aside
                log.exception("pipeline.event_failed", event_id=row.id, event_type=row.type, attempt=attempt)
                if attempt == _TRIES:
                    await self._set_aside(row)
                continue
            for run_id in reaction.rings:
                self._ring(run_id)
            return

    def _react(self, conn: Connection, row: OutboxRow) -> Reaction:
        reaction = Reaction()
        if not repository.step_cursor(conn, CURSOR, row.position):
            return reaction  # another process was faster
        actor = system_actor("pipeline", row.tenant_id)
        handlers = {
            "alert.received": self._alert_received,
            "alert.resolved": self._alert_resolved,
            "workflow.failed": self._workflow_failed,
            "workflow.cancelled": self._workflow_failed,
        }
        handler = handlers.get(row.type)
        if handler is not None:
            handler(actor, conn, row, reaction)
        return reaction

    def _alert_received(self, actor: Actor, conn: Connection, row: OutboxRow, reaction: Reaction) -> None:
        alert = self._alert(conn, row)
        if alert is None or alert.status is not AlertStatus.FIRING:
            return  # it was resolved before we looked: there is nothing to repair
        correlation_id = row.correlation_id or row.id
        incident, is_new = self._incidents.open_for_alert(actor, conn, alert, correlation_id=correlation_id)
        if not is_new:
            return
        try:
            run_id = self._workflows.start(
                actor,
                conn,
                workflow=self._settings.workflow,
                inputs={"incident": incident.id},
                correlation_id=correlation_id,
                subject=incident.id,
            )
        except BcceError as error:
            reason = f"no workflow could be started: {error.message}"
            self._incidents.transition(actor, conn, incident.id, IncidentState.ESCALATED, reason, correlation_id=correlation_id)
            return
        incidents.set_run(conn, incident.id, run_id)
        reaction.rings.append(run_id)

    def _alert_resolved(self, actor: Actor, conn: Connection, row: OutboxRow, reaction: Reaction) -> None:
        alert = self._alert(conn, row)
        if alert is None:
            return
        for incident in incidents.open_for(conn, row.tenant_id, alert.id):
            # The run's row lock comes first, as with every fact.
            if incident.run_id is not None and wake(conn, RunId(incident.run_id)):
                reaction.rings.append(RunId(incident.run_id))
            self._incidents.note(actor, conn, incident.id, "alert-resolved", f"{alert.name} was resolved at the source")
            members = get_alerts(conn, row.tenant_id, incidents.alert_ids(conn, incident.id))
            if incident.state is IncidentState.AWAITING_APPROVAL and all(item.status is AlertStatus.RESOLVED for item in members):
                for approval_id in repository.approvals_of(conn, row.tenant_id, incident.id, {ApprovalState.PENDING}):
                    self._approvals.revoke(actor, conn, approval_id, reason="the alerts were resolved meanwhile")

    def _workflow_failed(self, actor: Actor, conn: Connection, row: OutboxRow, reaction: Reaction) -> None:
        subject, run_id = row.data.get("subject"), RunId(str(row.data.get("workflowId")))
        if not subject or workflows.get_run(conn, run_id, row.tenant_id) is None:
            return
        if workflows.standing(conn, run_id)[0] not in workflows.ENDED:
            return  # somebody has it tried again already
        incident = incidents.get(conn, row.tenant_id, IncidentId(str(subject)), for_update=True)
        if incident is None or incident.state in TERMINAL or incident.state is IncidentState.ESCALATED:
            return
        if incident.run_id != run_id:
            return  # a workflow that its own one calls, whose failure the caller judges; or one in whose place another has begun
        reason = f"the workflow failed at step {row.data.get('stepId')}: {row.data.get('error')}"
        if row.type == "workflow.cancelled":
            reason = "somebody cancelled its workflow"
        self._incidents.transition(actor, conn, incident.id, IncidentState.ESCALATED, reason, correlation_id=row.correlation_id or row.id)

    def _alert(self, conn: Connection, row: OutboxRow) -> Alert | None:
        found = get_alerts(conn, TenantId(row.tenant_id), [AlertId(str(row.data["alertId"]))])
        return found[0] if found else None

    def _hand_over(self, conn: Connection, row: OutboxRow) -> None:
        """Opens the alert's incident without a workflow and escalates it."""
        alert = self._alert(conn, row)
        if alert is None or alert.status is not AlertStatus.FIRING:
            return
        actor, correlation_id = system_actor("pipeline", row.tenant_id), row.correlation_id or row.id
        incident, is_new = self._incidents.open_for_alert(actor, conn, alert, correlation_id=correlation_id)
        if is_new:
            reason = "BCCE could not react to the alert; its log says why"
            self._incidents.transition(actor, conn, incident.id, IncidentState.ESCALATED, reason, correlation_id=correlation_id)

    async def _set_aside(self, row: OutboxRow) -> None:
        """Goes on behind an event that could not be reacted to; an alert among them still becomes an incident that a person gets."""
        if row.type == "alert.received":
            try:
                await self._db.write(lambda conn: self._hand_over(conn, row))
            except Unavailable:
                raise
            except Exception:  # the event is set aside all the same, with its data in the audit log
                log.exception("pipeline.hand_over_failed", event_id=row.id)

        def write(conn: Connection) -> None:
            facts = {"eventType": row.type, "position": row.position, "data": dict(row.data)}
            run_items(
                conn,
                [
                    self._audit.item(
                        system_actor("pipeline", row.tenant_id), "event.set-aside", row.id, facts, correlation_id=row.correlation_id
                    )
                ],
            )
            repository.step_cursor(conn, CURSOR, row.position)

        await self._db.write(write)
        log.error("pipeline.event_set_aside", event_id=row.id, event_type=row.type)
