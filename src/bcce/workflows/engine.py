"""`advance`: load what is recorded, do what is ready, record it, until nothing is ready; then the run ends or parks.

Recovery is this same function on the same rows. A crash at any point leaves rows from which it goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from pydantic import BaseModel, ValidationError

from bcce.kit.clock import Clock
from bcce.kit.errors import BcceError, InvalidInput
from bcce.kit.ids import RunId
from bcce.kit.text import digest
from bcce.observability.correlation import bind_correlation
from bcce.resilience.retry import RetryPolicy
from bcce.security.actor import system_actor
from bcce.storage.errors import StaleEpoch
from bcce.workflows.definition import Step, WorkflowDefinition
from bcce.workflows.errors import StepBroken, StepTimedOut
from bcce.workflows.expressions import Expressions
from bcce.workflows.journal import Journal
from bcce.workflows.model import Effect, Run, RunState, StepError, StepRecord, StepState
from bcce.workflows.planner import Continue, Finish, Start, next_move
from bcce.workflows.recorder import Attempt, Recorder, scope_of
from bcce.workflows.step_type import Commit, Done, Park, StepContext, StepType

log = structlog.get_logger(__name__)

_NO_RETRY = RetryPolicy(attempts=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parked:
    """A segment ended and the run lives on; `wake_at` is when it wants to be rung, None for only on a fact."""

    wake_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """Who advances. `lease_remaining_s` is for how long others surely still take it for alive."""

    id: str
    lease_remaining_s: Callable[[], Awaitable[float]]


class Engine:
    """Advances runs on behalf of one worker.

    Args:
        load_definition: the snapshot with the given id; definitions never change, so it may cache.
        random: numbers in [0, 1) for retry jitter; the moment that comes of it is recorded and never computed again.
        crash_limit: a run whose workers died more often in a row is buried.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        recorder: Recorder,
        load_definition: Callable[[str], Awaitable[WorkflowDefinition]],
        step_types: Mapping[str, StepType],
        expressions: Expressions,
        clock: Clock,
        worker: Worker,
        random: Callable[[], float],
        crash_limit: int,
    ) -> None:
        self._journal = journal
        self._recorder = recorder
        self._load_definition = load_definition
        self._types = step_types
        self._expressions = expressions
        self._clock = clock
        self._worker = worker
        self._random = random
        self._crash_limit = crash_limit

    async def advance(self, run_id: RunId) -> Parked | None:
        """Does all of a run that can be done now; None when it ended or was not to be had."""
        run = await self._journal.claim(run_id, self._worker.id)
        if run is None:
            return None
        bind_correlation(run.correlation_id)
        try:
            return await self._segment(run)
        except StaleEpoch:
            log.warning("run.taken_over", run_id=run.id, epoch=run.epoch)
            return None

    async def _segment(self, run: Run) -> Parked | None:
        if run.crashes > self._crash_limit:
            log.error("run.dead", run_id=run.id, crashes=run.crashes)
            await self._recorder.bury(run)
            return None
        definition = await self._load_definition(run.definition_id)
        while True:
            loaded = await self._journal.load(run.id)
            if loaded is None or loaded[0].epoch != run.epoch or loaded[0].state is not RunState.ACTIVE:
                return None
            run, records = loaded
            is_over, wake_at = await self._drain(run, definition, records)
            if is_over:
                return None
            if await self._journal.park(run, seen=run.wake_seq, wake_at=wake_at):
                return Parked(wake_at=wake_at)

    async def _drain(self, run: Run, definition: WorkflowDefinition, records: dict[str, StepRecord]) -> tuple[bool, datetime | None]:
        """Moves on until the run is over or its current step waits; returns which, and when to look again."""
        while True:
            move = next_move(definition, records)
            if isinstance(move, Finish):
                # Only reached when a release learnt to end runs that an earlier one left without anything to do.
                last = move
                await self._journal.write(run, lambda conn: self._recorder.finish(conn, run, definition, records, last))  # noqa: B023 - awaited before the loop goes on
                return True, None
            if isinstance(move, Continue) and move.record.state is StepState.RETRYING and not self._is_due(move.record.wake_at):
                return False, move.record.wake_at
            record = await self._call_once(run, definition, move, records)
            records[record.key] = record
            if record.state is StepState.WAITING:
                return False, min((moment for moment in (record.wake_at, record.deadline_at) if moment), default=None)
            if record.state is not StepState.RETRYING and isinstance(next_move(definition, records), Finish):
                return True, None

    def _is_due(self, moment: datetime | None) -> bool:
        return moment is None or moment <= self._clock.now()

    async def _call_once(
        self, run: Run, definition: WorkflowDefinition, move: Start | Continue, records: Mapping[str, StepRecord]
    ) -> StepRecord:
        """Does one call of the current step and records what came of it."""
        step = move.step
        before = move.record if isinstance(move, Continue) else None
        record = self._current_attempt(step, before)
        kind = self._types.get(step.type)
        attempt = Attempt(
            run=run,
            definition=definition,
            records=records,
            record=record,
            effect=kind.effect if kind else Effect.PURE,
            inputs="",
            is_stored=before is not None and before.attempt == record.attempt,
        )
        try:
            decided = await self._decide(attempt, step)
            if decided is not None:
                return decided
            if kind is None:
                raise InvalidInput(
                    f"no step type {step.type!r} is registered here", hint="install the plugin that brings it, then start a new run"
                )
            params = self._params(attempt, step, kind)
            attempt = replace(attempt, inputs=digest(params.model_dump(mode="json")))
            if kind.effect in (Effect.KEYED, Effect.MARKED):
                # From here on the attempt has a row, however the call ends.
                attempt = await self._recorder.intend(attempt)
            return await self._run(attempt, step, kind, params)
        except StaleEpoch:
            raise
        except BcceError as error:
            return await self._fail(attempt, step, StepError.of(error))
        except Exception:  # the worker's loop: a plugin's step may raise anything, and must not take other runs along
            log.exception("step.broken", run_id=run.id, step=step.id, step_type=step.type)
            return await self._fail(attempt, step, StepError.of(StepBroken()))

    async def _decide(self, attempt: Attempt, step: Step) -> StepRecord | None:
        """The record of a step that is decided without a call: skipped, or a condition; None for every other."""
        record = attempt.record
        if step.when is not None and not attempt.is_stored and not self._expressions.truth(step.when, self._scope(attempt)):
            return await self._recorder.end(attempt, replace(record, state=StepState.SKIPPED, ended_at=record.started_at))
        if step.condition is not None:
            branch = "then" if self._expressions.truth(step.condition, self._scope(attempt)) else "else"
            return await self._recorder.end(
                attempt, replace(record, state=StepState.COMPLETED, output={"branch": branch}, ended_at=self._clock.now())
            )
        return None

    def _scope(self, attempt: Attempt) -> dict[str, object]:
        return {"inputs": dict(attempt.run.inputs), "steps": scope_of(attempt.records)}

    def _params(self, attempt: Attempt, step: Step, kind: StepType) -> BaseModel:
        try:
            return kind.params.model_validate(self._expressions.render(dict(step.parameters), self._scope(attempt)))
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_input=False))
            raise InvalidInput(f"parameters of step {step.id!r}: {problems}") from error

    async def _run(self, attempt: Attempt, step: Step, kind: StepType, params: BaseModel) -> StepRecord:
        """Calls the step type and records what it says."""
        try:
            async with asyncio.timeout(self._time_left_s(attempt.record, step)):
                outcome = await kind.run(self._context(attempt), params)
        except TimeoutError as error:
            raise StepTimedOut(f"step {step.id!r} did not end in time") from error
        if isinstance(outcome, Park):
            return await self._recorder.park(attempt, outcome)
        if isinstance(outcome, Done):
            return await self._recorder.end(attempt, self._recorder.ended(attempt.record, outcome.result))
        return await self._commit(attempt, outcome)

    async def _commit(self, attempt: Attempt, outcome: Commit) -> StepRecord:
        def write(conn):  # type: ignore[no-untyped-def]  # mypy takes the type from Journal.write
            ended = self._recorder.ended(attempt.record, outcome.write(conn))
            self._recorder.write_end(conn, attempt, ended)
            return ended

        ended: StepRecord = await self._journal.write(attempt.run, write)
        self._recorder.count(ended)
        return ended

    def _current_attempt(self, step: Step, before: StepRecord | None) -> StepRecord:
        """The record of the attempt that this call belongs to: a new one at the start and after a failure."""
        if before is not None and before.state is not StepState.RETRYING:
            return before
        now = self._clock.now()
        deadline = before.deadline_at if before else now + timedelta(seconds=step.timeout_s) if step.timeout_s else None
        return StepRecord(
            key=step.id,
            attempt=before.attempt + 1 if before else 1,
            state=StepState.STARTED,
            type=step.type,
            started_at=now,
            deadline_at=deadline,
        )

    def _time_left_s(self, record: StepRecord, step: Step) -> float | None:
        if record.deadline_at is None:
            return None
        left = (record.deadline_at - self._clock.now()).total_seconds()
        if left <= 0:
            raise StepTimedOut(f"step {step.id!r} did not end within {step.timeout_s or 0:g} s")
        return left

    def _context(self, attempt: Attempt) -> StepContext:
        run = attempt.run
        return StepContext(
            run_id=run.id,
            tenant_id=run.tenant_id,
            key=attempt.record.key,
            attempt=attempt.record.attempt,
            actor=system_actor("workflows", run.tenant_id),
            correlation_id=run.correlation_id,
            subject=run.subject,
            started_at=attempt.record.started_at,
            is_waiting=attempt.record.state is StepState.WAITING,
            epoch=run.epoch,
            write=lambda fn: self._journal.write(run, fn),
            lease_remaining_s=self._worker.lease_remaining_s,
        )

    async def _fail(self, attempt: Attempt, step: Step, error: StepError) -> StepRecord:
        """Records a failed attempt; the step is tried again if its policy says so."""
        policy, now = step.retry or _NO_RETRY, self._clock.now()
        failed = replace(attempt.record, state=StepState.FAILED, error=error.to_dict(), ended_at=now, waiting_for=None)
        has_time = attempt.record.deadline_at is None or now < attempt.record.deadline_at
        if has_time and policy.allows(attempt.record.attempt, code=error.code, retryable=error.retryable):
            delay = timedelta(seconds=policy.delay_s(attempt.record.attempt, random=self._random()))
            failed = replace(failed, state=StepState.RETRYING, wake_at=now + delay)
        log.warning(
            "step.failed",
            run_id=attempt.run.id,
            step=step.id,
            code=error.code,
            reason=error.message,
            will_retry=failed.state is StepState.RETRYING,
        )
        return await self._recorder.end(attempt, failed)
