"""Whether a workflow can run here: everything that is wrong with it at once, each at the key it is about. Pure."""

import re
from collections.abc import Collection, Iterator, Mapping

from bcce.config.document import Where, read_yaml
from bcce.kit.errors import InvalidDocument, known_codes
from bcce.kit.events import EVENT_TYPES
from bcce.kit.findings import Finding
from bcce.workflows.connector import Connector
from bcce.workflows.definition import CONDITION, FOREACH, SCOPES, Integration, Step, StepList, WorkflowDefinition
from bcce.workflows.errors import STEP_FAILED, InvalidExpression, StepTimedOut
from bcce.workflows.expressions import Expressions
from bcce.workflows.form import did_you_mean, nearest, place_of, problem
from bcce.workflows.language import ACTING, EXTRA, RESILIENT, STEP
from bcce.workflows.parameters import wrong_parameters
from bcce.workflows.reader import read_all
from bcce.workflows.references import KnownReferences
from bcce.workflows.step_type import Checked, Needing, StepType, references_of
from bcce.workflows.visibility import Reads, Sight, surely_inside


def check_text(
    text: str,
    path: str | None,
    step_types: Mapping[str, StepType],
    expressions: Expressions,
    connectors: Mapping[str, Connector] | None = None,
    known: KnownReferences | None = None,
) -> tuple[WorkflowDefinition | None, tuple[Finding, ...]]:
    """The definition in `text` (None: it cannot be read at all) and everything that is wrong with it, in file order.

    `connectors` None: whether there are those that it names is not looked at. `known` None: any secret may be there.
    """
    definition, problems = read_all(text, path)
    if definition is None:
        return None, tuple(problems)
    return definition, _in_order([*problems, *check_definition(definition, step_types, expressions, connectors, known)])


def check_definition(
    definition: WorkflowDefinition,
    step_types: Mapping[str, StepType],
    expressions: Expressions,
    connectors: Mapping[str, Connector] | None = None,
    known: KnownReferences | None = None,
) -> tuple[Finding, ...]:
    """All findings, in file order; none means that the workflow can be registered. `connectors` and `known` as for `check_text`."""
    checker = _Checker(definition, step_types, expressions, connectors, known)
    checker.run()
    if not checker.found:
        return ()
    # Where each key stands is looked up only now: a definition without findings never needs it.
    try:
        document = read_yaml(definition.source)
    except InvalidDocument:
        document = None
    findings = []
    for rule, where, message, hint, text, below in checker.found:
        line, column = place_of(document, where) if document is not None else (None, None)
        if below is not None and line is not None:
            line, column = _inside(definition.source, line, column, below)
        findings.append(problem(rule, message, line=line, column=column, hint=hint, text=text))
    return _in_order(findings)


def check_support(definition: WorkflowDefinition, step_types: Mapping[str, StepType]) -> list[Finding]:
    """What a file asks for that nothing installed here does: it is not run as if something did."""
    wanted: list[tuple[str, Where, str, str, str]] = []
    for step in definition.all_steps():
        for each in (step, step.fallback, step.compensate):
            kind = step_types.get(each.type) if each is not None else None
            lack = kind.lack(each.given) if each is not None and isinstance(kind, Needing) else None
            if each is not None and lack is not None:
                wanted.append((lack.rule, (*each.where, lack.key), f"step {each.id!r}: {lack.message}", lack.hint, each.id))
    if not wanted:
        return []
    document = read_yaml(definition.source)
    found = []
    for rule, where, message, hint, text in wanted:
        line, column = place_of(document, where)
        found.append(problem(rule, message, line=line, column=column, hint=hint, text=text))
    return found


def _inside(source: str, line: int, column: int | None, below: int) -> tuple[int, int | None]:
    """The place of a line of the text that begins below the key in `line`; the key's where the text does not stand line by line."""
    rows = source.splitlines()
    if not re.search(r":\s*\|[-+\d]*\s*(#.*)?$", rows[line - 1]) or line + below > len(rows):
        return line, column
    row = rows[line + below - 1]
    return line + below, len(row) - len(row.lstrip()) + 1


def _in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda item: (item.line or 0, item.column or 0)))


