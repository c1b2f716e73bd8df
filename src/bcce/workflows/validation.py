"""Whether a workflow can run here: everything that is wrong with it at once, each at the key it is about. Pure."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from bcce.config.document import Where, read_yaml
from bcce.kit.errors import InvalidDocument
from bcce.kit.events import EVENT_TYPES
from bcce.kit.findings import Finding
from bcce.workflows.definition import CONDITION, FOREACH, SCOPES, Step, StepList, WorkflowDefinition
from bcce.workflows.errors import InvalidExpression
from bcce.workflows.expressions import Expressions
from bcce.workflows.form import did_you_mean, place_of, problem
from bcce.workflows.language import RESILIENT
from bcce.workflows.reader import read_all
from bcce.workflows.references import KnownReferences
from bcce.workflows.step_type import Checked, StepType, references_of
from bcce.workflows.visibility import Reads, Sight, surely_inside


def check_text(
    text: str,
    path: str | None,
    step_types: Mapping[str, StepType],
    expressions: Expressions,
    known: KnownReferences | None = None,
) -> tuple[WorkflowDefinition | None, tuple[Finding, ...]]:
    """The definition in `text` (None: it cannot be read at all) and everything that is wrong with it, in file order."""
    definition, problems = read_all(text, path)
    if definition is None:
        return None, tuple(problems)
    return definition, _in_order([*problems, *check_definition(definition, step_types, expressions, known)])


def check_definition(
    definition: WorkflowDefinition, step_types: Mapping[str, StepType], expressions: Expressions, known: KnownReferences | None = None
) -> tuple[Finding, ...]:
    """All findings, in file order; none means that the workflow can be registered. `known` None: any secret may be there."""
    checker = _Checker(definition, step_types, expressions, known)
    checker.run()
    if not checker.found:
        return ()
    # Where each key stands is looked up only now: a definition without findings never needs it.
    try:
        document = read_yaml(definition.source)
    except InvalidDocument:
        document = None
    findings = []
    for rule, where, message, hint, text in checker.found:
        line, column = place_of(document, where) if document is not None else (None, None)
        findings.append(problem(rule, message, line=line, column=column, hint=hint, text=text))
    return _in_order(findings)


def check_support(definition: WorkflowDefinition) -> list[Finding]:
    """What the language has and this release's engine does not act on: such a file is not run as if it did."""
    asked: dict[Where, bool] = {
        ("concurrency",): definition.concurrency is not None,
        ("integrations",): bool(definition.integrations),
    }
    wanted = [where for where, is_asked in asked.items() if is_asked]
    if not wanted:
        return []
    document = read_yaml(definition.source)
    found = []
    for where in wanted:
        line, column = place_of(document, where)
        message = f"`{where[-1]}` is not acted on by this release"
        found.append(problem("workflow.not-supported", message, line=line, column=column, hint="remove it", text=str(where[-1])))
    return found


def _in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda item: (item.line or 0, item.column or 0)))


