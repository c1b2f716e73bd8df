"""What the expressions of a workflow may read where they stand: which inputs there are, which steps have surely ended. Pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from bcce.config.document import Where
from bcce.kit.references import Part
from bcce.workflows.definition import CONDITION, FOREACH, Step, StepList, WorkflowDefinition
from bcce.workflows.errors import InvalidExpression
from bcce.workflows.expressions import Expressions, Read
from bcce.workflows.form import did_you_mean
from bcce.workflows.references import KnownReferences, has_references, parts_of, without_references

#: What a step shows to others; a loop also shows the turn it is in, to the steps inside it.
STEP_VIEW = ("output", "status", "error", "used_fallback")
LOOP_VIEW = (*STEP_VIEW, "item", "index")
_NAMES = ("inputs", "steps")
_ALONE = (
    "{{ secrets.name }} stands alone between its braces, in `env` of shell steps, in `headers`, `json` and `body` of http steps, "
    "in `inputs` of workflow steps, or in parameters of integrations"
)
_LOOP_NAMES = (*_NAMES, "item", "index")


class Note(Protocol):
    """Takes what is wrong at a place of the document; `text` is the id or name it is about."""

    def __call__(self, rule: str, where: Where, message: str, hint: str, *, text: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class Sight:
    """`sure` are ids of steps that have surely ended where something begins; `possible` also those that a condition may have left out."""

    sure: frozenset[str] = frozenset()
    possible: frozenset[str] = frozenset()
    in_loop: bool = False

    def after(self, body: StepList, step: Step) -> "Sight":
        """What `step` sees, which stands in `body`, which sees this."""
        before = [body.by_id[name] for name in body.before(step.id) if name != step.id]
        sure = frozenset(inner for other in before for inner in surely_inside(other))
        return replace(self, sure=self.sure | sure, possible=self.possible | {inner.id for other in before for inner in other.walk()})

    def inside(self, step: Step) -> "Sight":
        """What the steps that `step` holds see at least."""
        itself = {step.id} if step.type in (CONDITION, FOREACH) else set()
        return Sight(self.sure | itself, self.possible | itself, self.in_loop or step.type == FOREACH)

    def and_of(self, step: Step) -> "Sight":
        """What comes after `step` sees: its fallback, its compensation."""
        return replace(self, sure=self.sure | {step.id}, possible=self.possible | {step.id})


def surely_inside(step: Step) -> Iterator[str]:
    """The ids that have surely ended when `step` has: not those in a condition's branches or a loop, whose turns are not seen outside."""
    yield step.id
    if step.type not in (CONDITION, FOREACH):
        for branch in step.branches.values():
            for child in branch.steps:
                yield from surely_inside(child)


