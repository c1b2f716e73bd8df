"""An executor that starts nothing and remembers everything."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bcce.execution.executor import OUTPUT_CHUNK_BYTES
from bcce.execution.model import (
    STOPPED_CODE,
    Clearance,
    ExitReason,
    JobPhase,
    JobStatus,
    OutputChunk,
    Probe,
    Script,
    SignedClearance,
    StartOutcome,
    StartReceipt,
    StopResult,
    Target,
    check_key,
)
from bcce.execution.signing import Verifier, admit
from bcce.kit.clock import Clock
from bcce.kit.errors import BcceError


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a recorded script ends: its exit code, 0 to 255, and everything it wrote."""

    exit_code: int = 0
    output: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedStart:
    """One script that a real executor would have started."""

    key: str
    clearance: Clearance
    script: Script


@dataclass(kw_only=True, slots=True)
class _Job:
    """What is known of one key; `start` is None when it was fenced before it was started."""

    start: RecordedStart | None
    output: bytes = b""
    status: JobStatus


@dataclass(slots=True)
class RecordedJobs:
    """What the world would remember. Give it to a second executor to play a server that comes back after a crash."""

    starts: list[RecordedStart] = field(default_factory=list)
    jobs: dict[str, _Job] = field(default_factory=dict)


class RecordingExecutor:
    """An `Executor` whose scripts never run: a test says how each ends.

    It checks clearances, decides, and fences as the real ones do, so whatever depends on "at most once" can be tested with it.

    Args:
        clock: the time that clearances are checked against.
        verifier: knows the keys that may sign clearances.
        name: targets must name this executor.
        ending: how a script ends, at once when it is started; None lets it run until `finish`, `lose` or `stop`.
        memory: the jobs of an executor before this one; None begins without any.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        verifier: Verifier,
        name: str = "recording",
        ending: Callable[[Script], Ending | None] = lambda _: Ending(),
        memory: RecordedJobs | None = None,
    ) -> None:
        self.name = name
        self.memory = memory or RecordedJobs()
        #: What `probe` says; a test may replace it.
        self.readiness = Probe(free_bytes=1 << 30, filesystem="ext4", memory_backed=False, shell_version="5.2")
        self._clock = clock
        self._verifier = verifier
        self._ending = ending
        self._errors_before: list[BcceError] = []
        self._errors_after: list[BcceError] = []

    @property
    def starts(self) -> list[RecordedStart]:
        """Every script that was started, in order."""
        return list(self.memory.starts)

    def fail_next_start(self, error: BcceError, *, after_deciding: bool = False) -> None:
        """Makes the next permitted `start` raise `error`: before anything is decided, or after, as when only the answer is lost."""
        (self._errors_after if after_deciding else self._errors_before).append(error)

    def finish(self, key: str, *, exit_code: int = 0, output: bytes = b"") -> None:
        """Ends a running script by itself.

        Raises:
            KeyError: no script runs under `key`.
        """
        job = self._running(key)
        job.output += output
        job.status = _exited(exit_code, ExitReason.EXITED)

    def lose(self, key: str) -> None:
        """Makes the outcome of a running script unknowable, as a power failure does.

        Raises:
            KeyError: no script runs under `key`.
        """
        self._running(key).status = JobStatus(phase=JobPhase.UNKNOWN, detail="the target was restarted while the script ran")

    async def probe(self, target: Target) -> Probe:
        """What `readiness` says."""
        return self.readiness

    async def start(self, key: str, clearance: SignedClearance, script: Script) -> StartReceipt:
        """Records the start, once for each key."""
        cleared = admit(self._verifier, self._clock.now(), executor=self.name, key=key, signed=clearance, script=script)
        if self._errors_before:
            raise self._errors_before.pop(0)
        outcome = StartOutcome.ALREADY_DECIDED
        if key not in self.memory.jobs:
            outcome = StartOutcome.STARTED
            start = RecordedStart(key=key, clearance=cleared, script=script)
            self.memory.starts.append(start)
            ending = self._ending(script)
            running = JobStatus(phase=JobPhase.RUNNING, detail="the script runs")
            status = running if ending is None else _exited(ending.exit_code, ExitReason.EXITED)
            self.memory.jobs[key] = _Job(start=start, output=b"" if ending is None else ending.output, status=status)
        if self._errors_after:
            raise self._errors_after.pop(0)
        return StartReceipt(outcome=outcome)

    async def status(self, key: str, target: Target, *, since: datetime | None = None) -> JobStatus:
        """Fences, then says what is recorded."""
        return self._fence(key).status

    async def output(self, key: str, target: Target, offset: int) -> OutputChunk:
        """What the script is said to have written."""
        job = self.memory.jobs.get(check_key(key))
        if job is None:
            return OutputChunk(data=b"", next_offset=max(0, offset), complete=False)
        begin = max(0, offset)
        data = job.output[begin : begin + OUTPUT_CHUNK_BYTES]
        is_over = job.status.phase is not JobPhase.RUNNING
        return OutputChunk(data=data, next_offset=begin + len(data), complete=is_over and begin + len(data) >= len(job.output))

    async def stop(self, key: str, target: Target) -> StopResult:
        """Fences; a running script is stopped."""
        job = self._fence(key)
        if job.status.phase is JobPhase.RUNNING:
            job.status = _exited(STOPPED_CODE, ExitReason.STOPPED)
        return StopResult(proven=True, detail="nothing ever ran")

    def _fence(self, key: str) -> _Job:
        never = JobStatus(phase=JobPhase.NEVER_STARTED, detail="it was never started and never will be")
        return self.memory.jobs.setdefault(check_key(key), _Job(start=None, status=never))

    def _running(self, key: str) -> _Job:
        job = self.memory.jobs[key]
        if job.status.phase is not JobPhase.RUNNING:
            raise KeyError(key)
        return job


def _exited(code: int, reason: ExitReason) -> JobStatus:
    return JobStatus(phase=JobPhase.EXITED, exit_code=code, reason=reason, detail=f"the script ended with exit code {code}")
