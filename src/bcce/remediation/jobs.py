"""One script's way from the gate's clearance to an outcome that is known: started at most once, found again after any crash, stopped."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog
from sqlalchemy import Connection

from bcce.execution import repository as dispatches
from bcce.execution.errors import ClearanceRefused, NotStarted
from bcce.execution.executor import NOTHING_STARTED, Executor
from bcce.execution.model import ENDED, SETTLED, Dispatch, DispatchState, JobPhase, JobStatus, StopResult, state_for
from bcce.kit.clock import Clock
from bcce.kit.errors import BcceError
from bcce.kit.events import Event
from bcce.kit.ids import DispatchId, Ids
from bcce.kit.redact import MASK, mask_text
from bcce.kit.text import clean
from bcce.plugins import Services
from bcce.remediation.errors import DispatchFailed, NotYet, RunHeld, UnknownPlan
from bcce.remediation.executors import Executors
from bcce.remediation.gate import Gate
from bcce.remediation.launch import JobEnd, Launch
from bcce.remediation.settings import RemediationSettings
from bcce.security.audit import AuditLog
from bcce.security.errors import SecretUnavailable
from bcce.security.secrets import SecretStore
from bcce.storage.doors import Database
from bcce.storage.doors import run as run_items
from bcce.storage.outbox import event_item
from bcce.workflows.step_type import Park, StepContext

log = structlog.get_logger(__name__)

OUTPUT_CHARS = 16_000
_BUSY_PAUSE = timedelta(seconds=1)
#: How often a target is asked that does not answer, and for how long after the script must have ended.
_SILENT_PAUSE = timedelta(seconds=5)
_SILENT_LIMIT = timedelta(minutes=10)


class Jobs:
    """Starts, follows and stops scripts on behalf of steps."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        ids: Ids,
        gate: Gate,
        executors: Executors,
        audit: AuditLog,
        settings: RemediationSettings,
        secrets: SecretStore,
    ) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self._gate = gate
        self._executors = executors
        self._audit = audit
        self._settings = settings
        self._secrets = secrets

    @classmethod
    def build(cls, services: Services) -> "Jobs":
        """Wires it."""
        return cls(
            db=services.get(Database),  # type: ignore[type-abstract]  # a Protocol is the key
            clock=services.get(Clock),  # type: ignore[type-abstract]  # a Protocol is the key
            ids=services.get(Ids),
            gate=services.get(Gate),
            executors=services.get(Executors),
            audit=services.get(AuditLog),
            settings=services.get(RemediationSettings),
            secrets=services.get(SecretStore),
        )

    async def attempts(self, keys: tuple[DispatchId, ...]) -> list[Dispatch]:
        """The dispatches that were made under `keys`, in order."""
        return await self._db.read(lambda conn: _attempts(conn, keys))

    async def advance(self, context: StepContext, launch: Launch) -> Park | JobEnd:
        """Starts the script if no attempt to start it is recorded; else asks the target what became of it.

        Raises:
            NotCleared: the gate does not permit it.
            TargetNotReady, SecretUnavailable, InvalidInput: it cannot be started as things are; it never ran, and its target is free.
            DispatchFailed: it could not be started in as many tries as there are keys; it never ran.
        """
        attempts = await self.attempts(launch.keys)
        current = attempts[-1] if attempts else None
        if current is None or current.state is DispatchState.ABANDONED:
            if len(attempts) >= len(launch.keys):
                raise DispatchFailed(
                    f"the script could not be started in {len(attempts)} tries; it never ran", hint="see the log for what the target said"
                )
            return await self._start(context, launch, launch.keys[len(attempts)], is_first=current is None)
        if current.state in SETTLED:
            return JobEnd.of(current)
        return await self._look(context, launch, current)

    async def stop(self, context: StepContext, launch: Launch) -> JobEnd | None:
        """Makes sure that nothing of it runs and nothing will; None when it was never to be started.

        Without proof of that the outcome counts as one that cannot be known: the target stays locked until a person has looked at it.
        """
        # As a write, behind one of the gate's that was still under way when the step was cut off.
        attempts = await context.write(lambda conn: _attempts(conn, launch.keys))
        if not attempts:
            return None
        current = attempts[-1]
        if current.state in ENDED:
            return JobEnd.of(current)
        status, stopped, output = await self._stop(launch, current)
        if stopped is not None:
            log.info("dispatch.stopped", dispatch_id=current.key, proven=stopped.proven, detail=stopped.detail)
        return self._ended(context, launch, current, status, output, stopped)

    async def _start(self, context: StepContext, launch: Launch, key: DispatchId, *, is_first: bool) -> Park:
        plan = launch.plan
        if plan is None:
            raise UnknownPlan("the plan can no longer be read, so nothing is started")
        action, executor = plan.actions[0], self._executors.get(plan.actions[0].target.executor)
        if not is_first:
            # Somebody may have made the base folder anew meanwhile, and only a probe lets it take jobs.
            await self._executors.check_ready(action.target)
        try:
            signed = await self._gate.clear(
                context,
                plan,
                action,
                dispatch_id=key,
                severity=launch.severity,
                approval_id=launch.approval_id,
                may_start=launch.may_start,
            )
        except RunHeld as error:
            # It starts when the run goes on; of a run that is being cancelled the step is stopped at the next look.
            return Park(waiting_for=error.message, kind="dispatch", name="run", wake_after=_BUSY_PAUSE)
        except NotYet as error:
            # Until the target is free and the lease renewed, the approval runs out, or the alerts are resolved: the gate looks each time.
            return Park(waiting_for=error.message, kind="dispatch", name="target", wake_after=_BUSY_PAUSE)
        try:
            await executor.start(key, signed, action.script)
        except NOTHING_STARTED as error:
            # There is one call of `start` for each key, and this was it, so the target has nothing to add.
            log.warning("dispatch.refused", dispatch_id=key, code=error.code, reason=error.message)
            refusal = JobStatus(phase=JobPhase.NEVER_STARTED, detail=error.message)
            current = (await self.attempts((key,)))[0]
            await context.write(lambda conn: self._record_end(conn, context, current, refusal, DispatchState.ABANDONED, "", None))
            if not isinstance(error, ClearanceRefused | NotStarted):
                raise
            return _wait(timedelta(milliseconds=200))
        except BcceError as error:
            # Whether anything started is for the target to say: the next call reconciles under the same key.
            log.warning("dispatch.start_failed", dispatch_id=key, code=error.code, reason=error.message)
            return _wait(timedelta(milliseconds=200))
        await context.write(lambda conn: self._record_start(conn, launch, key))
        return _wait(timedelta(milliseconds=100))

    async def _look(self, context: StepContext, launch: Launch, current: Dispatch) -> Park | JobEnd:
        """Asks the target. The status call fences first, so an answer of `never started` is final."""
        elapsed = self._clock.now() - current.created_at
        status = None
        try:
            executor = self._executors.get(current.target.executor)
            status = await executor.status(current.key, current.target, since=current.created_at)
            output = await self._output(executor, launch, current, status)
        except BcceError as error:
            # Whatever keeps us from asking, the script may run all the same, so nobody gives it up before it must have ended.
            if elapsed < timedelta(seconds=self._settings.script_timeout_s) + _SILENT_LIMIT:
                return Park(waiting_for=f"the target: {error.message}", kind="dispatch", name="script", wake_after=_SILENT_PAUSE)
            output = "" if status is None else _unread(error)
            status = status or JobStatus(phase=JobPhase.UNKNOWN, detail=f"the target cannot be asked: {error.message}")
        if status.phase is JobPhase.RUNNING:
            # A worker that died between the start and the record of it leaves it to its successor.
            is_unrecorded = current.state is DispatchState.CLEARED
            write = (lambda conn: self._record_start(conn, launch, current.key)) if is_unrecorded else None
            return _wait(min(timedelta(seconds=2), max(timedelta(milliseconds=100), elapsed / 5)), write)
        if status.phase is JobPhase.NEVER_STARTED:
            await context.write(lambda conn: dispatches.transition(conn, current.key, DispatchState.ABANDONED, at=self._clock.now()))
            log.warning("dispatch.abandoned", dispatch_id=current.key, detail=status.detail)
            return _wait(timedelta(0))
        return self._ended(context, launch, current, status, output)

    async def _stop(self, launch: Launch, current: Dispatch) -> tuple[JobStatus, StopResult | None, str]:
        """What the target says after it was asked to stop: its status, the proof (None: it had ended by itself), and what it wrote."""
        try:
            executor = self._executors.get(current.target.executor)
            # Fences: from here on it cannot be started any more under this key. What is over by itself is not stopped without need.
            status = await executor.status(current.key, current.target, since=current.created_at)
            stopped = StopResult(proven=True, detail=status.detail) if status.phase is JobPhase.NEVER_STARTED else None
            if status.phase not in (JobPhase.EXITED, JobPhase.NEVER_STARTED):
                stopped = await executor.stop(current.key, current.target)
                status = await executor.status(current.key, current.target, since=current.created_at)
        except BcceError as error:
            log.warning("dispatch.stop_failed", dispatch_id=current.key, code=error.code, reason=error.message)
            unproven = StopResult(proven=False, detail=f"the target could not be asked: {error.message}")
            return JobStatus(phase=JobPhase.UNKNOWN, detail=unproven.detail), unproven, ""
        try:
            output = await self._output(executor, launch, current, status)
        except BcceError as error:
            output = _unread(error)
        if stopped is not None and (not stopped.proven or status.phase is JobPhase.RUNNING):
            return JobStatus(phase=JobPhase.UNKNOWN, detail=f"it could not be shown that it stopped: {stopped.detail}"), stopped, output
        return status, stopped, output

    async def _output(self, executor: Executor, launch: Launch, current: Dispatch, status: JobStatus) -> str:
        """What the script wrote, masked and cut; empty when nothing is known of it."""
        if status.phase is not JobPhase.EXITED:
            return ""
        chunk = await executor.output(current.key, current.target, 0)
        text = chunk.data.decode("utf-8", "replace")
        if launch.plan is None:
            return f"{MASK}: what the script wrote cannot be shown, because its plan, which says what to mask, can no longer be read"
        try:
            secrets = await self._secrets.masks(launch.plan.actions[0].script.references.values())
        except SecretUnavailable as error:
            return f"{MASK}: what the script wrote cannot be shown, because nobody can tell what to mask: {error.message}"
        # Once more behind `clean`, which takes characters away that may have stood in the middle of a secret.
        return mask_text(clean(mask_text(text, secrets), limit=OUTPUT_CHARS), secrets)

    def _ended(
        self,
        context: StepContext,
        launch: Launch,
        current: Dispatch,
        status: JobStatus,
        output: str,
        stopped: StopResult | None = None,
    ) -> JobEnd:
        state = state_for(status) or DispatchState.STARTED

        def record(conn: Connection) -> None:
            if current.state is DispatchState.CLEARED and state is not DispatchState.ABANDONED:
                self._record_start(conn, launch, current.key)
            self._record_end(conn, context, current, status, state, output, stopped)

        return JobEnd(
            dispatch=current,
            state=state,
            exit_code=status.exit_code,
            detail=status.detail,
            output=output,
            record=record,
            stop=stopped,
        )

    def _record_start(self, conn: Connection, launch: Launch, key: str) -> None:
        dispatches.transition(conn, key, DispatchState.STARTED, at=self._clock.now())
        launch.on_start(conn)

    def _record_end(
        self,
        conn: Connection,
        context: StepContext,
        current: Dispatch,
        status: JobStatus,
        state: DispatchState,
        output: str,
        stopped: StopResult | None,
    ) -> None:
        """Records the outcome; the target stays locked when it cannot be known."""
        known = state in SETTLED
        now = self._clock.now()
        dispatches.transition(conn, current.key, state, at=now, exit_code=status.exit_code, output_excerpt=output)
        if known:
            dispatches.unlock_target(conn, context.tenant_id, current.id)
        facts: Mapping[str, object] = {
            "dispatchId": current.key,
            "incidentId": current.incident_id,
            "state": str(state),
            "exitCode": status.exit_code,
            "detail": status.detail,
            **({"stop": {"proven": stopped.proven, "detail": stopped.detail}} if stopped is not None else {}),
        }
        kind = "dispatch.finished" if known else "dispatch.indeterminate"
        event = Event(type=kind, timestamp=now, source="remediation", tenant_id=context.tenant_id, data=facts)
        run_items(
            conn,
            [
                self._audit.item(context.actor, kind, current.key, facts, correlation_id=context.correlation_id),
                event_item(self._ids, event, correlation_id=context.correlation_id),
            ],
        )


def _attempts(conn: Connection, keys: tuple[DispatchId, ...]) -> list[Dispatch]:
    return [found for found in (dispatches.get_by_key(conn, key) for key in keys) if found is not None]


def _unread(error: BcceError) -> str:
    """In place of the output of a script whose end is known."""
    return f"what the script wrote could not be read: {error.message}"


def _wait(after: timedelta, write: Callable[[Connection], None] | None = None) -> Park:
    return Park(waiting_for="the script to end", kind="dispatch", name="script", wake_after=after, write=write)
