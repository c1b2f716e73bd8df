"""A workflow file as data: what its steps are, which follow which, and which stand inside others. Pure.

`reader` makes these from a text. Reading accepts any step type and any parameters; whether they make sense is `validation`'s question,
because it needs the registered step types.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cached_property

from bcce.config.document import Where
from bcce.kit.text import digest
from bcce.resilience.retry import RetryPolicy

INPUT_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}

CONDITION, PARALLEL, FOREACH, GROUP, COMPOSITE = "condition", "parallel", "foreach", "group", "composite"
#: Step types that hold steps, and the keys under which they hold them. The engine walks these itself; all others pass its door.
SCOPES: dict[str, tuple[str, ...]] = {
    CONDITION: ("then", "else"),
    PARALLEL: ("steps",),
    FOREACH: ("steps",),
    GROUP: ("steps",),
    COMPOSITE: ("steps",),
}


class Strategy(StrEnum):
    """What a step that holds others does when one of them fails.

    abort: it stops those that run and fails. wait-all: it lets the others end, then fails. continue: it goes on, and lists who failed.
    """

    ABORT = "abort"
    WAIT_ALL = "wait-all"
    CONTINUE = "continue"


class OnFailure(StrEnum):
    """What a step's failure, after all its tries, means for the list it stands in.

    fail: the list has failed. continue: the list goes on. compensate: as fail, and what completed before is undone, the latest first.
    """

    FAIL = "fail"
    CONTINUE = "continue"
    COMPENSATE = "compensate"


@dataclass(frozen=True, kw_only=True, slots=True)
class InputSpec:
    """One input: its JSON type, whether a run must bring it, and what it is when a run does not. A secret one is kept apart."""

    type: str = "string"
    required: bool = True
    default: object = None
    description: str = ""
    secret: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """Limits of an agent's step. `allowed_paths` are patterns; `cmd_allowlist` empty means no command at all."""

    timeout_seconds: int = 30
    max_files: int = 10
    max_edits: int = 5
    allowed_paths: tuple[str, ...] = ("**/*",)
    cmd_allowlist: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Concurrency:
    """Runs of one group: at most `limit` at a time; with `cancel_in_progress` the newest cancels those before it."""

    group: str
    limit: int = 1
    cancel_in_progress: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Integration:
    """A connector that hears of some events of each run. `parameters` are the connector's own."""

    type: str
    events: tuple[str, ...]
    parameters: Mapping[str, object]
    line: int
    column: int


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a file. `line` and `column` count from 1; `where` is its path in the document. A type that is not given is empty.

    `depends_on` None: it follows the step above it. `timeout_s` None: no limit. `branches` are the lists of steps that a scope
    holds, by the key they stand under. `condition` is a condition's, `items` and `limit` a foreach's (`limit` None: as many at a time
    as the engine allows). `beside` are the parameters that stand beside `type` and not in `with`.
    """

    id: str
    type: str
    line: int
    column: int
    description: str = ""
    depends_on: tuple[str, ...] | None = None
    parallel: bool = False
    when: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    context: Mapping[str, object] = field(default_factory=dict)
    retry: RetryPolicy | None = None
    timeout_s: float | None = None
    on_failure: OnFailure = OnFailure.FAIL
    fallback: "Step | None" = None
    compensate: "Step | None" = None
    policy: Policy | None = None
    condition: str | None = None
    items: object = None
    limit: int | None = None
    strategy: Strategy = Strategy.ABORT
    branches: Mapping[str, "StepList"] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()
    where: Where = ()

    @cached_property
    def given(self) -> Mapping[str, object]:
        """All parameters as the file gives them, with `context` and `policy` where it has them."""
        policy = {"policy": {item.name: getattr(self.policy, item.name) for item in fields(self.policy)}} if self.policy else {}
        return {**self.parameters, **({"context": dict(self.context)} if self.context else {}), **policy}

    @property
    def is_scope(self) -> bool:
        """It holds steps and does nothing itself."""
        return self.type in SCOPES

    def walk(self) -> Iterator["Step"]:
        """The step and all steps below it, in file order; without fallbacks and compensations."""
        yield self
        for branch in self.branches.values():
            for child in branch.steps:
                yield from child.walk()


class StepList:
    """Steps that stand in one list, and what each of them waits for.

    A step with `depends_on` waits for exactly those. One without waits for the nearest step above it that does not itself wait for this
    one; with `parallel: true` it waits for whatever that one waits for. In a `parallel` block a step without `depends_on` waits for
    nothing.

    Args:
        is_parallel: the list of a `parallel` block.
        is_strict: every step also waits for the one above it, as in format 1.
    """

    def __init__(self, steps: tuple[Step, ...], *, is_parallel: bool = False, is_strict: bool = False) -> None:
        self.steps = steps
        self.is_parallel = is_parallel
        self.is_strict = is_strict

    @cached_property
    def by_id(self) -> Mapping[str, Step]:
        """The list's own steps."""
        return {step.id: step for step in self.steps}

    @cached_property
    def needs(self) -> Mapping[str, tuple[str, ...]]:
        """For each step the ids of the steps of this list that must have ended before it begins."""
        stated = {step.id: tuple(dict.fromkeys(name for name in step.depends_on or () if name in self.by_id)) for step in self.steps}
        if self.is_strict:
            order = [step.id for step in self.in_order(stated)]
            return {name: (order[at - 1],) if at else () for at, name in enumerate(order)}
        needs: dict[str, tuple[str, ...]] = {}
        for at, step in enumerate(self.steps):
            if step.depends_on is not None or self.is_parallel:
                needs[step.id] = stated[step.id]
                continue
            above = next((other for other in reversed(self.steps[:at]) if not self._waits(other.id, step.id, stated)), None)
            if above is None:
                needs[step.id] = ()
            else:
                needs[step.id] = needs[above.id] if step.parallel else (above.id,)
        return needs

    def in_order(self, needs: Mapping[str, tuple[str, ...]] | None = None) -> list[Step]:
        """The steps, each after those it waits for, else as written; steps that wait for each other come last."""
        needs = self.needs if needs is None else needs
        placed: set[str] = set()
        ordered: list[Step] = []
        waiting = list(self.steps)
        while waiting:
            ready = next((step for step in waiting if placed.issuperset(needs[step.id])), waiting[0])
            waiting.remove(ready)
            placed.add(ready.id)
            ordered.append(ready)
        return ordered

    @cached_property
    def in_order_of_needs(self) -> tuple[Step, ...]:
        """The steps, each after those it waits for, else as written."""
        return tuple(self.in_order())

    @cached_property
    def walked(self) -> tuple[tuple[Step, tuple[str, ...], bool], ...]:
        """`in_order_of_needs`, each step with its needs and whether there is nothing more to look at once it has completed."""
        return tuple((step, self.needs[step.id], step.type != CONDITION and step.fallback is None) for step in self.in_order_of_needs)

    def before(self, step_id: str) -> set[str]:
        """The ids of all steps of this list that have surely ended when the step begins."""
        found: set[str] = set()
        stack = list(self.needs[step_id])
        while stack:
            name = stack.pop()
            if name not in found:
                found.add(name)
                stack += self.needs[name]
        return found

    @staticmethod
    def _waits(step_id: str, target: str, stated: Mapping[str, tuple[str, ...]]) -> bool:
        seen: set[str] = set()
        stack = [step_id]
        while stack:
            name = stack.pop()
            if name == target:
                return True
            if name not in seen:
                seen.add(name)
                stack += stated[name]
        return False


