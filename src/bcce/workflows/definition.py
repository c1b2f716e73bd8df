"""A workflow file as data: what it may hold, read with the line and column of everything.

Reading accepts any step type and any parameters; whether they make sense is `validation`'s question, because it needs the registered step
types.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import cast

from bcce.config.document import Document, read_yaml
from bcce.kit.errors import InvalidDocument
from bcce.kit.text import digest
from bcce.resilience.retry import Backoff, RetryPolicy
from bcce.workflows.errors import InvalidWorkflow

SUPPORTED_VERSIONS = ("1.0", "1")
MAX_STEPS = 500
MAX_DEPTH = 8

INPUT_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}

_WORKFLOW_KEYS = {"version", "name", "description", "inputs", "steps", "outputs"}
_STEP_KEYS = {
    *("id", "name", "type", "description", "depends_on", "when", "with", "retry", "timeout", "condition", "then", "else", "parallel"),
}
_RETRY_KEYS = {"attempts", "backoff", "base", "cap", "jitter", "on"}
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class InputSpec:
    """One input: its JSON type, whether a run must bring it, and what it is when a run does not."""

    type: str = "string"
    required: bool = True
    default: object = None
    description: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of a file. `line` and `column` count from 1; `timeout_s` None means no limit."""

    id: str
    type: str
    line: int
    column: int
    description: str = ""
    depends_on: tuple[str, ...] = ()
    when: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    retry: RetryPolicy | None = None
    timeout_s: float | None = None
    condition: str | None = None
    then: tuple["Step", ...] = ()
    otherwise: tuple["Step", ...] = ()

    def walk(self) -> "list[Step]":
        """The step and all steps below it, in file order."""
        return [self, *(inner for child in (*self.then, *self.otherwise) for inner in child.walk())]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkflowDefinition:
    """A whole file. `digest` names exactly this text; `path` is None when it came without a file."""

    name: str
    version: str
    description: str
    inputs: Mapping[str, InputSpec]
    steps: tuple[Step, ...]
    outputs: Mapping[str, object]
    source: str
    path: str | None

    @property
    def digest(self) -> str:
        """`sha256:` over the file's bytes."""
        return digest(self.source.encode())

    def all_steps(self) -> list[Step]:
        """Every step at every depth, in file order."""
        return [inner for step in self.steps for inner in step.walk()]


def parse_duration_s(value: object) -> float:
    """Seconds of `30`, `1.5`, `"250ms"`, `"30s"`, `"5m"`, `"2h"`, `"1d"`; a bare number is seconds.

    Raises:
        ValueError: not a duration, negative, or above 30 days.
    """
    match = _DURATION.fullmatch(str(value).strip()) if not isinstance(value, bool) else None
    seconds = float(match[1]) * _UNIT_S[match[2]] if match else -1.0
    if not 0 < seconds <= 30 * 86400:
        raise ValueError(f"{value!r} is not a duration such as 30s, 5m or 2h")
    return seconds


def read_definition(text: str, path: str | None = None) -> WorkflowDefinition:
    """The definition that a workflow file's text holds.

    Raises:
        InvalidWorkflow: with the line and column of the first thing that is wrong.
    """
    try:
        document = read_yaml(text, path)
    except InvalidDocument as error:
        raise InvalidWorkflow(
            error.message.split(": ", 1)[-1] if error.line else error.message,
            path=path,
            line=error.line,
            column=error.column,
            hint=error.hint,
        ) from error
    return _Reader(document, path).definition(text)