class Reads:
    """Checks what expressions read."""

    def __init__(self, definition: WorkflowDefinition, expressions: Expressions, note: Note, known: KnownReferences | None = None) -> None:
        self._definition = definition
        self._expressions = expressions
        self._note = note
        self._known = known
        self._secret = {name: name for name, spec in definition.inputs.items() if spec.secret}
        self._looped = {name: loops for name, loops in definition.loops.items() if loops}

    def check(
        self,
        step: Step | None,
        where: Where,
        value: object,
        sight: Sight,
        *,
        is_condition: bool = False,
        takes: Collection[str] = (),
    ) -> None:
        """Notes what is wrong with the expressions inside `value`, which stands at `where`; `step` None: they are the workflow's own.

        `takes` are the keys of `value` below which references to secrets and variables may stand.
        """
        names = _LOOP_NAMES if sight.in_loop else _NAMES
        for path, text in _texts(value):
            place, about = (*where, *path), step.id if step else ""
            if path and path[0] in takes and has_references(text, self._secret):
                self._references(place, about, text)
                text = without_references(text, self._secret)
            try:
                reads = self._expressions.reads(text, is_condition=is_condition, names=names)
            except InvalidExpression as error:
                if error.details.get("name") == "secrets":
                    self._note("workflow.misplaced-secret", place, f"a secret cannot be used here: {text.strip()[:80]}", _ALONE, text=about)
                    continue
                self._note("workflow.bad-expression", place, error.message, error.hint or "", text=about)
                continue
            for read in reads:
                if read.name == "inputs" and read.path and read.path[0] not in self._definition.inputs:
                    hint = did_you_mean(read.path[0], self._definition.inputs, "inputs")
                    self._note("workflow.unknown-reference", place, f"there is no input {read.path[0]!r}", hint, text=about)
                elif read.name == "inputs" and read.path and read.path[0] in self._secret:
                    message = f"the secret input {read.path[0]!r} cannot be used here"
                    self._note("workflow.misplaced-secret", place, message, _ALONE.replace("secrets", "inputs", 1), text=about)
                elif read.name == "steps" and read.path:
                    self._step(step, place, read, sight)

    def _references(self, where: Where, about: str, text: str) -> None:
        """Notes references that configuration does not have; None known: nobody can say here."""
        for part in parts_of(text):
            if self._known is None or not isinstance(part, Part) or part.kind not in ("secret", "variable"):
                continue
            names, setting = (self._known.secrets, "secrets") if part.kind == "secret" else (self._known.variables, "variables")
            if part.value not in names:
                hint = f"an operator adds it to workflows.{setting}; {did_you_mean(part.value, names, 'there') if names else 'it is empty'}"
                message = f"there is no {part.kind} {part.value!r} that workflows may use"
                if part.kind == "variable":
                    hint += "; $${ stands for the characters ${"
                self._note(f"workflow.unknown-{part.kind}", where, message, hint, text=about)

    def _step(self, step: Step | None, where: Where, read: Read, sight: Sight) -> None:
        name, about = read.path[0], step.id if step else ""
        reader = f"step {step.id!r} reads" if step else "the workflow reads"
        other = self._definition.by_id.get(name)
        if other is None:
            hint = did_you_mean(name, self._definition.by_id, "steps")
            self._note("workflow.unknown-reference", where, f"{reader} {name!r}, but there is no such step", hint, text=about)
        elif name not in sight.possible:
            message = f"{reader} {name!r}, which has not run by then"
            self._note("workflow.reads-later-step", where, message, "put it later, or name the other step in `depends_on`", text=about)
        elif name not in sight.sure and self._is_turned_away(step, name):
            message = f"{reader} {name!r}, which is not seen outside its loop"
            hint = f"read {{{{ steps.{self._looped[name][-1]}.output.results }}}}, what the last step of each turn gave"
            self._note("workflow.may-not-have-run", where, message, hint, text=about)
        elif name not in sight.sure and not read.is_asked:
            message = f"{reader} {name!r}, which may not have run: it stands in a branch"
            hint = f"move the step into that branch, or ask {{{{ steps.{name} is defined }}}} first"
            self._note("workflow.may-not-have-run", where, message, hint, text=about)
        elif len(read.path) > 1 and read.path[1] not in (LOOP_VIEW if self._is_inside(step, name) else STEP_VIEW):
            hint = did_you_mean(read.path[1], STEP_VIEW, "a step shows")
            if other.type == FOREACH and read.path[1] in LOOP_VIEW:
                hint = f"only the steps inside see the turn; outside there is {{{{ steps.{name}.output.results }}}}"
            self._note("workflow.unknown-reference", where, f"{reader} {read.path[1]!r} of {name!r}", hint, text=about)

    def _is_inside(self, step: Step | None, loop: str) -> bool:
        """Whether the reader stands in the loop."""
        return step is not None and loop in self._definition.loops.get(step.id, ())

    def _is_turned_away(self, step: Step | None, name: str) -> bool:
        """Whether `name` stands in a loop in which the reader does not."""
        around = self._definition.loops.get(step.id, ()) if step else ()
        loops = self._looped.get(name, ())
        return around[: len(loops)] != loops


def _texts(value: object, path: Where = ()) -> Iterator[tuple[Where, str]]:
    """Every text inside `value`, and the path to it."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
