"""Reads a workflow file: everything that is wrong with its form at once, each with its line and column."""

import re
from collections.abc import Iterable, Mapping
from typing import cast

from bcce.config.document import Document, Where, read_yaml, sentence
from bcce.kit.errors import InvalidDocument
from bcce.kit.findings import Finding
from bcce.workflows import language
from bcce.workflows.definition import (
    CONDITION,
    FOREACH,
    INPUT_TYPES,
    PARALLEL,
    SCOPES,
    InputSpec,
    Integration,
    OnFailure,
    Step,
    StepList,
    Strategy,
    WorkflowDefinition,
)
from bcce.workflows.form import Form, did_you_mean, nearest, problem, refusal
from bcce.workflows.language import ID_PATTERN, RESILIENT, STRATEGIES, SUPPORTED_VERSIONS
from bcce.workflows.model import DEFINITION_FORMAT

MAX_STEPS = 500
MAX_DEPTH = 8
#: From this format on steps of one list may run at the same time.
_FIRST_GRAPH_FORMAT = 2
_ID = re.compile(ID_PATTERN)


def read_definition(text: str, path: str | None = None, *, number: int = DEFINITION_FORMAT) -> WorkflowDefinition:
    """The definition that a workflow file's text holds. `number` is the format whose rules of order it follows.

    Raises:
        InvalidWorkflow: with the place of the first thing that is wrong; `details["findings"]` has all of them.
    """
    definition, findings = read_all(text, path, number=number)
    if definition is None or findings:
        raise refusal(findings, path)
    return definition


def read_all(text: str, path: str | None = None, *, number: int = DEFINITION_FORMAT) -> tuple[WorkflowDefinition | None, list[Finding]]:
    """The definition as far as it can be read (None: not at all), and everything that is wrong with its form."""
    try:
        document = read_yaml(text, path)
    except InvalidDocument as error:
        return None, [problem("workflow.syntax", sentence(error), line=error.line, column=error.column, hint=error.hint)]
    reader = _Reader(document, path, number)
    return reader.definition(text), reader.found


