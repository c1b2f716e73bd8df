"""`script`: Python from the workflow's file, locked into a sandbox, for what expressions cannot say."""

import ast
import json
import mimetypes
import platform
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from bcce.kit.text import canonical_json, clean
from bcce.plugins import Services
from bcce.resilience import Breaker, BreakerPolicy, BreakerStore, Bulkhead
from bcce.workflows.durations import constant_duration_s, parse_duration_s
from bcce.workflows.errors import (
    SandboxBroken,
    ScriptFailed,
    ScriptOutputInvalid,
    ScriptOverLimit,
    ScriptTimedOut,
)
from bcce.workflows.model import Artifact, Effect, completed
from bcce.workflows.sandbox import PythonSandbox, SandboxLimits, SandboxResult
from bcce.workflows.settings import ScriptSettings, WorkflowSettings
from bcce.workflows.step_type import Done, LogLevel, Remark, StepContext, StepOutcome

_MIB = 1024 * 1024
#: Without the system's own lists, so that a name means the same everywhere.
_TYPES = mimetypes.MimeTypes()


class ScriptParams(BaseModel):
    """Parameters of `script`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(min_length=1, max_length=65_536, description="The program, as it is: expressions are not allowed in it.")
    inputs: dict[str, Any] = Field(default_factory=dict, description="What it gets, as a JSON object on its standard input.")
    timeout: str | float = Field(default="10s", description="How long it may take.")
    memory_mib: int | None = Field(default=None, ge=32, description="The memory it may use, in MiB; by default the operator's limit.")

    @field_validator("code", mode="before")
    @classmethod
    def _holds_no_expression(cls, value: object) -> object:
        """Outside text must never become a program, only its input.

        Before all other checks and with the type `missing`: other errors of a value with an expression are left for the run, where the
        expression has been evaluated and its braces are gone.
        """
        if isinstance(value, str) and "{{" in value:
            raise PydanticCustomError(
                "missing", "a script is the text of the file itself and takes no expression; hand values over in `inputs`, or write `{ {`"
            )
        return value

    @field_validator("timeout")
    @classmethod
    def _is_duration(cls, value: str | float) -> str | float:
        parse_duration_s(value)
        return value


class ScriptStep:
    """Runs Python in a sandbox. Output: the JSON object that it prints as its last line; the files in `artifacts` are kept."""

    name = "script"
    effect = Effect.PURE
    params: type[BaseModel] = ScriptParams

    def __init__(self, settings: ScriptSettings, sandbox: PythonSandbox, breakers: BreakerStore) -> None:
        self._settings = settings
        self._sandbox = sandbox
        self._bulkhead = Bulkhead(at_once=settings.at_once, waiting=settings.waiting)
        self._breaker = Breaker(breakers, BreakerPolicy(probe_s=settings.max_timeout_s + 30))

    @classmethod
    def build(cls, services: Services) -> "ScriptStep":
        """Wires the step."""
        settings = services.get(WorkflowSettings).script
        return cls(settings, PythonSandbox(settings.at_once), services.get(BreakerStore))  # type: ignore[type-abstract]  # a Protocol is the key

    def check(self, given: Mapping[str, Any]) -> Iterator[Remark]:
        """A program that Python cannot read, and more than the operator's limits; what only a run knows is cut to them."""
        settings, timeout_s, memory = self._settings, constant_duration_s(given.get("timeout")), given.get("memory_mib")
        try:
            with warnings.catch_warnings(action="ignore"):
                ast.parse(str(given["code"]))
        except SyntaxError as error:
            hint = "as `python3 -m py_compile` would say" if error.lineno is None else f"look at line {error.lineno} of the script"
            yield Remark("workflow.script-syntax", ("code",), f"the script is no Python: {error.msg}", hint, error.lineno)
        except (ValueError, RecursionError, MemoryError) as error:
            yield Remark("workflow.script-syntax", ("code",), f"the script is no Python: {error}", "make it simpler")
        if timeout_s is not None and timeout_s > settings.max_timeout_s:
            message = f"a script may take {settings.max_timeout_s:g} s, not {timeout_s:g}"
            yield Remark("workflow.over-limit", ("timeout",), message, "an operator can raise workflows.script.maxTimeoutS")
        if isinstance(memory, int) and memory > settings.memory_mib:
            message = f"a script may use {settings.memory_mib} MiB of memory, not {memory}"
            yield Remark("workflow.over-limit", ("memory_mib",), message, "an operator can raise workflows.script.memoryMib")

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """Starts it and waits for its end; a repeat after a crash starts it again, which changes nothing outside."""
        given = cast(ScriptParams, params)
        wanted_s, wanted = parse_duration_s(given.timeout), (given.memory_mib or self._settings.memory_mib) * _MIB
        limits = SandboxLimits(
            timeout_s=min(wanted_s, self._settings.max_timeout_s),
            memory_bytes=min(wanted, self._settings.memory_mib * _MIB),
            output_bytes=self._settings.output_bytes,
            disk_bytes=self._settings.disk_mib * _MIB,
        )
        async with self._bulkhead.place("script"):
            result = await self._breaker.call(
                context.tenant_id,
                f"script:{platform.node()[:200]}",
                lambda: self._sandbox.run(given.code, canonical_json(given.inputs), limits),
                is_failure=lambda error: isinstance(error, SandboxBroken),
            )
        _tell(context, result)
        return Done(result=completed(_output(result, limits), artifacts=_artifacts(result)))


def _output(result: SandboxResult, limits: SandboxLimits) -> dict[str, object]:
    if result.ended == "timed-out":
        raise ScriptTimedOut(f"the script took longer than {limits.timeout_s:g} s and was stopped")
    if result.ended != "exited":
        what = {
            "output": f"printed more than {limits.output_bytes} bytes",
            "disk": f"wrote more than {limits.disk_bytes // _MIB} MiB or 1000 files",
        }
        killed = f"was killed, most likely because it needs more than {limits.memory_bytes // _MIB} MiB of memory"
        raise ScriptOverLimit(f"the script {what.get(result.ended, killed)}")
    if result.exit_code != 0:
        said = [line for line in result.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        about = f": {clean(said[-1].strip(), limit=300)}" if said else ""
        raise ScriptFailed(f"the script ended with {result.exit_code}{about}", details={"exit_code": result.exit_code})
    return _last_object(result.stdout)


def _tell(context: StepContext, result: SandboxResult) -> None:
    """Puts what it printed into the run's log: all but the last line, which is its output if it ended well."""
    printed = result.stdout.decode("utf-8", "replace").rstrip().splitlines()
    if result.ended == "exited" and result.exit_code == 0:
        del printed[-1:]
    for lines, stream, level in ((printed, "stdout", "info"), (result.stderr.decode("utf-8", "replace").splitlines(), "stderr", "warning")):
        for line in lines:
            if line.strip():
                context.log(line, level=cast(LogLevel, level), facts={"stream": stream})


def _artifacts(result: SandboxResult) -> tuple[Artifact, ...]:
    return tuple(Artifact(name=name, content=content, media_type=_TYPES.guess_type(name)[0]) for name, content in result.files.items())


def _last_object(printed: bytes) -> dict[str, object]:
    lines = [line for line in printed.decode("utf-8", "replace").splitlines() if line.strip()]
    try:
        value = json.loads(lines[-1])
        canonical_json(value)  # NaN and lone surrogates are no JSON, whatever the parser says
    except (IndexError, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ScriptOutputInvalid(
            "the last line that the script printed is not a JSON object", hint="end it with print(json.dumps({...})), on one line"
        )
    return value
