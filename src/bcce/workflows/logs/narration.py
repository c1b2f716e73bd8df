"""What the engine's events say to a person who reads a run's log. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bcce.kit.text import clean


@dataclass(frozen=True, slots=True)
class Said:
    """A line without its place."""

    level: str
    message: str


#: The text of a step's `when`, by its id; None when it has none.
When = Callable[[str], str | None]


#: Beside what a `workflow.started` tells: the run was asked for before, and had to wait for its turn.
HAS_WAITED = "hasWaited"


def narrate(kind: str, data: Mapping[str, object], when: When) -> Said | None:
    """The line for one event of a run; None for an event that tells a reader of the log nothing."""
    tell = _LINES.get(kind)
    return tell(data, when) if tell is not None else None


def step_of(key: str) -> str:
    """The id of the step that a key belongs to, without its turn and what was done instead."""
    return key.partition("[")[0].partition(".")[0]


def _took(data: Mapping[str, object]) -> str:
    taken = data.get("duration")
    return f" after {taken / 1000:.3g} s" if isinstance(taken, int | float) else ""


def _by(data: Mapping[str, object]) -> str:
    return clean(str(data.get("by") or "somebody"), limit=200)


def _reason(data: Mapping[str, object]) -> str:
    code = f"  [{data['errorType']}]" if data.get("errorType") else ""
    return f"{data.get('error') or 'no reason is known'}{code}"


def _run_failed(data: Mapping[str, object], when: When) -> Said:
    where = f"step {data['stepId']}: " if data.get("stepId") else ""
    return Said("error", f"the run failed{_took(data)}: {where}{_reason(data)}")


def _asked(data: Mapping[str, object]) -> str:
    source = data.get("rerunOf")
    again = f": a re-run of {source} from the step {data.get('rerunFrom')}" if source else ""
    return f"the run of {data.get('workflow')} was asked for{again}"


def _started(data: Mapping[str, object], when: When) -> Said:
    if data.get(HAS_WAITED):
        return Said("info", "the run has its turn, and begins")
    return Said("info", _asked(data))


def _waiting(data: Mapping[str, object], when: When) -> Said:
    asked = f"{_by(data)} asked for the run to be tried again" if "by" in data else _asked(data)
    return Said("info", f"{asked}; it waits for its turn in the group {data.get('group')}")


def _skipped(data: Mapping[str, object], when: When) -> Said:
    condition = when(step_of(str(data.get("stepId", ""))))
    return Said("info", f"skipped: its condition does not hold: {condition}" if condition else "skipped: it is not needed")


def _retried(data: Mapping[str, object], when: When) -> Said:
    until = f"; it is tried again at {data['retryAt']}" if data.get("retryAt") else ""
    return Said("warning", f"failed{_took(data)}: {_reason(data)}{until}")


def _decided(data: Mapping[str, object], when: When) -> Said | None:
    what, why = data.get("decision"), data.get("comment") or data.get("reason")
    tail = f" (approval {data.get('approvalId')})" + (f": {why}" if why else "")
    if what == "approve":
        return Said("info", f"{_by(data)} agreed{tail}")
    if what == "reject":
        return Said("warning", f"{_by(data)} refused{tail}")
    if what == "revoke":
        return Said("warning", f"{_by(data)} took the approval back{tail}")
    return Said("warning", f"nobody answered in time{tail}") if what == "expire" else None


_LINES: dict[str, Callable[[Mapping[str, object], When], Said | None]] = {
    "workflow.started": _started,
    "workflow.waiting": _waiting,
    "workflow.completed": lambda data, when: Said("info", f"the run ended well{_took(data)}"),
    "workflow.failed": _run_failed,
    "workflow.cancelled": lambda data, when: Said("warning", f"the run was stopped{_took(data)}"),
    "workflow.cancelling": lambda data, when: Said("warning", f"{_by(data)} asked for the run to be stopped"),
    "workflow.paused": lambda data, when: Said("info", f"{_by(data)} paused the run"),
    "workflow.resumed": lambda data, when: Said(
        "info", f"{_by(data)} let the run go on" if "by" in data else "the run has its turn, and goes on"
    ),
    "workflow.recovered": lambda data, when: Said("warning", "suspect: its worker died or broke, and the run is taken up again"),
    "workflow.event": lambda data, when: Said("info", f"published the event {data.get('event')}"),
    "notification.requested": lambda data, when: Said("info", f"asked that people be told: {data.get('title')}"),
    "approval.decided": _decided,
    "step.started": lambda data, when: Said("info", f"began ({data.get('stepType')})"),
    "step.completed": lambda data, when: Said("info", f"completed{_took(data)}"),
    "step.failed": lambda data, when: Said("error", f"failed{_took(data)}: {_reason(data)}"),
    "step.retried": _retried,
    "step.skipped": _skipped,
    "step.waiting": lambda data, when: Said("info", f"waits for {data.get('waitingFor')}"),
    "step.cancelled": lambda data, when: Said("warning", "stopped before its end"),
}