class _Reader(Form):
    """Walks a parsed document; what is wrong is noted, and reading goes on with something harmless in its place."""

    def __init__(self, document: Document, path: str | None, number: int) -> None:
        super().__init__(document)
        self._path = path
        self._is_strict = number < _FIRST_GRAPH_FORMAT
        self._lines: dict[str, int] = {}

    def definition(self, source: str) -> WorkflowDefinition | None:
        if not isinstance(self.document.value, Mapping):
            self.note((), "workflow.wrong-value", "a workflow is a mapping with `name` and `steps`", "begin with name: my-workflow")
            return None
        root = cast(Mapping[str, object], self.document.value)
        self.known(root, language.WORKFLOW, (), "a workflow")
        version = str(root.get("version", "1.0"))
        if version not in SUPPORTED_VERSIONS:
            self.note(("version",), "workflow.wrong-value", f"version {version!r} is not supported", f"supported: {SUPPORTED_VERSIONS[0]}")
        name = root.get("name")
        if not isinstance(name, str) or not _ID.fullmatch(name):
            rule = "workflow.missing-key" if name is None else "workflow.wrong-value"
            message = "a workflow needs a `name` of letters, digits, - and _ that begins with a letter"
            self.note(("name",), rule, message, "for example name: restart-service")
        body = self._steps(root.get("steps"), ("steps",), depth=1)
        if not body.steps and not root.get("steps") and not any(item.text == "steps" for item in self.found):
            self.note(("steps",), "workflow.missing-key", "a workflow needs at least one step", "begin with steps: and - id: first")
        return WorkflowDefinition(
            name=name if isinstance(name, str) else "",
            version="1.0",
            description=str(root.get("description", "")).strip(),
            inputs=self._inputs(root.get("inputs")),
            body=body,
            outputs=self.mapping(root.get("outputs"), ("outputs",)),
            source=source,
            path=self._path,
            concurrency=self.concurrency(root.get("concurrency"), ("concurrency",)),
            integrations=self._integrations(root.get("integrations")),
        )

    def _inputs(self, value: object) -> dict[str, InputSpec]:
        inputs: dict[str, InputSpec] = {}
        for name, raw in self.mapping(value, ("inputs",)).items():
            where = ("inputs", name)
            spec = {"type": raw} if isinstance(raw, str) else self.mapping(raw, where)
            self.known(spec, language.INPUT, where, "an input")
            kind = str(spec.get("type", "string"))
            if kind not in INPUT_TYPES:
                self.note((*where, "type"), "workflow.wrong-value", f"unknown input type {kind!r}", did_you_mean(kind, INPUT_TYPES))
                kind = "string"
            default = spec.get("default")
            if default is not None and (not isinstance(default, INPUT_TYPES[kind]) or (isinstance(default, bool) and kind != "boolean")):
                hint = f"give a value of the type {kind}"
                self.note((*where, "default"), "workflow.wrong-value", f"the default of input {name!r} is no {kind}", hint)
            inputs[name] = InputSpec(
                type=kind,
                required=self.flag(spec.get("required", "default" not in spec), (*where, "required")),
                default=default,
                description=str(spec.get("description", "")),
                secret=self.flag(spec.get("secret", False), (*where, "secret")),
            )
        return inputs

    def _integrations(self, value: object) -> tuple[Integration, ...]:
        found = []
        for index, item in enumerate(self.list(value, ("integrations",))):
            where = ("integrations", index)
            raw = self.mapping(item, where)
            line, column = self.document.place(where)
            if not isinstance(raw.get("type"), str):
                self.note(where, "workflow.missing-key", "an integration needs a `type`", "for example type: notification:slack")
            rest = {key: item for key, item in raw.items() if key not in ("type", "events")}
            events = self.names(raw.get("events"), (*where, "events")) or ()
            if not events and isinstance(raw.get("type"), str):
                message, hint = "an integration hears of nothing without `events`", "for example events: [workflow.failed]"
                self.note(where, "workflow.missing-key", message, hint)
            found.append(Integration(type=str(raw.get("type")), events=events, parameters=rest, line=line, column=column))
        return tuple(found)

    def _steps(self, value: object, where: Where, *, depth: int, is_parallel: bool = False) -> StepList:
        if depth > MAX_DEPTH:
            message = f"steps are nested deeper than {MAX_DEPTH} levels"
            self.note(where, "workflow.too-deep", message, "move the inner steps to a workflow of their own")
            return StepList(())
        # One step alone may stand there without a list around it.
        items = (
            [((*where,), value)]
            if isinstance(value, Mapping)
            else [((*where, at), item) for at, item in enumerate(self.list(value, where))]
        )
        steps = tuple(step for place, item in items if (step := self._step(item, place, depth)) is not None)
        return StepList(steps, is_parallel=is_parallel, is_strict=self._is_strict)

    def _step(self, value: object, where: Where, depth: int) -> Step | None:
        if not isinstance(value, Mapping):
            self.note(where, "workflow.wrong-value", "a step is a mapping", "begin each step with `- id: …`")
            return None
        raw = dict(cast(Mapping[str, object], value))
        name = raw.get("id", raw.get("name"))
        if not isinstance(name, str) or not _ID.fullmatch(name):
            message = "a step needs an `id` of letters, digits, - and _ that begins with a letter"
            key = next((key for key in ("id", "name") if raw.get(key) is not None), None)
            rule, place = ("workflow.missing-key", where) if key is None else ("workflow.wrong-value", (*where, key))
            self.note(place, rule, message, "for example - id: check_disk")
            return None
        line, column = self.document.place(where)
        if name in self._lines:
            message = f"the step id {name!r} is used twice (first in line {self._lines[name]})"
            self.note(where, "workflow.duplicate-id", message, "give each step its own id")
            return None
        self._lines[name] = line
        if len(self._lines) == MAX_STEPS + 1:
            self.note(where, "workflow.too-many-steps", f"a workflow has at most {MAX_STEPS} steps", "move some to a workflow of their own")
        kind = raw.get("type")
        if not isinstance(kind, str):
            typo = next((key for key in raw if key not in language.STEP and nearest(key, ("type",), cutoff=0.75)), None)
            hint = "for example type: shell" if typo is None else f"did you mean 'type' by {typo!r}?"
            self.note(where if typo is None else (*where, typo), "workflow.missing-key", f"step {name!r} has no `type`", hint)
            kind = ""  # it stays, so that steps that name it are not wrong as well
        if kind == RESILIENT:
            raw, kind = self._unwrapped(raw, where, name)
        return self._built(raw, where, depth, name=name, kind=kind, line=line, column=column)

    def _built(self, raw: dict[str, object], where: Where, depth: int, *, name: str, kind: str, line: int, column: int) -> Step:
        scope = language.SCOPE_KEYS.get(kind, {})
        if kind in SCOPES:
            self.known(raw, (*language.STEP, *scope), where, f"a step of type {kind}")
        elif "then" in raw or "else" in raw:
            key = "then" if "then" in raw else "else"
            message = f"step {name!r} has branches but is no condition"
            self.note((*where, key), "workflow.misplaced-branch", message, "use type: condition")
        if kind == CONDITION and not isinstance(raw.get("condition"), str | bool):
            hint = 'for example condition: "{{ steps.check.output.ok }}"'
            self.note(where, "workflow.missing-key", f"condition {name!r} has no `condition`", hint)
        if kind == FOREACH and not isinstance(items := raw.get("items"), str | list):
            hint = 'for example items: "{{ inputs.hosts }}"'
            if items is None:
                self.note(where, "workflow.missing-key", f"foreach {name!r} has no `items`", hint)
            else:
                message = f"the `items` of foreach {name!r} are a list, or an expression that gives one"
                self.note((*where, "items"), "workflow.wrong-value", message, hint)
        branches = {
            key: self._steps(raw.get(key), (*where, key), depth=depth + 1, is_parallel=kind == PARALLEL) for key in SCOPES.get(kind, ())
        }
        spelling = next((key for key in STRATEGIES if key in raw and key in scope), STRATEGIES[0])
        limit = raw.get("concurrency") if "concurrency" in scope else None
        return Step(
            id=name,
            type=kind,
            line=line,
            column=column,
            description=str(raw.get("description", "")).strip(),
            depends_on=self.names(raw.get("depends_on"), (*where, "depends_on")),
            parallel=self.flag(raw.get("parallel", False), (*where, "parallel")),
            when=None if raw.get("when") is None else str(raw["when"]),
            parameters={} if scope else self._parameters(raw, where, (*language.STEP, "then", "else")),
            beside=frozenset(raw) - language.STEP.keys(),
            context=self.mapping(raw.get("context"), (*where, "context")),
            retry=self.retry(raw.get("retry"), (*where, "retry")),
            timeout_s=self.duration(raw.get("timeout"), (*where, "timeout")),
            on_failure=self.choice(raw.get("on_failure"), OnFailure.FAIL, (*where, "on_failure")),
            fallback=self._extra(raw.get("fallback"), (*where, "fallback"), f"{name}.fallback"),
            compensate=self._extra(raw.get("compensate"), (*where, "compensate"), f"{name}.compensate"),
            policy=self.policy(raw.get("policy"), (*where, "policy")),
            condition=str(raw["condition"]) if kind == CONDITION and raw.get("condition") is not None else None,
            items=raw.get("items") if kind == FOREACH else None,
            limit=None if limit is None else self.number(limit, (*where, "concurrency"), 1, 10_000),
            strategy=self.choice(raw.get(spelling) if scope else None, Strategy.ABORT, (*where, spelling)),
            branches=branches,
            where=where,
        )

    def _unwrapped(self, raw: dict[str, object], where: Where, name: str) -> tuple[dict[str, object], str]:
        """The step inside a `resilient` one, with the outer's id, order, retries and fallback."""
        inner = self.mapping(raw.get("step"), (*where, "step"))
        kind = inner.get("type")
        if not isinstance(kind, str) or kind == RESILIENT:
            hint = "for example step: {type: http, url: …}"
            self.note((*where, "step"), "workflow.missing-key", f"resilient {name!r} needs a `step` with a `type`", hint)
            kind = ""
        self.known(raw, (*language.STEP, *language.RESILIENT_KEYS), where, "a step of type resilient")
        outer = {key: item for key, item in raw.items() if key not in ("step", "type")}
        return {**inner, **outer, "type": kind}, kind

    def _extra(self, value: object, where: Where, name: str) -> Step | None:
        """A fallback or a compensation: one step that holds no others."""
        if value is None:
            return None
        raw = self.mapping(value, where)
        line, column = self.document.place(where)
        kind = raw.get("type")
        if not isinstance(kind, str) or kind in SCOPES or kind == RESILIENT:
            message = f"{where[-1]!r} is one step with a `type`, and holds no others"
            self.note(
                where, "workflow.missing-key", message, "put several steps into a workflow of their own, and call it with type: workflow"
            )
            return None
        for key in language.STEP:
            if key in raw and key not in language.EXTRA and key != "name":
                hint = f"it may have {', '.join(language.EXTRA)}; a parameter of that name stands in `with`"
                self.note((*where, key), "workflow.misplaced-key", f"`{where[-1]}` has no key {key!r}", hint)
                del raw[key]
        return Step(
            id=name,
            type=kind,
            line=line,
            column=column,
            description=str(raw.get("description", "")).strip(),
            parameters=self._parameters(raw, where, language.EXTRA),
            beside=frozenset(raw) - language.EXTRA.keys(),
            context=self.mapping(raw.get("context"), (*where, "context")),
            retry=self.retry(raw.get("retry"), (*where, "retry")),
            timeout_s=self.duration(raw.get("timeout"), (*where, "timeout")),
            policy=self.policy(raw.get("policy"), (*where, "policy")),
            where=where,
        )

    def _parameters(self, raw: Mapping[str, object], where: Where, keys: Iterable[str]) -> dict[str, object]:
        known = set(keys)
        found = {key: item for key, item in raw.items() if key not in known}
        for key in ("with", "parameters"):
            given = self.mapping(raw.get(key), (*where, key))
            for twice in sorted(given.keys() & found.keys()):
                message = f"{twice!r} stands both beside and inside `{key}`"
                self.note((*where, twice), "workflow.wrong-value", message, "keep one of them")
            found |= given
        return found
