"""What a step says while it works: bounded, masked, and kept until it is stored with what happens to the step. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bcce.kit.clock import format_time
from bcce.kit.redact import mask_text, redact
from bcce.kit.text import canonical_json, clean
from bcce.workflows.step_type import LogLevel

LEVELS = ("debug", "info", "warning", "error")
_LINE_LIMIT = 2000
_FACTS_LIMIT = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLimits:
    """Lines, and bytes of text and facts, that one attempt of a step may say."""

    lines: int
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLine:
    """One line of a run's log.

    `seq` orders the lines of a run as they were recorded, and is where the next page goes on. `step` is the key of a step, None for a
    line about the run; `attempt` is None then too.
    """

    seq: str
    at: datetime
    level: str
    step: str | None
    attempt: int | None
    message: str
    facts: Mapping[str, object]


class StepLog:
    """What one attempt has said and what of that is not stored yet.

    `is_continued`: the attempt began before this object did, so what is stored of it counts too.
    """

    def __init__(self, limits: LogLimits, *, is_continued: bool) -> None:
        self._lines_left = limits.lines
        self._bytes_left = limits.bytes
        self._waiting: list[tuple[dict[str, object], int]] = []
        self._left_out = 0
        self.is_continued = is_continued

    def say(self, at: datetime, level: LogLevel, message: str, facts: Mapping[str, object] | None) -> None:
        """Adds a line for each line of `message`, or counts them as left out."""
        shown = _shown(facts)
        for text in message.splitlines() or [""]:
            if self._lines_left <= 0 or self._bytes_left <= 0:
                self._left_out += 1
                continue
            line: dict[str, object] = {"at": format_time(at), "level": level if level in LEVELS else "info"}
            # Cut before it is masked would leave half of a credential, so it is masked first.
            line["text"] = clean(mask_text(text[: 10 * _LINE_LIMIT]), limit=_LINE_LIMIT)
            if shown:
                line["facts"] = shown
            size = len(canonical_json(line))
            self._lines_left -= 1
            self._bytes_left -= size
            self._waiting.append((line, size))

    @property
    def has_lines(self) -> bool:
        """There are lines to be stored."""
        return bool(self._waiting)

    @property
    def is_waiting(self) -> bool:
        """Something is to be stored, or to be told as left out."""
        return bool(self._waiting) or self._left_out > 0

    def lines(self, *, at: datetime, is_last: bool, stored: tuple[int, int] = (0, 0), limits: LogLimits | None = None) -> "Batch":
        """What is to be stored now; with the mark of what was left out when it is the last.

        Args:
            stored: lines and bytes that are stored of the attempt, if it is continued; then `limits` counts from there.
        """
        # A copy, made at once: this may be another thread than the one in which the step goes on saying things.
        waiting, left_out = list(self._waiting), self._left_out
        lines = [line for line, _ in waiting]
        if limits is not None:
            room = max(0, limits.lines - stored[0]) if stored[1] < limits.bytes else 0
            lines, left_out = lines[:room], left_out + max(0, len(lines) - room)
        if is_last and left_out:
            mark: dict[str, object] = {
                "at": format_time(at),
                "level": "warning",
                "text": f"… {left_out} line{'s' if left_out > 1 else ''} left out",
            }
            lines.append(mark)
        return Batch(lines=lines, taken=len(waiting), counted=left_out if is_last else 0)

    def stored(self, batch: "Batch") -> None:
        """Forgets what has been stored; what was said meanwhile stays."""
        left_out = max(0, batch.taken - len(batch.lines))
        del self._waiting[: batch.taken]
        self._left_out = 0 if batch.counted else self._left_out + left_out


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Lines to be stored. `taken` is how many waited for it; `counted` how many were told of as left out."""

    lines: Sequence[Mapping[str, object]]
    taken: int
    counted: int


def _shown(facts: Mapping[str, object] | None) -> dict[str, object]:
    if not facts:
        return {}
    shown = redact(dict(facts))
    if len(canonical_json(shown)) > _FACTS_LIMIT:
        return {"facts": "left out: more than 2000 bytes"}
    return shown  # type: ignore[return-value]  # redact keeps a mapping a mapping
