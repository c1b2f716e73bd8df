"""What is said to the wrapper on a target, and what its answers mean. Pure; `wrapper.sh` is the other side of every line here."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from posixpath import normpath
from typing import Final

from bcce.execution.errors import ExecutorUnavailable, InvalidTarget, NotStarted, TargetNotReady
from bcce.execution.executor import OUTPUT_CHUNK_BYTES
from bcce.execution.marker.meanings import BASE_PROBLEMS, REFUSALS, STOPPED, TARGET_PROBLEMS, UNKNOWN
from bcce.execution.model import (
    Clearance,
    ExitReason,
    JobPhase,
    JobStatus,
    OutputChunk,
    Probe,
    Script,
    StartOutcome,
    StartReceipt,
    StopResult,
    encode_parameters,
)
from bcce.execution.model.parameters import check_parameters
from bcce.kit.clock import parse_time
from bcce.kit.redact import Secret
from bcce.kit.text import clean

WRAPPER: Final = Path(__file__).with_name("wrapper.sh")
#: How the wrapper's shell is started, before the path of the wrapper: without anybody's start files, functions or options.
SHELL_OPTIONS: Final = ("--noprofile", "--norc", "-p")
#: The key that calls carry which are about the target and not about a job.
NO_KEY: Final = "probe"

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_EPOCH: Final = parse_time("1970-01-01T00:00:00Z")
_MEMORY_FILESYSTEMS: Final = ("tmpfs", "ramfs")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


class Verb(StrEnum):
    """What the wrapper is asked to do."""

    PROBE = "probe"
    START = "start"
    STATUS = "status"
    OUTPUT = "output"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One question to the wrapper: three arguments, and everything else on its standard input."""

    verb: Verb
    base_dir: str
    key: str
    stdin: bytes

    def arguments(self) -> tuple[str, str, str]:
        """What follows the wrapper's path."""
        return (self.verb, self.base_dir, self.key)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The wrapper's answer: its word, the fields behind it, and the bytes after the line."""

    word: str
    fields: tuple[str, ...]
    data: bytes


def check_base_dir(base_dir: str) -> str:
    """`base_dir` when it can be the base folder of jobs on a POSIX machine.

    Raises:
        InvalidTarget: not absolute, not in normal form, or the root folder.
    """
    if not base_dir.startswith("/") or base_dir.startswith("//") or normpath(base_dir) != base_dir or base_dir == "/":
        raise InvalidTarget(
            f"{base_dir[:200]!r} cannot be a base folder", hint="give an absolute path without `..`, doubled or trailing slashes"
        )
    return base_dir


def probe_call(base_dir: str, now: datetime) -> Call:
    """Asks whether jobs can be kept; `now` becomes the folder's birth if it has none yet."""
    return _call(Verb.PROBE, base_dir, NO_KEY, micros(now))


def start_call(
    clearance: Clearance, script: Script, *, output_limit_kib: int, grace_s: int, filled: Mapping[str, Secret] | None = None
) -> Call:
    """Asks to start the script, which follows behind its environment: its parameters, byte for byte what the clearance's digest is over,
    the values of its references in `filled`, and the correlation id.

    Raises:
        InvalidScript: a filled value cannot be an environment variable.
    """
    values = {**script.parameters, **{name: secret.reveal() for name, secret in (filled or {}).items()}}
    check_parameters(values)
    parameters, data = encode_parameters(values) + _context(clearance), script.data
    call = _call(
        Verb.START,
        clearance.target.base_dir,
        clearance.dispatch_key,
        micros(clearance.issued_at),
        len(data),
        hashlib.sha256(data).hexdigest(),
        len(parameters),
        hashlib.sha256(parameters).hexdigest(),
        output_limit_kib,
        clearance.timeout_s or 0,
        grace_s,
    )
    return Call(verb=call.verb, base_dir=call.base_dir, key=call.key, stdin=call.stdin + parameters + data)


def _context(clearance: Clearance) -> bytes:
    """What the script is told of where it comes from; no parameter can have such a name."""
    correlation_id = clearance.correlation_id
    if correlation_id is None or not _CORRELATION_ID.fullmatch(correlation_id):
        return b""
    return f"BCCE_CORRELATION_ID={correlation_id}".encode() + b"\x00"


def status_call(base_dir: str, key: str, since: datetime | None) -> Call:
    """Asks what became of a key, after fencing it."""
    return _call(Verb.STATUS, base_dir, key, 0 if since is None else micros(since))


def output_call(base_dir: str, key: str, offset: int) -> Call:
    """Asks for a part of the output."""
    return _call(Verb.OUTPUT, base_dir, key, max(0, offset), OUTPUT_CHUNK_BYTES)


def stop_call(base_dir: str, key: str, grace_s: int) -> Call:
    """Asks to end the job."""
    return _call(Verb.STOP, base_dir, key, grace_s)


