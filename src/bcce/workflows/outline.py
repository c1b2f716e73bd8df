"""A run as a tree: its steps below the blocks that hold them, in the order of the definition and of the turns. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bcce.workflows.definition import CONDITION, FOREACH, Step, StepList, WorkflowDefinition
from bcce.workflows.model import LIVE_STEPS, StepRecord, StepState

_KEY = re.compile(r"([^\[]*)((?:\[[0-9]+\])*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A line of the tree. Lines stand in the order in which they are shown, each behind the one that it stands below.

    Args:
        key: the step's key in the journal; that of a turn is its loop's with the turn's number.
        kind: `step`; `turn` of a loop, which has no record of its own; `fallback` or `compensation` of the step it stands below.
        type: the step's type; None for a turn.
        depth: how many lines it stands below, 0 for the outermost.
        branch: the branch of the condition above that it stands in; None for all others.
        index: the turn's number, from 0; None for all others.
        count: how many turns a loop has; None for all others, and as long as that is not known.
    """

    key: str
    kind: Literal["step", "turn", "fallback", "compensation"]
    type: str | None
    depth: int
    branch: str | None = None
    index: int | None = None
    count: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """The tree of a run. Of the `known` steps so many are `done`; what is behind a condition or in a loop is known once that has begun."""

    nodes: tuple[Node, ...]
    known: int
    done: int


def outline(definition: WorkflowDefinition | None, records: Mapping[str, StepRecord]) -> Outline:
    """The tree of a run with these latest records, by key; without a definition that can be read, all of them in one list."""
    walk = _Walk(records, _turns(definition, records) if definition is not None else {})
    if definition is not None:
        walk.list(definition.body, "", 0, branch=None, is_open=True)
    shown = {node.key for node in walk.nodes}
    for key, record in records.items():
        if key not in shown:
            walk.add(Node(key=key, kind="step", type=record.type, depth=0))
    return Outline(nodes=tuple(walk.nodes), known=walk.known, done=walk.done)


def _turns(definition: WorkflowDefinition, records: Mapping[str, StepRecord]) -> Mapping[str, frozenset[int]]:
    """The turns of each loop's place in which a step has begun."""
    begun: defaultdict[str, set[int]] = defaultdict(set)
    for key in records:
        found = _KEY.fullmatch(key)
        name, numbers = (found[1], re.findall("[0-9]+", found[2])) if found is not None else (key, [])
        for at, (loop, number) in enumerate(zip(definition.loops.get(name, ()), numbers, strict=False)):
            begun[loop + "".join(f"[{outer}]" for outer in numbers[:at])].add(int(number))
    return {key: frozenset(numbers) for key, numbers in begun.items()}


@dataclass(slots=True)
class _Walk:
    records: Mapping[str, StepRecord]
    turns: Mapping[str, frozenset[int]]
    nodes: list[Node] = field(default_factory=list)
    known: int = 0
    done: int = 0

    def add(self, node: Node) -> None:
        """Adds a line, and counts it unless it is a turn."""
        self.nodes.append(node)
        if node.kind != "turn":
            record = self.records.get(node.key)
            self.known += 1
            self.done += record is not None and record.state not in LIVE_STEPS

    def list(self, body: StepList, suffix: str, depth: int, *, branch: str | None, is_open: bool) -> None:
        """The steps of a list; those that have not begun only where they still may (`is_open`)."""
        for step in body.steps:
            if is_open or step.id + suffix in self.records:
                self._place(step, suffix, depth, branch=branch)

    def _place(self, step: Step, suffix: str, depth: int, *, branch: str | None) -> None:
        key = step.id + suffix
        record = self.records.get(key)
        count = _count(record) if step.type == FOREACH else None
        self.add(Node(key=key, kind="step", type=step.type, depth=depth, branch=branch, count=count))
        is_open = record is None or record.state in LIVE_STEPS
        if step.type == CONDITION:
            for name in self._branches(step, record):
                self.list(
                    step.branches[name],
                    suffix,
                    depth + 1,
                    branch=name,
                    is_open=record is not None and record.state is not StepState.SKIPPED,
                )
        elif step.type == FOREACH:
            self._loop(step, suffix, depth, count=count, is_open=is_open)
        else:
            for body in step.branches.values():
                self.list(body, suffix, depth + 1, branch=None, is_open=is_open)
        for other, kind in self._extras(step):
            if other.id + suffix in self.records:
                self.add(Node(key=other.id + suffix, kind=kind, type=other.type, depth=depth + 1))

    def _branches(self, step: Step, record: StepRecord | None) -> tuple[str, ...]:
        """The branch that a condition took; none before it has decided."""
        taken = (record.output or {}).get("branch") if record is not None else None
        return (str(taken),) if taken in step.branches else ()

    def _loop(self, step: Step, suffix: str, depth: int, *, count: int | None, is_open: bool) -> None:
        body, key = step.branches["steps"], step.id + suffix
        begun = sorted(self.turns.get(key, ()))
        for index in begun:
            turn = f"{suffix}[{index}]"
            self.add(Node(key=f"{step.id}{turn}", kind="turn", type=None, depth=depth + 1, index=index))
            self.list(body, turn, depth + 2, branch=None, is_open=is_open)
        if is_open and count is not None:
            self.known += (count - len(begun)) * len(body.steps)

    @staticmethod
    def _extras(step: Step) -> Iterator[tuple[Step, Literal["fallback", "compensation"]]]:
        if step.fallback is not None:
            yield step.fallback, "fallback"
        if step.compensate is not None:
            yield step.compensate, "compensation"


def _count(record: StepRecord | None) -> int | None:
    """How many turns a loop has, as far as its record says so."""
    output = (record.output or {}) if record is not None else {}
    count, items = output.get("count"), output.get("items")
    if isinstance(count, int):
        return count
    return len(items) if isinstance(items, list) else None
