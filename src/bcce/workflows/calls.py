"""One call of one step: its parameters, its context, and what the step type says, turned into a record."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError

from bcce.kit.clock import Clock
from bcce.kit.errors import BcceError, InvalidInput
from bcce.kit.ids import RunId
from bcce.kit.text import canonical_json, digest
from bcce.kit.values import value
from bcce.resilience.retry import RetryPolicy
from bcce.security.actor import system_actor
from bcce.storage.errors import DatabaseUnavailable, StaleEpoch
from bcce.workflows.artifacts.model import Piece
from bcce.workflows.artifacts.restoring import needs_restoring
from bcce.workflows.artifacts.service import ArtifactStore
from bcce.workflows.attempt import Attempt, Ending, Row
from bcce.workflows.definition import CONDITION, FOREACH, Step, WorkflowDefinition
from bcce.workflows.errors import StepBroken, StepTimedOut
from bcce.workflows.expressions import Expressions
from bcce.workflows.inputs import secret_inputs
from bcce.workflows.jinja import MAX_RESULT_BYTES
from bcce.workflows.journal import Journal
from bcce.workflows.logs.logbook import Logbook
from bcce.workflows.model import Effect, Run, StepError, StepRecord, StepState
from bcce.workflows.parameters import problems_of
from bcce.workflows.planner import Call
from bcce.workflows.recorder import Recorder
from bcce.workflows.references import has_references, seal
from bcce.workflows.scope import scope_at
from bcce.workflows.step_type import Commit, Done, LogLevel, Park, StepContext, StepOutcome, StepType, Stoppable, references_of

log = structlog.get_logger(__name__)

MAX_ITEMS = 500
_NO_RETRY = RetryPolicy(attempts=1)
#: A call that takes longer than this is told of while it goes on.
_LONG_S = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """Who advances. `lease_remaining_s` is for how long others surely still take it for alive."""

    id: str
    lease_remaining_s: Callable[[], Awaitable[float]]


@value
class Setting:
    """The run that a call belongs to, and what is recorded of it; `records` and `rows` change while the call is in progress.

    `rows` says of attempts, by key and number, whether they have a row.
    """

    run: Run
    definition: WorkflowDefinition
    records: Mapping[str, StepRecord]
    ending: Ending
    rows: dict[tuple[str, int], Row]


class Caller:
    """Does single calls on behalf of one worker.

    Args:
        ring: says that another run may go on.
        random: numbers in [0, 1) for retry jitter; the moment that comes of it is recorded and never computed again.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        recorder: Recorder,
        step_types: Mapping[str, StepType],
        expressions: Expressions,
        artifacts: ArtifactStore,
        logbook: Logbook,
        clock: Clock,
        worker: Worker,
        ring: Callable[[RunId], None],
        random: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._recorder = recorder
        self._types = step_types
        self._expressions = expressions
        self._artifacts = artifacts
        self._logbook = logbook
        self._clock = clock
        self._worker = worker
        self._ring = ring
        self._random = random
        self._open: dict[tuple[RunId, str], tuple[float, Attempt]] = {}
        self._constant: dict[int, tuple[Step, BaseModel, str]] = {}

    def tell(self) -> None:
        """Lets others see the calls that take long; most have ended before anybody could look."""
        now = self._clock.monotonic()
        for began, attempt in self._open.values():
            if now - began > _LONG_S:
                self._recorder.tell(attempt)

    def is_instant(self, step: Step) -> bool:
        """Whether a call of the step waits for nothing but the journal."""
        return step.is_scope or getattr(self._types.get(step.type), "is_instant", False)

    def is_calling(self, run_id: RunId, key: str) -> bool:
        """Whether the step type is just at work, so that nothing of this call is being written."""
        return (run_id, key) in self._open

    def begin(self, call: Call) -> StepRecord:
        """The record of the attempt that `call` belongs to: a new one at the start and after a failure."""
        before, step = call.record, call.place.step
        if before is not None and before.state is not StepState.RETRYING:
            return before
        now = self._clock.now()
        deadline = before.deadline_at if before is not None else None
        if deadline is None and step.timeout_s is not None:
            # The first attempt, or the first after somebody asked for the step to be tried again.
            deadline = now + timedelta(seconds=step.timeout_s)
        return StepRecord(
            key=call.place.key,
            attempt=before.attempt + 1 if before else 1,
            state=StepState.STARTED,
            type=step.type,
            started_at=now,
            deadline_at=deadline,
        )

    def is_stoppable(self, call: Call) -> bool:
        """Whether a step that is not being called may simply be given up, or knows how to be stopped.

        One that acted on the world and may still act runs on; one that only waits for its next try does nothing.
        """
        kind = self._types.get(call.place.step.type)
        is_at_rest = call.record is not None and call.record.state is StepState.RETRYING
        return is_at_rest or kind is None or kind.effect is not Effect.MARKED or isinstance(kind, Stoppable)

    def is_interruptible(self, step: Step) -> bool:
        """Whether a call in progress may be cut off: its work may be repeated."""
        kind = self._types.get(step.type)
        return kind is not None and kind.effect in (Effect.PURE, Effect.KEYED)

    async def call(self, setting: Setting, call: Call, record: StepRecord) -> StepRecord:
        """Does one call and records what came of it."""
        step = call.place.step
        attempt = self._attempt(setting, call, record)
        try:
            decided = await self._decide(attempt, call)
            if decided is not None:
                return decided
            kind = self._kind(step)
            params, attempt.row.inputs = await self._params(attempt, call, kind)
            if kind.effect in (Effect.KEYED, Effect.MARKED):
                # From here on the attempt has a row, however the call ends.
                await self._recorder.intend(attempt)
            return await self._run(attempt, call, kind, params)
        except (StaleEpoch, DatabaseUnavailable):
            # Nothing can be said of the step; the journal goes on from what is recorded.
            raise
        except BcceError as error:
            return await self._fail(attempt, step, StepError.of(error))
        except Exception:  # the worker's loop: a plugin's step may raise anything, and must not take other runs along
            log.exception("step.broken", run_id=setting.run.id, step=record.key, step_type=step.type)
            return await self._fail(attempt, step, StepError.of(StepBroken()))

    async def stop(self, setting: Setting, call: Call, record: StepRecord) -> StepRecord:
        """Ends a step that waits, was cut off or was to be tried again; one that knows how is asked to, and may take its time."""
        step = call.place.step
        attempt = self._attempt(setting, call, record)
        kind = self._types.get(step.type)
        if record.state is StepState.RETRYING:
            return await self.give_up(setting, call, record)
        try:
            if isinstance(kind, Stoppable):
                params, attempt.row.inputs = await self._params(attempt, call, kind)
                outcome = await kind.stop(self._context(attempt), params)
                if isinstance(outcome, Commit) and not outcome.ended_itself:
                    return await self._recorder.end_with(attempt, outcome.write, is_stopped=True)
                if not isinstance(outcome, Done) or outcome.ended_itself:
                    return await self._recorded(attempt, call, outcome)
                record = replace(record, output=dict(outcome.result.output))
        except (StaleEpoch, DatabaseUnavailable):
            # Nothing can be said of the step; the journal goes on from what is recorded.
            raise
        except BcceError as error:
            return await self._fail(attempt, step, StepError.of(error))
        except Exception:  # as in `call`
            log.exception("step.broken", run_id=setting.run.id, step=record.key, step_type=step.type)
            return await self._fail(attempt, step, StepError.of(StepBroken()))
        return await self.give_up(setting, call, record)

    async def give_up(self, setting: Setting, call: Call, record: StepRecord) -> StepRecord:
        """Records that the step was stopped."""
        ended = replace(record, state=StepState.CANCELLED, ended_at=self._clock.now(), waiting_for=None, wake_at=None)
        return await self._recorder.end(self._attempt(setting, call, record), ended)

    def _attempt(self, setting: Setting, call: Call, record: StepRecord) -> Attempt:
        kind = self._types.get(call.place.step.type)
        is_stored = call.record is not None and call.record.attempt == record.attempt
        return Attempt(
            run=setting.run,
            definition=setting.definition,
            records=setting.records,
            ending=setting.ending,
            record=record,
            effect=kind.effect if kind else Effect.PURE,
            # The same for every part of one attempt: what tells of it while it runs, its end, and its being cut off.
            row=setting.rows.setdefault((record.key, record.attempt), Row(is_stored, is_continued=is_stored)),
        )

    def _kind(self, step: Step) -> StepType:
        kind = self._types.get(step.type)
        if kind is None:
            hint = "install the plugin that brings it, then start a new run"
            raise InvalidInput(f"no step type {step.type!r} is registered here", hint=hint)
        return kind

    async def _decide(self, attempt: Attempt, call: Call) -> StepRecord | None:
        """The record of a step that is decided without its step type: skipped, or a scope that is entered; None for every other."""
        step, record = call.place.step, attempt.record
        if step.when is not None and not attempt.row.is_stored and not await self._truth(attempt, call, step.when):
            return await self._recorder.end(attempt, replace(record, state=StepState.SKIPPED, ended_at=record.started_at))
        if not step.is_scope:
            return None
        if step.type == CONDITION:
            branch = "then" if await self._truth(attempt, call, step.condition or "") else "else"
            entered = replace(record, state=StepState.COMPLETED, output={"branch": branch}, ended_at=self._clock.now())
            return await self._recorder.end(attempt, entered)
        output = {"items": await self._items(attempt, call)} if step.type == FOREACH else {}
        return await self._recorder.end(attempt, replace(record, output=output))

    async def _truth(self, attempt: Attempt, call: Call, condition: str) -> bool:
        return self._expressions.truth(condition, await self._scope(attempt, call, condition, is_condition=True))

    async def _items(self, attempt: Attempt, call: Call) -> list[object]:
        given = call.place.step.items
        items = self._expressions.render(given, await self._scope(attempt, call, given))
        if not isinstance(items, list):
            raise InvalidInput(
                f"the items of {attempt.record.key!r} are no list", hint="`items` is a list, or an expression that gives one"
            )
        if len(items) > MAX_ITEMS:
            message = f"{attempt.record.key!r} has {len(items)} items; one loop takes {MAX_ITEMS}"
            raise InvalidInput(
                message, hint="loop over parts of it, {{ … | batch(100) }}, and inside over each part or call a workflow for it"
            )
        if not self._expressions.is_constant(given) and len(canonical_json(items)) > MAX_RESULT_BYTES:
            message = f"the items of {attempt.record.key!r} have more than {MAX_RESULT_BYTES} bytes"
            raise InvalidInput(message, hint="loop over names or numbers, and let the steps inside read the rest")
        return items

    async def _scope(self, attempt: Attempt, call: Call, given: object, *, is_condition: bool = False) -> dict[str, object]:
        """What the expressions in `given` see, with the real values of the artifacts that they read."""
        records = attempt.records
        if needs_restoring(records):
            reads = (
                self._expressions.reads(str(given), is_condition=True, names=None) if is_condition else self._expressions.reads_of(given)
            )
            records = await self._artifacts.restored(attempt.run, records, reads, call.place.suffix)
        return scope_at(attempt.definition, attempt.run, records, call.place)

    async def _params(self, attempt: Attempt, call: Call, kind: StepType) -> tuple[BaseModel, str]:
        """The step's parameters and their digest."""
        step = call.place.step
        known = self._constant.get(id(step))
        if known is not None:
            return known[1], known[2]
        given = dict(step.given)
        takes = references_of(kind) & given.keys()
        secret = secret_inputs(attempt.definition, attempt.run.id) if takes else {}
        sealed = {name: given[name] for name in takes if has_references(given[name], secret)}
        try:
            if not sealed and self._expressions.is_constant(given):
                params = kind.params.model_validate(given)
                # The step is kept beside its number, so that the number stays its own.
                self._constant[id(step)] = step, params, digest(params.model_dump(mode="json"))
                return params, self._constant[id(step)][2]
            scope = await self._scope(attempt, call, given)
            plain = {name: self._expressions.render(value, scope) for name, value in given.items() if name not in sealed}
            filled = {name: seal(value, scope, self._expressions, secret) for name, value in sealed.items()}
            params = kind.params.model_validate({**plain, **filled})
        except ValidationError as error:
            problems = problems_of(error)
            raise InvalidInput(f"parameters of step {attempt.record.key!r}: {problems}") from error
        return params, digest(params.model_dump(mode="json"))

    async def _run(self, attempt: Attempt, call: Call, kind: StepType, params: BaseModel) -> StepRecord:
        """Calls the step type and records what it says."""
        name = attempt.run.id, attempt.record.key
        self._open[name] = self._clock.monotonic(), attempt
        try:
            outcome = await self._in_time(attempt.record, call.place.step, kind.run(self._context(attempt), params))
        except StepTimedOut:
            await self._stop_late(attempt, kind, params)
            raise
        finally:
            del self._open[name]
        return await self._recorded(attempt, call, outcome)

    async def _stop_late(self, attempt: Attempt, kind: StepType, params: BaseModel) -> None:
        """Stops what a step began whose time is over; that it is late is recorded whatever comes of it."""
        if not isinstance(kind, Stoppable):
            return
        try:
            outcome = await kind.stop(self._context(attempt), params)
        except (StaleEpoch, DatabaseUnavailable):
            raise
        except BcceError as error:
            log.warning("step.not_stopped", run_id=attempt.run.id, step=attempt.record.key, code=error.code, reason=error.message)
            return
        if isinstance(outcome, Commit):
            await self._journal.write(attempt.run, outcome.write)

    async def _in_time(self, record: StepRecord, step: Step, running: Coroutine[Any, Any, StepOutcome]) -> StepOutcome:
        if record.deadline_at is None:
            return await running
        left = (record.deadline_at - self._clock.now()).total_seconds()
        if left <= 0:
            running.close()
            raise StepTimedOut(f"step {record.key!r} did not end within {step.timeout_s or 0:g} s")
        try:
            async with asyncio.timeout(left):
                return await running
        except TimeoutError as error:
            raise StepTimedOut(f"step {record.key!r} did not end within {step.timeout_s or 0:g} s") from error

    async def _recorded(self, attempt: Attempt, call: Call, outcome: StepOutcome) -> StepRecord:
        if not isinstance(outcome, Done):
            if isinstance(outcome, Park):
                record = await self._recorder.park(attempt, outcome)
            else:
                record = await self._recorder.end_with(attempt, outcome.write)
            for run_id in outcome.rings:
                self._ring(run_id)
            return record
        ended, pieces = self._recorder.ended(attempt.record, outcome.result)
        if ended.state is StepState.FAILED:
            return await self._fail(attempt, call.place.step, StepError(**ended.error), ended, pieces)  # type: ignore[arg-type]  # the recorder wrote it
        return await self._recorder.end(attempt, ended, pieces)

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
            say=partial(self._say, attempt.row),
            started_by=run.started_by,
            deadline_at=attempt.record.deadline_at,
        )

    def _say(self, row: Row, level: LogLevel, message: str, facts: Mapping[str, object] | None) -> None:
        row.log = self._logbook.say(row.log, level, message, facts, is_continued=row.is_continued)

    async def _fail(
        self, attempt: Attempt, step: Step, error: StepError, ended: StepRecord | None = None, pieces: Sequence[Piece] = ()
    ) -> StepRecord:
        """Records a failed attempt; the step is tried again if its policy says so."""
        policy, now = step.retry or _NO_RETRY, self._clock.now()
        before = ended or attempt.record
        failed = replace(before, state=StepState.FAILED, error=error.to_dict(), ended_at=now, waiting_for=None, wake_at=None)
        has_time = attempt.record.deadline_at is None or now < attempt.record.deadline_at
        if has_time and policy.allows(attempt.record.attempt, code=error.code, retryable=error.retryable):
            delay = timedelta(seconds=policy.delay_s(attempt.record.attempt, random=self._random()))
            failed = replace(failed, state=StepState.RETRYING, wake_at=now + delay)
        log.warning(
            "step.failed",
            run_id=attempt.run.id,
            step=attempt.record.key,
            code=error.code,
            reason=error.message,
            will_retry=failed.state is StepState.RETRYING,
        )
        return await self._recorder.end(attempt, failed, pieces)
