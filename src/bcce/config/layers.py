"""Layers of settings as trees whose every value knows where it was written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TypeAlias

from pydantic import BaseModel
from pydantic.alias_generators import to_snake

from bcce.config.document import Document, Where
from bcce.config.errors import Problem
from bcce.config.schema import Kind, Shape, field_shape, names

Dotted = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where something was written: a place in a document, a variable, or the program itself.

    `label` is what `Loaded.origins` shows; None takes `source:line`. `source` is the file or variable that errors name. `where` is the path
    in `document`, in the document's own spelling.
    """

    source: str | None
    label: str | None = None
    document: Document | None = None
    where: Where = ()

    def child(self, key: str | int) -> "Origin":
        """The origin of what stands under `key`."""
        return Origin(source=self.source, label=self.label, document=self.document, where=(*self.where, key))

    def position(self, rest: Where = ()) -> tuple[int | None, int | None]:
        """Line and column of what stands `rest` below, whose keys may have the settings' spelling; None outside documents."""
        if self.document is None:
            return None, None
        return self.document.place((*self.where, *_written(self.document, self.where, rest)))

    def problem(self, message: str, at: Where, *, hint: str | None = None, rest: Where = ()) -> Problem:
        """A complaint about this place; `at` is the dotted path in the settings."""
        line, column = self.position(rest)
        return Problem(message=message, source=self.source, line=line, column=column, field=".".join(map(str, at)) or None, hint=hint)

    def __str__(self) -> str:
        return self.label if self.label is not None else f"{self.source}:{self.position()[0]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """A value that is replaced as a whole by a later layer: a scalar or a list."""

    value: object
    origin: Origin


@dataclass(kw_only=True, slots=True)
class Branch:
    """A section or map, merged key by key with later layers."""

    origin: Origin
    items: "dict[str, Tree]" = field(default_factory=dict)


Tree: TypeAlias = Leaf | Branch


class Reader:
    """Turns what was written into trees with the settings' own names. Collects complaints instead of raising."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems

    def section(self, value: Mapping[str, object], model: type[BaseModel], origin: Origin, at: Dotted = ()) -> Branch:
        """The section `value`, whose keys must be those of `model` in either spelling."""
        branch, known = Branch(origin=origin), names(model)
        spellings: dict[str, str] = {}
        for key, item in value.items():
            name, here = known.get(key), origin.child(key)
            if name is None:
                self._problems.append(here.problem(f"unknown key {key[:60]!r}", (*at, key), hint=suggestion(key, known)))
            elif name in spellings:
                self._both(spellings[name], key, origin, (*at, name))
            else:
                spellings[name] = key
                inner = self.node(item, field_shape(model, name), here, (*at, name))
                if inner is not None:
                    branch.items[name] = inner
        return branch

    def node(self, value: object, shape: Shape, origin: Origin, at: Dotted) -> Tree | None:
        """The tree of one value; None for a section of which only the header is left, which is how a commented file looks."""
        if shape.kind in (Kind.SECTION, Kind.MAP) and value is None:
            return None
        if shape.model is not None and isinstance(value, Mapping):
            return self.section(value, shape.model, origin, at)
        if shape.kind is Kind.MAP and shape.item is not None and isinstance(value, Mapping):
            return self._map(value, shape.item, origin, at)
        if shape.is_open and isinstance(value, Mapping):
            return self._map(value, shape, origin, at)
        if shape.kind is Kind.LIST and shape.item is not None and isinstance(value, list | tuple):
            items = [self.node(item, shape.item, origin.child(index), (*at, str(index))) for index, item in enumerate(value)]
            return Leaf(value=[None if item is None else plain(item) for item in items], origin=origin)
        return Leaf(value=value, origin=origin)

    def _map(self, value: Mapping[str, object], item: Shape, origin: Origin, at: Dotted) -> Branch:
        branch = Branch(origin=origin)
        for key, inner in value.items():
            here = origin.child(key)
            # A named section without keys, such as a target that is all defaults, is there all the same.
            node = self.node(inner, item, here, (*at, key))
            branch.items[key] = Branch(origin=here) if node is None else node
        return branch

    def _both(self, first: str, second: str, origin: Origin, at: Dotted) -> None:
        lines = [origin.child(key).position()[0] for key in (first, second)]
        places = [f"{key!r} (line {line})" if line is not None else repr(key) for key, line in zip((first, second), lines, strict=True)]
        message = f"{places[0]} and {places[1]} are the same setting"
        self._problems.append(origin.child(second).problem(message, at, hint="keep one of them"))


def suggestion(key: str, known: Mapping[str, str]) -> str:
    """What the writer of an unknown key may have meant: one spelling, in the style in which the key was written."""
    near = get_close_matches(key, known, n=2, cutoff=0.6) or get_close_matches(to_snake(key), known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known here: {', '.join(dict.fromkeys(known.values()))}"


def merge(base: Branch, over: Branch) -> Branch:
    """Both together: `over` wins value by value, and neither is changed."""
    items = dict(base.items)
    for key, node in over.items.items():
        below = items.get(key)
        items[key] = merge(below, node) if isinstance(below, Branch) and isinstance(node, Branch) else node
    return Branch(origin=over.origin if over.items else base.origin, items=items)


def put(branch: Branch, path: Dotted, node: Tree) -> None:
    """Places `node` at `path` below `branch`, making the branches on the way."""
    for part in path[:-1]:
        below = branch.items.get(part)
        if not isinstance(below, Branch):
            below = branch.items[part] = Branch(origin=node.origin)
        branch = below
    branch.items[path[-1]] = node


def plain(node: Tree) -> object:
    """The values alone."""
    return node.value if isinstance(node, Leaf) else {key: plain(item) for key, item in node.items.items()}


def walk(node: Tree, at: Dotted = ()) -> Iterator[tuple[Dotted, Tree]]:
    """Every leaf, and every branch with nothing in it, with its path."""
    if isinstance(node, Leaf) or not node.items:
        yield at, node
        return
    for key, item in node.items.items():
        yield from walk(item, (*at, key))


def find(tree: Branch, path: Where) -> tuple[Tree, Where]:
    """The node that is responsible for `path`, and what of the path lies below it."""
    node: Tree = tree
    for index, part in enumerate(path):
        below = node.items.get(str(part)) if isinstance(node, Branch) else None
        if below is None:
            return node, path[index:]
        node = below
    return node, ()


def _written(document: Document, start: Where, rest: Where) -> Where:
    """`rest` in the document's own spelling, as far as it goes."""
    node = document.value
    for part in start:
        node = _below(node, part)
    found: list[str | int] = []
    for part in rest:
        key = part
        if isinstance(node, Mapping):
            key = next((key for key in node if key == part or to_snake(key) == part), part)
        found.append(key)
        node = _below(node, key)
    return tuple(found)


def _below(node: object, part: str | int) -> object:
    if isinstance(node, Mapping):
        return node.get(part)
    return node[part] if isinstance(node, list) and isinstance(part, int) and part < len(node) else None