class _Checker:
    def __init__(
        self,
        definition: WorkflowDefinition,
        step_types: Mapping[str, StepType],
        expressions: Expressions,
        connectors: Mapping[str, Connector] | None,
        known: KnownReferences | None,
    ) -> None:
        self._definition = definition
        self._types = step_types
        self._expressions = expressions
        self._connectors = connectors
        self._all = definition.by_id
        self._known_codes = known_codes() | {STEP_FAILED}
        self._reads = Reads(definition, expressions, self._note, known)
        self.found: list[tuple[str, Where, str, str, str, int | None]] = []

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
            self._integration(integration, ("integrations", index))

    def _integration(self, integration: Integration, where: Where) -> None:
        for name in integration.events:
            if name not in EVENT_TYPES:
                message, hint = f"there is no event {name!r}", did_you_mean(name, EVENT_TYPES)
                self._note("workflow.unknown-event", (*where, "events"), message, hint, text=name)
        self._reads.check(None, where, dict(integration.parameters), Sight(), takes=integration.parameters.keys())
        if self._connectors is None:
            return
        connector = self._connectors.get(integration.type)
        if connector is None:
            message, hint = f"there is no connector {integration.type!r}", did_you_mean(integration.type, self._connectors)
            self._note("workflow.unknown-connector", (*where, "type"), message, hint, text=integration.type)
            return
        for path, message, hint in wrong_parameters(connector.params, integration.parameters, integration.type, takes_references=True):
            what = f"the integration {integration.type!r}" + (f", parameter {path[0]!r}" if path else "")
            self._note("workflow.wrong-parameter", (*where, *path), f"{what}: {message}", hint, text=integration.type)

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
        self._codes(step, kind)

    def _codes(self, step: Step, kind: StepType) -> None:
        """Codes after which a step is tried again. One without a class may come from a plugin's step."""
        for code in sorted(step.retry.on if step.retry is not None else ()):
            if code == StepTimedOut.code:
                message = f"step {step.id!r} is never tried again after {code}: its time, all tries together, is over then"
                hint = "give a single try its time, as with: {timeout: 30s} does for http and script, or leave the code out"
                self._at(step, "workflow.useless-code", message, hint, "retry", "on")
            elif code not in self._known_codes:
                near = nearest(code, self._known_codes, cutoff=0.85)
                if near is not None or type(kind).__module__.startswith("bcce."):
                    hint = did_you_mean(code, self._known_codes) if near else "the codes stand in docs/reference/errors.md"
                    self._at(step, "workflow.unknown-code", f"step {step.id!r}: there is no error code {code!r}", hint, "retry", "on")

    def _parameters(self, step: Step, kind: StepType) -> None:
        """Checks literal parameters against the step type's schema; those with expressions only by name, until the run knows them."""
        wrong = list(wrong_parameters(kind.params, step.given, step.type, also=EXTRA if "." in step.id else STEP))
        if kind.params.model_config.get("extra") == "allow":
            self._misspelled(step, kind)
        for path, message, hint in wrong:
            name = ".".join(str(part) for part in path)
            what = f", parameter {name!r}" if name else ""
            self._at(step, "workflow.wrong-parameter", f"step {step.id!r}{what}: {message}", hint, *path)
        if not wrong and isinstance(kind, Checked):
            for remark in kind.check(step.given):
                message = f"step {step.id!r}: {remark.message}"
                self._note(remark.rule, (*step.where, *remark.path), message, remark.hint, text=step.id, below=remark.line)

    def _misspelled(self, step: Step, kind: StepType) -> None:
        """Keys that a type which takes any name would silently take for one of its values."""
        for name in sorted(step.beside - kind.params.model_fields.keys()):
            near = nearest(name, ACTING, cutoff=0.88)
            if near is not None:
                hint = f"did you mean {near!r}? A value that is really called so stands in `with`"
                self._at(step, "workflow.misspelled-key", f"step {step.id!r} takes {name!r} for a value", hint, name)

    def _at(self, step: Step, rule: str, message: str, hint: str, *path: str | int) -> None:
        self._note(rule, (*step.where, *path), message, hint, text=step.id)

    def _note(self, rule: str, where: Where, message: str, hint: str, *, text: str = "", below: int | None = None) -> None:
        self.found.append((rule, where, message, hint, text, below))


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
