"""Whether a workflow can run here: everything that is wrong with it at once, each with its line. Pure."""

from collections.abc import Mapping
from difflib import get_close_matches

from pydantic import ValidationError

from bcce.kit.findings import Finding, Severity, Verdict
from bcce.workflows.definition import Step, WorkflowDefinition
from bcce.workflows.errors import InvalidExpression
from bcce.workflows.expressions import Expressions
from bcce.workflows.step_type import StepType

CONDITION = "condition"


def check_definition(definition: WorkflowDefinition, step_types: Mapping[str, StepType], expressions: Expressions) -> tuple[Finding, ...]:
    """All findings, in file order; none means that the workflow can be registered."""
    return tuple(_Checker(definition, step_types, expressions).run())


class _Checker:
    def __init__(self, definition: WorkflowDefinition, step_types: Mapping[str, StepType], expressions: Expressions) -> None:
        self._definition = definition
        self._types = step_types
        self._expressions = expressions
        self._all = {step.id: step for step in definition.all_steps()}
        self._found: list[Finding] = []

    def run(self) -> list[Finding]:
        self._scope(self._definition.steps, frozenset())
        self._outputs()
        return self._found

    def _scope(self, steps: tuple[Step, ...], before: frozenset[str]) -> None:
        """Checks one list of steps; `before` are the ids of steps that have surely ended when the list begins."""
        here = {step.id: step for step in steps}
        done = set(before)
        for step in self._ordered(steps, here):
            self._type(step)
            for name in step.depends_on:
                if name not in here and name not in before:
                    self._unknown_dependency(step, name)
            self._reads(step, frozenset(done))
            if step.type == CONDITION:
                for branch in (step.then, step.otherwise):
                    self._scope(branch, frozenset(done | {step.id}))
            # What a branch did is only sure inside the branch, so its ids do not join `done`; a condition outside may still guard such a
            # read.
            done |= {inner.id for inner in step.walk()}

    def _ordered(self, steps: tuple[Step, ...], here: Mapping[str, Step]) -> list[Step]:
        ordered: list[Step] = []
        waiting = list(steps)
        while waiting:
            placed = {step.id for step in ordered}
            ready = [step for step in waiting if all(name in placed or name not in here for name in step.depends_on)]
            if not ready:
                circle = " → ".join([*(step.id for step in waiting), waiting[0].id])
                self._add("workflow.cycle", waiting[0], f"these steps wait for each other: {circle}", "remove one of the `depends_on`")
                return [*ordered, *waiting]
            ordered.append(ready[0])
            waiting.remove(ready[0])
        return ordered

    def _unknown_dependency(self, step: Step, name: str) -> None:
        near = get_close_matches(name, self._all, n=1)
        hint = "a step can depend on steps of its own list and on those before the list" if name in self._all else "there is no such step"
        self._add(
            "workflow.unknown-dependency", step, f"step {step.id!r} depends on {name!r}", f"did you mean {near[0]!r}?" if near else hint
        )

    def _type(self, step: Step) -> None:
        if step.type == CONDITION:
            if not step.then and not step.otherwise:
                self._add(
                    "workflow.empty-condition", step, f"condition {step.id!r} has neither `then` nor `else`", "add the steps it decides on"
                )
            return
        kind = self._types.get(step.type)
        if kind is None:
            near = get_close_matches(step.type, [*self._types, CONDITION], n=1)
            known = ", ".join(sorted([*self._types, CONDITION]))
            self._add(
                "workflow.unknown-step-type",
                step,
                f"there is no step type {step.type!r}",
                f"did you mean {near[0]!r}?" if near else f"known: {known}",
            )
            return
        if step.then or step.otherwise:
            self._add("workflow.misplaced-branch", step, f"step {step.id!r} has branches but is no condition", "use type: condition")
        self._parameters(step, kind)

    def _parameters(self, step: Step, kind: StepType) -> None:
        """Checks literal parameters against the step type's schema; those with expressions are only checked by name until the run knows
        them.
        """
        try:
            kind.params.model_validate(dict(step.parameters))
        except ValidationError as error:
            for problem in error.errors():
                name = ".".join(str(part) for part in problem["loc"])
                value = problem.get("input")
                if problem["type"] not in ("missing", "extra_forbidden") and _has_expression(value):
                    continue
                near = get_close_matches(name, kind.params.model_fields, n=1)
                hint = (
                    f"did you mean {near[0]!r}?"
                    if near and problem["type"] == "extra_forbidden"
                    else f"{step.type} takes: {', '.join(kind.params.model_fields)}"
                )
                self._add("workflow.wrong-parameter", step, f"step {step.id!r}, parameter {name!r}: {problem['msg'].lower()}", hint)

    def _reads(self, step: Step, done: frozenset[str]) -> None:
        for value, is_condition in ((dict(step.parameters), False), (step.when, True), (step.condition, True)):
            if value is None:
                continue
            try:
                used = self._expressions.steps_used(value, is_condition=is_condition)
            except InvalidExpression as error:
                self._add("workflow.bad-expression", step, error.message, error.hint)
                continue
            for name in sorted(used - done):
                self._unreadable(step, name)

    def _unreadable(self, step: Step, name: str) -> None:
        if name in self._all:
            self._add(
                "workflow.reads-later-step",
                step,
                f"step {step.id!r} reads {name!r}, which has not run by then",
                "put it later, or name the other step in `depends_on`",
            )
            return
        near = get_close_matches(name, self._all, n=1)
        self._add(
            "workflow.unknown-reference",
            step,
            f"step {step.id!r} reads {name!r}, but there is no such step",
            f"did you mean {near[0]!r}?" if near else "check the id",
        )

    def _outputs(self) -> None:
        try:
            used = self._expressions.steps_used(dict(self._definition.outputs))
        except InvalidExpression as error:
            self._add("workflow.bad-expression", None, error.message, error.hint)
            return
        for name in sorted(used - self._all.keys()):
            self._add("workflow.unknown-reference", None, f"the outputs read {name!r}, but there is no such step", "check the id")

    def _add(self, rule: str, step: Step | None, message: str, hint: str | None) -> None:
        self._found.append(
            Finding(
                rule_id=rule,
                severity=Severity.HIGH,
                verdict=Verdict.BLOCK,
                message=message,
                hint=hint,
                line=step.line if step else None,
                column=step.column if step else None,
                text=step.id if step else "",
            )
        )


def _has_expression(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_has_expression(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_has_expression(item) for item in value)
    return isinstance(value, str) and "{{" in value
