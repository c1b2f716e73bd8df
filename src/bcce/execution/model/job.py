"""What a target says about a job: one script that was, or may have been, started under a key. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum

from bcce.execution.errors import InvalidDispatchKey

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def check_key(key: str) -> str:
    """`key` when it can name a job's folder on any target.

    Raises:
        InvalidDispatchKey: longer than 64 characters, or other characters than letters, digits, `_`, `.` and `-`.
    """
    if not _KEY.fullmatch(key):
        raise InvalidDispatchKey(f"{key[:80]!r} cannot be the key of a dispatch")
    return key


class JobPhase(StrEnum):
    """How far a job has come, as far as it can be known."""

    RUNNING = "running"
    EXITED = "exited"
    NEVER_STARTED = "never_started"
    UNKNOWN = "unknown"


class ExitReason(StrEnum):
    """Why a job is over: by itself, because its time ran out, or because somebody stopped it."""

    EXITED = "exited"
    TIMED_OUT = "timed-out"
    STOPPED = "stopped"


#: Exit codes that stand for what was done to a script rather than for what it said; as `timeout` and shells use them.
TIMED_OUT_CODE = 124
STOPPED_CODE = 143


@dataclass(frozen=True, kw_only=True, slots=True)
class JobStatus:
    """What a target says about one key.

    Attributes:
        phase: `never_started` is a promise that it never will be; `unknown` means that nobody can find out any more.
        exit_code: 0 to 255; 124 when its time ran out, 143 when it was stopped, whatever the script itself made of that; None unless
            `exited`.
        reason: why it is over; None unless `exited`.
        detail: one sentence for a person.
    """

    phase: JobPhase
    exit_code: int | None = None
    reason: ExitReason | None = None
    detail: str = ""


class StartOutcome(StrEnum):
    """What a call of `start` did."""

    STARTED = "started"
    ALREADY_DECIDED = "already-decided"


@dataclass(frozen=True, kw_only=True, slots=True)
class StartReceipt:
    """The key is decided: by this call, or before it (then nothing was started now, whatever was decided before)."""

    outcome: StartOutcome


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputChunk:
    """A part of what a script wrote to its standard output and error, in the order of its writing.

    Attributes:
        data: at most as many bytes as one call gives.
        next_offset: where the next call continues; bytes from the beginning.
        complete: nothing more will come.
        truncated: what the script wrote beyond the limit was thrown away.
    """

    data: bytes
    next_offset: int
    complete: bool
    truncated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class StopResult:
    """Whether it is proven that nothing of the job runs now and nothing will; `detail` says what it was seen by, or what is left."""

    proven: bool
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """What an executor found when it looked at a target.

    Attributes:
        problems: sentences that say why no script can be started there; empty when one can.
        free_bytes: space left for jobs; None when it could not be read.
        filesystem: the base folder's kind of filesystem; None when it could not be read.
        memory_backed: whether that is lost with a restart of the target; None when unknown.
        shell_version: of the shell that would read scripts; None when it is missing.
    """

    problems: tuple[str, ...] = ()
    free_bytes: int | None = None
    filesystem: str | None = None
    memory_backed: bool | None = None
    shell_version: str | None = None

    @property
    def is_ready(self) -> bool:
        """Whether a script could be started."""
        return not self.problems

    def to_dict(self) -> dict[str, object]:
        """The result as JSON values."""
        return {
            "ready": self.is_ready,
            "problems": list(self.problems),
            "freeBytes": self.free_bytes,
            "filesystem": self.filesystem,
            "memoryBacked": self.memory_backed,
            "shellVersion": self.shell_version,
        }