class _Reader:
    """Walks a parsed document; every complaint knows where it stands."""

    def __init__(self, document: Document, path: str | None) -> None:
        self._document = document
        self._path = path
        self._seen: dict[str, int] = {}

    def definition(self, source: str) -> WorkflowDefinition:
        root = self._mapping(self._document.value, ())
        self._known(root, _WORKFLOW_KEYS, (), "a workflow")
        version = str(root.get("version", "1.0"))
        if version not in SUPPORTED_VERSIONS:
            self._fail(("version",), f"version {version!r} is not supported", f"supported: {SUPPORTED_VERSIONS[0]}")
        name = root.get("name")
        if not isinstance(name, str) or not _ID.fullmatch(name.replace(" ", "-")):
            self._fail(("name",), "a workflow needs a `name` of letters, digits, - and _", "for example name: restart-service")
        steps = self._steps(root.get("steps"), ("steps",), depth=1)
        if not steps:
            self._fail(("steps",), "a workflow needs at least one step", None)
        outputs = self._mapping(root.get("outputs") or {}, ("outputs",))
        return WorkflowDefinition(
            name=cast(str, name),
            version="1.0",
            description=str(root.get("description", "")).strip(),
            inputs=self._inputs(root.get("inputs") or {}),
            steps=steps,
            outputs=outputs,
            source=source,
            path=self._path,
        )

    def _inputs(self, value: object) -> dict[str, InputSpec]:
        inputs: dict[str, InputSpec] = {}
        for name, raw in self._mapping(value, ("inputs",)).items():
            where = ("inputs", name)
            spec = {"type": raw} if isinstance(raw, str) else self._mapping(raw or {}, where)
            self._known(spec, {"type", "required", "default", "description"}, where, "an input")
            kind = str(spec.get("type", "string"))
            if kind not in INPUT_TYPES:
                self._fail((*where, "type"), f"unknown input type {kind!r}", f"one of {', '.join(INPUT_TYPES)}")
            default = spec.get("default")
            if default is not None and not isinstance(default, INPUT_TYPES[kind]):
                self._fail((*where, "default"), f"the default of input {name!r} is no {kind}", None)
            required = bool(spec.get("required", "default" not in spec))
            inputs[name] = InputSpec(type=kind, required=required, default=default, description=str(spec.get("description", "")))
        return inputs

    def _steps(self, value: object, where: tuple[str | int, ...], *, depth: int) -> tuple[Step, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            self._fail(where, "this must be a list of steps", "begin each step with `- id: …`")
        if depth > MAX_DEPTH:
            self._fail(where, f"steps are nested deeper than {MAX_DEPTH} levels", "move the inner steps to a workflow of their own")
        return tuple(self._step(item, (*where, index), depth) for index, item in enumerate(cast(list[object], value)))

    def _step(self, value: object, where: tuple[str | int, ...], depth: int) -> Step:
        raw = self._mapping(value, where)
        name = raw.get("id", raw.get("name"))
        if not isinstance(name, str) or not _ID.fullmatch(name):
            self._fail(where, "a step needs an `id` of letters, digits, - and _ that begins with a letter", "for example - id: check_disk")
        name = cast(str, name)
        line, column = self._document.place(where)
        if name in self._seen:
            self._fail(where, f"the step id {name!r} is used twice (first in line {self._seen[name]})", "give each step its own id")
        self._seen[name] = line
        if len(self._seen) > MAX_STEPS:
            self._fail(where, f"a workflow has at most {MAX_STEPS} steps", None)
        kind = raw.get("type")
        if not isinstance(kind, str):
            self._fail(where, f"step {name!r} has no `type`", None)
        if kind == "condition" and not isinstance(raw.get("condition"), str | bool):
            self._fail(where, f"condition {name!r} has no `condition`", 'for example condition: "{{ steps.check.output.ok }}"')
        return Step(
            id=name,
            type=cast(str, kind),
            line=line,
            column=column,
            description=str(raw.get("description", "")).strip(),
            depends_on=self._names(raw.get("depends_on"), (*where, "depends_on")),
            when=None if raw.get("when") is None else str(raw["when"]),
            parameters=self._parameters(raw, where, cast(str, kind)),
            retry=self._retry(raw.get("retry"), (*where, "retry")),
            timeout_s=self._duration(raw.get("timeout"), (*where, "timeout")),
            condition=str(raw["condition"]) if kind == "condition" else None,
            then=self._steps(raw.get("then"), (*where, "then"), depth=depth + 1),
            otherwise=self._steps(raw.get("else"), (*where, "else"), depth=depth + 1),
        )

    def _parameters(self, raw: Mapping[str, object], where: tuple[str | int, ...], kind: str) -> dict[str, object]:
        inline = {key: item for key, item in raw.items() if key not in _STEP_KEYS}
        if kind == "condition" and inline:
            self._known(raw, _STEP_KEYS - {"with"}, where, "a condition")
        given = self._mapping(raw.get("with") or {}, (*where, "with"))
        twice = sorted(given.keys() & inline.keys())
        if twice:
            self._fail((*where, twice[0]), f"{twice[0]!r} stands both beside and inside `with`", "keep one of them")
        return {**inline, **given}

    def _retry(self, value: object, where: tuple[str | int, ...]) -> RetryPolicy | None:
        if value is None:
            return None
        raw = self._mapping(value, where)
        self._known(raw, _RETRY_KEYS, where, "`retry`")
        attempts = raw.get("attempts", 3)
        if not isinstance(attempts, int) or isinstance(attempts, bool) or not 1 <= attempts <= 100:
            self._fail((*where, "attempts"), "`attempts` counts all tries and is a number from 1 to 100", None)
        backoff = str(raw.get("backoff", "exponential"))
        if backoff not in {str(item) for item in Backoff}:
            self._fail((*where, "backoff"), f"unknown backoff {backoff!r}", f"one of {', '.join(Backoff)}")
        jitter = raw.get("jitter", 0.1)
        if not isinstance(jitter, int | float) or not 0 <= jitter <= 1:
            self._fail((*where, "jitter"), "`jitter` is a share from 0 to 1", None)
        return RetryPolicy(
            attempts=cast(int, attempts),
            backoff=Backoff(backoff),
            base_s=self._duration(raw.get("base"), (*where, "base")) or 1.0,
            cap_s=self._duration(raw.get("cap"), (*where, "cap")) or 60.0,
            jitter=float(cast(float, jitter)),
            on=frozenset(self._names(raw.get("on"), (*where, "on"))),
        )

    def _names(self, value: object, where: tuple[str | int, ...]) -> tuple[str, ...]:
        items = [value] if isinstance(value, str) else value or []
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            self._fail(where, "this must be a name or a list of names", None)
        return tuple(cast(list[str], items))

    def _duration(self, value: object, where: tuple[str | int, ...]) -> float | None:
        if value is None:
            return None
        try:
            return parse_duration_s(value)
        except ValueError as error:
            self._fail(where, str(error), "write 30s, 5m, 2h or a number of seconds")
            raise

    def _mapping(self, value: object, where: tuple[str | int, ...]) -> dict[str, object]:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            self._fail(where, "this must be a mapping of names to values", None)
        return dict(cast(Mapping[str, object], value))

    def _known(self, raw: Mapping[str, object], known: set[str], where: tuple[str | int, ...], what: str) -> None:
        for key in raw:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                self._fail(
                    (*where, key),
                    f"{what} has no key {key!r}",
                    f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}",
                )

    def _fail(self, where: tuple[str | int, ...], message: str, hint: str | None) -> None:
        line, column = self._document.place(where)
        raise InvalidWorkflow(message, path=self._path, line=line, column=column, field=".".join(map(str, where)) or None, hint=hint)