@dataclass(frozen=True, kw_only=True)
class WorkflowDefinition:
    """A whole file. `digest` names exactly this text; `path` is None when it came without a file."""

    name: str
    version: str
    description: str
    inputs: Mapping[str, InputSpec]
    body: StepList
    outputs: Mapping[str, object]
    source: str
    path: str | None
    concurrency: Concurrency | None = None
    integrations: tuple[Integration, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the outermost list."""
        return self.body.steps

    @property
    def digest(self) -> str:
        """`sha256:` over the file's bytes."""
        return digest(self.source.encode())

    @cached_property
    def by_id(self) -> Mapping[str, Step]:
        """Every step at every depth, in file order; without fallbacks and compensations."""
        return {step.id: step for outer in self.steps for step in outer.walk()}

    @cached_property
    def loops(self) -> Mapping[str, tuple[str, ...]]:
        """For every step the ids of the loops around it, the outermost first."""
        found: dict[str, tuple[str, ...]] = {}
        stack = [(step, ()) for step in self.steps]  # type: list[tuple[Step, tuple[str, ...]]]
        while stack:
            step, around = stack.pop()
            for each in (step, step.fallback, step.compensate):
                if each is not None:
                    found[each.id] = around
            inner = (*around, step.id) if step.type == FOREACH else around
            stack += [(child, inner) for branch in step.branches.values() for child in branch.steps]
        return found

    def all_steps(self) -> list[Step]:
        """Every step at every depth, in file order."""
        return list(self.by_id.values())
