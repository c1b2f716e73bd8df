"""The step door: what a step type is, and the four ways one of its calls can end.

The engine calls `run` when the step is first ready and again after every wake-up while it waits. A step therefore never keeps
anything in memory between calls: it looks at the database or the world, and says what is true now.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel
from sqlalchemy import Connection

from bcce.kit.ids import GateId, RunId, TenantId, derived_id
from bcce.kit.values import value
from bcce.security.actor import Actor
from bcce.workflows.model import Effect, StepResult

T = TypeVar("T")

LogLevel = Literal["debug", "info", "warning", "error"]


def gate_id(run_id: RunId, key: str, attempt: int) -> GateId:
    """The id of the gate of one attempt of a step: the same before and after any crash."""
    return GateId(derived_id("gate", run_id, key, str(attempt)))


class FencedWrite(Protocol):
    """Runs a function in a write that first proves that this segment still owns its run."""

    def __call__(self, fn: Callable[[Connection], T]) -> Awaitable[T]:
        """The result of `fn(conn)`, committed.

        Raises:
            StaleEpoch: another worker took the run over; nothing was written and the segment must end.
        """
        ...


class LogSink(Protocol):
    """Takes what a step says for the log of its run."""

    def __call__(self, level: LogLevel, message: str, facts: Mapping[str, object] | None) -> None:
        """Keeps the line in memory; it is stored with what happens to the step next."""
        ...


@value
class StepContext:
    """What a step may know about where it runs.

    `key` is the step's place in the definition; `attempt` counts from 1; `idempotency_key` is the same on every call of one
    step, before and after any crash. `started_by` is who wanted the run, None if nobody knows. `started_at` is when this
    attempt began; `is_waiting` is true when this call follows a wake-up. `deadline_at` is when the step times out, None for never.
    `lease_remaining_s` returns the seconds for which this worker is surely still the owner.
    """

    run_id: RunId
    tenant_id: TenantId
    key: str
    attempt: int
    actor: Actor
    correlation_id: str
    subject: str | None
    started_at: datetime
    is_waiting: bool
    epoch: int
    write: FencedWrite
    lease_remaining_s: Callable[[], Awaitable[float]]
    say: LogSink
    started_by: str | None = None
    deadline_at: datetime | None = None

    def log(self, message: str, *, level: LogLevel = "info", facts: Mapping[str, object] | None = None) -> None:
        """Adds a line, or one for each line of `message`, to the log of the run; costs no I/O and never fails.

        What looks like a credential is masked. Lines are stored with the end of the step, and every few seconds while a call goes on.
        An attempt has a limit of lines and bytes (`workflows.logMaxLines`, `workflows.logMaxBytes`); what is more is counted.
        """
        self.say(level, message, facts)

    @property
    def idempotency_key(self) -> str:
        """`<run>/<step>`: what the other side of an effect gets so that it can tell a repeat."""
        return f"{self.run_id}/{self.key}"

    @property
    def gate_id(self) -> GateId:
        """The id of the gate at which this attempt waits, if it does."""
        return gate_id(self.run_id, self.key, self.attempt)


@value
class Done:
    """The step ended and wrote nothing itself; the engine records the result.

    `ended_itself` counts when a step is stopped: what it had begun was over by then, so it ended as `result` says and was not cut off.
    """

    result: StepResult
    ended_itself: bool = False


@value
class Commit:
    """The step ends with the database work of `write`, in one transaction with its journal row.

    `write` may be called more than once (a deadlock retries the unit) and must only use its connection and prepared values.
    `ended_itself` is as in `Done`; `rings` are other runs that may go on once this is written.
    """

    write: Callable[[Connection], StepResult]
    ended_itself: bool = False
    rings: tuple[RunId, ...] = ()


@value
class Park:
    """The step waits.

    `waiting_for` is one short sentence for a person. `kind` and `name` tell what closes the gate, for those who look for open gates.
    `wake_after` is when to look again without a fact, None for never. `write` is database work that belongs to the
    beginning of the wait (say, the approval's row); it is done once, in the transaction that opens the gate. `rings` are other runs that
    may go on once the wait is written.
    """

    waiting_for: str
    kind: str
    name: str
    wake_after: timedelta | None = None
    write: Callable[[Connection], None] | None = None
    rings: tuple[RunId, ...] = ()


StepOutcome = Done | Commit | Park


@runtime_checkable
class Stoppable(Protocol):
    """A step type that acts on the world and knows how to stop what it began."""

    async def stop(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Stops what `run` began. Called instead of `run` from then on: `Done` when nothing of it goes on, `Park` while it ends.

        What had ended by itself is said to have (`ended_itself`): a step that did its work is undone like any other.

        Raises:
            BcceError: it could not be stopped.
        """
        ...


@value
class Lack:
    """What keeps a step from running here although its file is right: `rule` is the finding's, `key` the step's key it is about."""

    rule: str
    message: str
    hint: str
    key: str


@runtime_checkable
class Needing(Protocol):
    """A step type that needs something beside itself to be installed."""

    def lack(self, given: Mapping[str, object]) -> Lack | None:
        """What a step with these parameters, as they stand in the file, would lack here; None for nothing. Does no I/O."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What is wrong with a step's parameters: the rule, the parameter it is about, what is the matter and what to do.

    `line` is the line, from 1, of the parameter's own text; None for all of it.
    """

    rule: str
    path: tuple[str, ...]
    message: str
    hint: str
    line: int | None = None


@runtime_checkable
class Checked(Protocol):
    """A step type that can tell from the file alone that a step of it would fail, beyond what the schema of its parameters says."""

    def check(self, given: Mapping[str, object]) -> Iterable[Remark]:
        """What is wrong with parameters that fit the schema; texts in them may hold expressions. Does no I/O and raises nothing."""
        ...


@runtime_checkable
class Asking(Protocol):
    """A step type whose result holds for its own run alone: a run that is begun anew does not take it over."""

    def asks_anew(self, given: Mapping[str, object]) -> bool:
        """Whether that is so of a step with these parameters, as they stand in the file. Does no I/O."""
        ...


class StepType(Protocol):
    """A kind of step.

    `name` is what `type:` says in a workflow file. `effect` decides how the engine records it. `params` is the Pydantic model of its
    parameters; the
    file's parameters are checked against it before a run starts and, with expressions evaluated, before each call.

    A type may name parameters in `takes_references`, a frozen set: texts in them may hold `{{ secrets.name }}` and `${NAME}`. Such a text
    reaches it as a `SealedText`, which it fills in when it is used and not before.
    A type whose `run` waits for nothing may say `is_instant = True`; its calls then need no task of their own.
    """

    name: str
    effect: Effect
    params: type[BaseModel]

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Do the step's work, or say what it waits for.

        May be called again with the same arguments after a crash: pure and local work repeats harmlessly, keyed work passes
        `context.idempotency_key` on, marked work asks the target what happened.

        Raises:
            BcceError: the step failed; `code` and `retryable` decide what the engine does next.
        """
        ...


def references_of(kind: StepType | None) -> frozenset[str]:
    """The parameters of a step type in which references may stand."""
    return getattr(kind, "takes_references", frozenset())