class _Checker:
    def __init__(
        self,
        definition: WorkflowDefinition,
        step_types: Mapping[str, StepType],
        expressions: Expressions,
        known: KnownReferences | None,
    ) -> None:
        self._definition = definition
        self._types = step_types
        self._expressions = expressions
        self._all = definition.by_id
        self._reads = Reads(definition, expressions, self._note, known)
        self.found: list[tuple[str, Where, str, str, str]] = []

    def run(self) -> None:
        self._list(self._definition.body, Sight())
        every = Sight(frozenset(inner for step in self._definition.steps for inner in surely_inside(step)), frozenset(self._all))
        self._reads.check(None, ("outputs",), dict(self._definition.outputs), every)
        for name, spec in self._definition.inputs.items():
            if spec.secret and (spec.type != "string" or spec.default is not None):
                message = f"the secret input {name!r} must be a string without a default"
                hint = "who starts the run gives it; what stands in a file is no secret"
                self._note("workflow.wrong-value", ("inputs", name, "secret"), message, hint, text=name)
        if self._definition.concurrency is not None:
            self._reads.check(None, ("concurrency", "group"), self._definition.concurrency.group, Sight())
        for index, integration in enumerate(self._definition.integrations):
            for name in integration.events:
                if name not in EVENT_TYPES:
                    where = ("integrations", index, "events")
                    self._note("workflow.unknown-event", where, f"there is no event {name!r}", did_you_mean(name, EVENT_TYPES), text=name)

    def _list(self, body: StepList, sight: Sight) -> None:
        for circle in _circles(body):
            shown = " → ".join([*circle, circle[0]])
            message, hint = f"these steps wait for each other: {shown}", "remove one of the `depends_on`"
            self._at(body.by_id[circle[0]], "workflow.cycle", message, hint, "depends_on")
        for step in body.steps:
            for index, name in enumerate(step.depends_on or ()):
                if name not in body.by_id and name not in sight.possible:
                    self._unknown_dependency(step, name, index)
            self._step(step, sight.after(body, step))

    def _step(self, step: Step, sight: Sight) -> None:
        self._type(step)
        for key, value in (("when", step.when), ("condition", step.condition)):
            if value is not None:
                self._reads.check(step, (*step.where, key), value, sight, is_condition=True)
        self._reads.check(step, (*step.where, "items"), step.items, sight)
        self._reads.check(step, step.where, dict(step.given), sight, takes=self._takes(step))
        for extra in (step.fallback, step.compensate):
            if extra is not None:
                self._type(extra)
                self._reads.check(extra, extra.where, dict(extra.given), sight.and_of(step), takes=self._takes(extra))
        if step.when is not None and self._constant(step.when) is False:
            message = f"step {step.id!r} can never run: its `when` is always false"
            self._at(step, "workflow.unreachable-step", message, "let it read an input or a step, or remove the step", "when")
        if step.is_scope:
            self._scope(step)
        for branch in step.branches.values():
            self._list(branch, sight.inside(step))

    def _takes(self, step: Step) -> Collection[str]:
        return references_of(self._types.get(step.type))

    def _scope(self, step: Step) -> None:
        """What only steps that do something can have, and lists without steps."""
        if not any(branch.steps for branch in step.branches.values()):
            if step.type == CONDITION:
                message, hint = f"condition {step.id!r} has neither `then` nor `else`", "add the steps it decides on"
                self._at(step, "workflow.empty-condition", message, hint)
            else:
                self._at(step, "workflow.empty-scope", f"{step.type} {step.id!r} has no `steps`", "add the steps that belong to it")
        if step.retry is not None:
            message = f"step {step.id!r} of type {step.type} cannot be retried as a whole"
            self._at(step, "workflow.misplaced-key", message, "give `retry` to the steps inside, or call a workflow", "retry")
        if step.type == CONDITION and step.timeout_s is not None:
            message = f"condition {step.id!r} cannot have a `timeout`"
            self._at(step, "workflow.misplaced-key", message, "give it to the steps inside, or put them into a group", "timeout")
        if step.type == CONDITION:
            truth = self._constant(step.condition or "")
            never = step.branches["else" if truth else "then"].steps if truth is not None else ()
            self._never(never, f"the condition {step.id!r} is always {str(truth).lower()}")
        if step.type == FOREACH and step.items == []:
            self._never(step.branches["steps"].steps, f"the `items` of {step.id!r} are always empty")

    def _never(self, steps: tuple[Step, ...], why: str) -> None:
        if steps:
            hint = "let it read an input or a step, or remove what never runs"
            self._at(steps[0], "workflow.unreachable-step", f"step {steps[0].id!r} can never run: {why}", hint)

    def _constant(self, condition: str) -> bool | None:
        """What a condition is whatever is read; None when that depends, or when it is no condition at all."""
        try:
            return self._expressions.constant_truth(condition)
        except InvalidExpression:
            return None

    def _unknown_dependency(self, step: Step, name: str, index: int) -> None:
        if name in self._all:
            message = f"step {step.id!r} depends on {name!r}, which stands elsewhere"
            hint = "a step can depend on steps of its own list and on those before the list"
        else:
            message = f"step {step.id!r} depends on {name!r}, but there is no such step"
            hint = did_you_mean(name, self._all, "steps")
        self._at(step, "workflow.unknown-dependency", message, hint, "depends_on", index)

    def _type(self, step: Step) -> None:
        if step.is_scope or not step.type:
            return
        kind = self._types.get(step.type)
        if kind is None:
            hint = did_you_mean(step.type, [*self._types, *SCOPES, RESILIENT])
            self._at(step, "workflow.unknown-step-type", f"there is no step type {step.type!r}", hint, "type")
            return
        self._parameters(step, kind)

    def _parameters(self, step: Step, kind: StepType) -> None:
        """Checks literal parameters against the step type's schema; those with expressions only by name, until the run knows them."""
        try:
            kind.params.model_validate(dict(step.given))
        except ValidationError as error:
            wrong: dict[Where, list[str]] = {}
            for found in error.errors(include_url=False):
                is_about_name = found["type"] in ("missing", "extra_forbidden")
                if is_about_name or not _has_expression(found.get("input")):
                    # A union says of each of its kinds why it does not fit; they are one problem.
                    where = found["loc"] if is_about_name else _standing(step.given, found["loc"])
                    wrong.setdefault(where, []).append("there is no such parameter" if found["type"] == "extra_forbidden" else found["msg"])
            for where, messages in wrong.items():
                self._parameter(step, kind, where, messages)
            if wrong:
                return
        if isinstance(kind, Checked):
            for remark in kind.check(step.given):
                self._at(step, remark.rule, f"step {step.id!r}: {remark.message}", remark.hint, *remark.path)

    def _parameter(self, step: Step, kind: StepType, path: Where, messages: list[str]) -> None:
        known, name = kind.params.model_fields, ".".join(str(part) for part in path)
        hint = f"{step.type} takes: {', '.join(known) or 'no parameters'}"
        if len(path) == 1 and name not in known:
            hint = did_you_mean(name, known, f"{step.type} takes")
        message = " or ".join(dict.fromkeys(f"{text[:1].lower()}{text[1:]}" for text in messages))
        what = f", parameter {name!r}" if name else ""
        self._at(step, "workflow.wrong-parameter", f"step {step.id!r}{what}: {message}", hint, *path)

    def _at(self, step: Step, rule: str, message: str, hint: str, *path: str | int) -> None:
        self._note(rule, (*step.where, *path), message, hint, text=step.id)

    def _note(self, rule: str, where: Where, message: str, hint: str, *, text: str = "") -> None:
        self.found.append((rule, where, message, hint, text))


def _standing(value: Any, path: Where) -> Where:
    """As much of `path` as there is in `value`: the rest names the kinds of a union."""
    for at, part in enumerate(path):
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return path[:at]
    return path


def _circles(body: StepList) -> Iterator[list[str]]:
    """Ids that wait for each other, in the order of waiting; each id in one circle at most."""
    stated = {step.id: [name for name in step.depends_on or () if name in body.by_id] for step in body.steps}
    done: set[str] = set()
    for start in stated:
        path = [] if start in done else [start]
        while path:
            following = next((name for name in stated[path[-1]] if name not in done), None)
            if following is None:
                done.add(path.pop())
            elif following in path:
                circle = path[path.index(following) :]
                yield circle
                done.update(circle)
                del path[path.index(following) :]
            else:
                path.append(following)


def _has_expression(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_has_expression(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_has_expression(item) for item in value)
    return isinstance(value, str) and "{{" in value
