"""What a step wants started, and what became of it."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from bcce.execution.model import Dispatch, DispatchState, Plan, StopResult
from bcce.kit.findings import Severity
from bcce.kit.ids import ApprovalId, DispatchId, derived_id
from bcce.workflows.step_type import StepContext

#: Starts that are proven never to have run may be tried again, under a new key each.
MAX_STARTS = 3


def dispatch_keys(context: StepContext, *parts: str, starts: int = MAX_STARTS) -> tuple[DispatchId, ...]:
    """The keys of a step's starts, in order: the same before and after any crash. `parts` tell apart what may be started anew."""
    return tuple(DispatchId(derived_id("dsp", context.idempotency_key, *parts, str(number))) for number in range(1, starts + 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """What is to be started for a step.

    `plan` is None when it can no longer be read: then nothing is started, but what was is followed and stopped all the same.
    `keys` are those of its starts; `approval_id` is the approval that covers it, None if none is needed. `may_start` looks, in the
    transaction that clears the script, whether anything else stands against it, and raises NotCleared then. `on_start` is database work
    that belongs to the record of the start: the script runs by then, so it has to find a way whatever has happened meanwhile.
    """

    plan: Plan | None
    severity: Severity
    keys: tuple[DispatchId, ...]
    approval_id: ApprovalId | None = None
    may_start: Callable[[Connection], None] = lambda _: None
    on_start: Callable[[Connection], None] = lambda _: None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobEnd:
    """What became of a dispatch.

    `stop` is what a request to stop it came to, None if there was none or it had ended by itself before. `record` writes it down, in a
    transaction of the caller's.
    """

    dispatch: Dispatch
    state: DispatchState
    exit_code: int | None
    detail: str
    output: str
    record: Callable[[Connection], None]
    stop: StopResult | None = None

    @property
    def ended_itself(self) -> bool:
        """The script came to its own end and said that it did its work."""
        return self.stop is None and self.state is DispatchState.SUCCEEDED

    @classmethod
    def of(cls, current: Dispatch) -> "JobEnd":
        """The end of a dispatch whose row has it already: a worker wrote it and died, or a person settled it."""
        return cls(
            dispatch=current,
            state=current.state,
            exit_code=current.exit_code,
            detail=f"it is recorded as {current.state}",
            output=current.output_excerpt or "",
            record=lambda _: None,
        )

    def to_dict(self) -> dict[str, object]:
        """The output of a step."""
        told: dict[str, object] = {"state": str(self.state), "exitCode": self.exit_code, "detail": self.detail, "output": self.output}
        told["dispatch"] = self.dispatch.key
        if self.stop is not None:
            told["stop"] = {"proven": self.stop.proven, "detail": self.stop.detail}
        return told
