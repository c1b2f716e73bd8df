"""A workflow as a picture of who follows whom: indented text, a Mermaid flowchart, or SVG. Pure; the same file gives the same picture."""

from collections.abc import Iterator
from enum import StrEnum

from bcce.kit.text import clean
from bcce.workflows.definition import CONDITION, FOREACH, Step, StepList, WorkflowDefinition
from bcce.workflows.drawing import draw

_LIMIT = 60


class GraphFormat(StrEnum):
    """How a graph is written."""

    TEXT = "text"
    MERMAID = "mermaid"
    SVG = "svg"

    @property
    def media_type(self) -> str:
        """What HTTP calls it."""
        return "image/svg+xml" if self is GraphFormat.SVG else "text/plain; charset=utf-8"


def render(definition: WorkflowDefinition, form: GraphFormat) -> str:
    """The graph of a definition, which need not be valid; ends with a newline."""
    if form is GraphFormat.SVG:
        return draw(_line(definition.name), definition.body, lambda step: [step.id, _line(step.type), *_notes(step)])
    lines = _text(definition) if form is GraphFormat.TEXT else _mermaid(definition)
    return "\n".join(lines) + "\n"


def _notes(step: Step) -> list[str]:
    """What a picture says of a step beside its id and type, a line each."""
    found = []
    if step.type == CONDITION:
        found.append(f"if {step.condition}")
    if step.type == FOREACH:
        limit = f", {step.limit} at a time" if step.limit else ""
        items = f"{len(step.items)} items" if isinstance(step.items, list) else str(step.items)
        found.append(f"for each of {items}{limit}")
    if step.when is not None:
        found.append(f"when {step.when}")
    if step.retry is not None and step.retry.attempts > 1:
        found.append(f"up to {step.retry.attempts} tries")
    if step.fallback is not None:
        found.append(f"else {step.fallback.type}")
    if step.compensate is not None:
        found.append(f"undo by {step.compensate.type}")
    return [_line(note) for note in found]


def _line(text: str) -> str:
    """`text` on one line, and not too much of it."""
    return clean(" ".join(text.split()), limit=_LIMIT)


def _text(definition: WorkflowDefinition) -> Iterator[str]:
    yield _line(definition.name)
    yield from _tree(definition.body, "")


def _tree(body: StepList, indent: str) -> Iterator[str]:
    """A line for each step with its arrows, and below it what it holds."""
    for step in body.steps:
        is_last = step is body.steps[-1]
        needs = ", ".join(body.needs[step.id])
        told = f"  ({'; '.join(found)})" if (found := _notes(step)) else ""
        yield f"{indent}{'└─' if is_last else '├─'} {step.id}  {_line(step.type)}{f'  ← {needs}' if needs else ''}{told}"
        below = indent + ("   " if is_last else "│  ")
        branches = [(key, branch) for key, branch in step.branches.items() if branch.steps]
        for key, branch in branches:
            if step.type != CONDITION:
                yield from _tree(branch, below)
                continue
            is_last_branch = key == branches[-1][0]
            yield f"{below}{'└─' if is_last_branch else '├─'} {key}"
            yield from _tree(branch, below + ("   " if is_last_branch else "│  "))


def _mermaid(definition: WorkflowDefinition) -> Iterator[str]:
    yield "flowchart TD"
    # The steps' own ids may be words of Mermaid's, such as `end`.
    names = {step_id: f"s{number}" for number, step_id in enumerate(definition.by_id)}
    yield from _nodes(definition.body, names, "  ")


def _nodes(body: StepList, names: dict[str, str], indent: str) -> Iterator[str]:
    for step in body.steps:
        name, label = names[step.id], _label(" · ".join((step.id, _line(step.type), *_notes(step))))
        branches = {key: branch for key, branch in step.branches.items() if branch.steps}
        if not branches:
            yield f'{indent}{name}["{label}"]'
            continue
        yield f'{indent}subgraph {name}["{label}"]'
        for key, branch in branches.items():
            if step.type != CONDITION:
                yield from _nodes(branch, names, indent + "  ")
                continue
            yield f'{indent}  subgraph {name}_{key}["{key}"]'
            yield from _nodes(branch, names, indent + "    ")
            yield f"{indent}  end"
        yield f"{indent}end"
    for step in body.steps:
        for need in body.needs[step.id]:
            yield f"{indent}{names[need]} --> {names[step.id]}"


def _label(text: str) -> str:
    """Text for a quoted label: whatever could mean something to Mermaid or to HTML stands as its number."""
    return "".join(char if char.isalnum() or char in " ._-,·" else f"#{ord(char)};" for char in text)