def micros(moment: datetime) -> int:
    """Whole microseconds since 1970 in UTC; computed without floating point, so equal moments stay equal."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def read_answer(stdout: bytes) -> Answer:
    """The answer in what the wrapper wrote.

    Raises:
        ExecutorUnavailable: it wrote no answer: it was killed, or something else spoke.
    """
    line, separator, data = stdout.partition(b"\n")
    words = line.decode("ascii", "replace").split()
    if not separator or len(words) < 2 or words[0] != "bcce1":
        raise ExecutorUnavailable("the target gave no answer", details={"said": clean(stdout[:200].decode("utf-8", "replace"), limit=200)})
    return Answer(word=words[1], fields=tuple(words[2:]), data=data)


def probe_result(answer: Answer) -> Probe:
    """What a probe found."""
    free, kind, version, *problems = _fields(answer, "probe", 3)
    return Probe(
        problems=tuple(_explain_problem(word) for word in problems),
        free_bytes=_number(free) if kind != "-" else None,
        filesystem=None if kind == "-" else kind,
        memory_backed=None if kind == "-" else kind in _MEMORY_FILESYSTEMS,
        shell_version=version,
    )


def start_result(answer: Answer) -> StartReceipt:
    """What a start did.

    Raises:
        TargetNotReady, NotStarted: nothing was started by it, and nothing will be.
        ExecutorUnavailable: nothing usable came of it.
    """
    if answer.word == "declined" and answer.fields:
        why = answer.fields[0]
        if why in BASE_PROBLEMS or why == "no-room":
            hint = "mend the base folder, then have it tried again: `bcce run retry`"
            raise TargetNotReady(REFUSALS[why], hint=hint, details={"reason": why})
        raise NotStarted(REFUSALS.get(why, why), details={"reason": why})
    if answer.word == "started":
        return StartReceipt(outcome=StartOutcome.STARTED)
    _fields(answer, "decided", 0)
    return StartReceipt(outcome=StartOutcome.ALREADY_DECIDED)


def status_result(answer: Answer) -> JobStatus:
    """What became of a job.

    Raises:
        TargetNotReady, ExecutorUnavailable: the target did not say.
    """
    if answer.word == "running":
        return JobStatus(phase=JobPhase.RUNNING, detail="the script runs")
    if answer.word == "never_started":
        return JobStatus(phase=JobPhase.NEVER_STARTED, detail=STOPPED["never-started"])
    if answer.word == "exited":
        code, reason = _fields(answer, "exited", 2)
        if reason not in list(ExitReason):
            raise _nonsense(answer)
        return _exited(_number(code), ExitReason(reason))
    (why,) = _fields(answer, "unknown", 1)
    return JobStatus(phase=JobPhase.UNKNOWN, detail=UNKNOWN.get(why, why))


def output_result(answer: Answer, offset: int) -> OutputChunk:
    """A part of the output.

    Raises:
        TargetNotReady, ExecutorUnavailable: the target did not say, or fewer bytes came than it announced.
    """
    count, complete, cut = _fields(answer, "output", 3)
    if len(answer.data) != _number(count):
        raise ExecutorUnavailable("the target's answer was cut off")
    return OutputChunk(data=answer.data, next_offset=max(0, offset) + len(answer.data), complete=complete == "1", truncated=cut == "1")


def stop_result(answer: Answer) -> StopResult:
    """Whether a job is proven to be over.

    Raises:
        TargetNotReady, ExecutorUnavailable: the target did not say.
    """
    proven, why, *left = _fields(answer, "stopped", 2)
    named = f": {', '.join(left[:20])}" if left else ""
    return StopResult(proven=proven == "1", detail=STOPPED.get(why, why) + named)


def _call(verb: Verb, base_dir: str, key: str, *header: int | str) -> Call:
    line = " ".join(str(value) for value in header) + "\n"
    return Call(verb=verb, base_dir=check_base_dir(base_dir), key=key, stdin=line.encode("ascii"))


def _exited(code: int, reason: ExitReason) -> JobStatus:
    details = {
        ExitReason.EXITED: f"the script ended with exit code {code}",
        ExitReason.TIMED_OUT: "the script was ended because its time ran out",
        ExitReason.STOPPED: "the script was stopped",
    }
    return JobStatus(phase=JobPhase.EXITED, exit_code=code, reason=reason, detail=details[reason])


def _fields(answer: Answer, word: str, at_least: int) -> tuple[str, ...]:
    """The fields behind `word`; raises what the answer means if it is another."""
    if answer.word == word and len(answer.fields) >= at_least:
        return answer.fields
    if answer.word == "refused" and answer.fields:
        why = answer.fields[0]
        if why in BASE_PROBLEMS:
            raise TargetNotReady(BASE_PROBLEMS[why], hint="probe the target, then ask for a new clearance", details={"reason": why})
        raise ExecutorUnavailable(REFUSALS.get(why, why), details={"reason": why})
    raise _nonsense(answer)


def _nonsense(answer: Answer) -> ExecutorUnavailable:
    said = clean(" ".join((answer.word, *answer.fields)), limit=200)
    return ExecutorUnavailable("the target's answer is not one that this release knows", details={"said": said})


def _explain_problem(word: str) -> str:
    return TARGET_PROBLEMS.get(word) or f"{word.removeprefix('no-')} is missing on the target"


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ExecutorUnavailable("the target's answer holds no number where one should be")
    return int(text)
