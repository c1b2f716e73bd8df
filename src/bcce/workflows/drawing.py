"""A workflow's graph as SVG: steps in rows, each below those it waits for, lists inside the boxes of the steps that hold them. Pure.

The usual way to lay out a graph in layers: every step gets the row after the last one it waits for; an arrow that passes rows gets a place
in each, so that it crosses no box; within a row the order follows what is above.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import pairwise
from unicodedata import east_asian_width

from bcce.workflows.definition import CONDITION, Step, StepList

#: Gives the lines about a step, the first its id; each safe to show.
Words = Callable[[Step], list[str]]

_CHAR, _LINE, _PAD, _GAP, _ROW_GAP, _MARGIN = 7.25, 17.0, 10.0, 22.0, 34.0, 16.0
#: So many steps beside each other can still be read; more of a row go on below.
_ROW = 8
_INK, _PALE, _SCOPE, _LEAF = "#1f2933", "#52606d", "#f5f7fa", "#ffffff"


@dataclass(frozen=True, slots=True)
class _Rect:
    x: float
    y: float
    width: float
    height: float
    fill: str
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class _Words:
    x: float
    y: float
    text: str
    colour: str
    is_bold: bool = False


@dataclass(frozen=True, slots=True)
class _Arrow:
    points: tuple[tuple[float, float], ...]


_Shape = _Rect | _Words | _Arrow


@dataclass(frozen=True, slots=True)
class _Picture:
    """Shapes in a rectangle whose upper left corner is 0, 0."""

    width: float
    height: float
    shapes: tuple[_Shape, ...]

    def at(self, x: float, y: float) -> list[_Shape]:
        """The shapes, moved."""
        return [
            _Arrow(tuple((left + x, top + y) for left, top in shape.points))
            if isinstance(shape, _Arrow)
            else replace(shape, x=shape.x + x, y=shape.y + y)
            for shape in self.shapes
        ]


def draw(name: str, body: StepList, words: Words) -> str:
    """The whole drawing as an SVG document."""
    inner = _list(body, words)
    width, height = inner.width + 2 * _MARGIN, inner.height + 2 * _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'role="img" font-family="ui-monospace, monospace" font-size="12">',
        f"<title>{_xml(name)}</title>",
        f'<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{_PALE}"/></marker></defs>',
        f'<rect width="100%" height="100%" fill="{_LEAF}"/>',
        *(_svg(shape) for shape in inner.at(_MARGIN, _MARGIN)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _svg(shape: _Shape) -> str:
    if isinstance(shape, _Rect):
        dashes = ' stroke-dasharray="4 3"' if shape.is_dashed else ""
        size = f'x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" height="{shape.height:.1f}"'
        return f'<rect {size} rx="5" fill="{shape.fill}" stroke="{_PALE}"{dashes}/>'
    if isinstance(shape, _Words):
        bold = ' font-weight="bold"' if shape.is_bold else ""
        return f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" fill="{shape.colour}"{bold}>{_xml(shape.text)}</text>'
    (left, top), *rest = shape.points
    path = f"M{left:.1f} {top:.1f}"
    for x, y in rest:
        middle = (top + y) / 2
        path += f" C{left:.1f} {middle:.1f} {x:.1f} {middle:.1f} {x:.1f} {y:.1f}"
        left, top = x, y
    return f'<path d="{path}" fill="none" stroke="{_PALE}" marker-end="url(#tip)"/>'


def _step(step: Step, words: Words) -> _Picture:
    """A box with the step's words and, below them, what it holds."""
    lines = words(step)
    shapes: list[_Shape] = [
        _Words(_PAD, _PAD + _LINE * (row + 0.7), word, _PALE if row else _INK, is_bold=not row) for row, word in enumerate(lines)
    ]
    width, height = max(map(_width, lines)) + 2 * _PAD, len(lines) * _LINE + 2 * _PAD
    left = _PAD
    top = bottom = height
    for key, branch in step.branches.items():
        if branch.steps:
            inner = _list(branch, words)
            label = [_Words(left + _PAD, top + _LINE, key, _PALE)] if step.type == CONDITION else []
            lower = top + (_LINE + _PAD if label else 0)
            frame = _Rect(left, top, inner.width + 2 * _PAD, lower - top + inner.height + 2 * _PAD, _SCOPE, is_dashed=True)
            shapes += [frame, *label, *inner.at(left + _PAD, lower + _PAD)]
            left += frame.width + _PAD
            bottom = max(bottom, top + frame.height + _PAD)
    width = max(width, left)
    return _Picture(width, bottom, (_Rect(0, 0, width, bottom, _SCOPE if step.is_scope else _LEAF), *shapes))


def _list(body: StepList, words: Words) -> _Picture:
    """The steps of a list in rows, with arrows between them."""
    if not body.steps:
        return _Picture(0, 0, ())
    pictures = {step.id: _step(step, words) for step in body.steps}
    rows, chains = _rows(body)
    widths = {name: pictures[name].width if name in pictures else _GAP for row in rows for name in row}
    centres = _centres(rows, _above(chains), widths)
    shapes: list[_Shape] = []
    spans: dict[str, tuple[float, float, float]] = {}
    top = 0.0
    for row in rows:
        height = max((pictures[name].height for name in row if name in pictures), default=0.0)
        for name in row:
            spans[name] = (top, top + (pictures[name].height if name in pictures else height), top + height)
            if name in pictures:
                shapes += pictures[name].at(centres[name] - widths[name] / 2, top)
        top += height + _ROW_GAP
    for chain in chains:
        # Down to the end of its row an arrow goes straight, since a box beside it may be higher.
        points = [(centres[chain[0]], spans[chain[0]][1]), (centres[chain[0]], spans[chain[0]][2])]
        for name in chain[1:-1]:
            points += [(centres[name], spans[name][0]), (centres[name], spans[name][2])]
        shapes.append(_Arrow((*points, (centres[chain[-1]], spans[chain[-1]][0]))))
    width = max(centres[name] + widths[name] / 2 for name in widths)
    return _Picture(width, top - _ROW_GAP, tuple(shapes))


def _rows(body: StepList) -> tuple[list[list[str]], list[list[str]]]:
    """The rows from top to bottom, and each arrow as the names it passes: steps, and places in rows between them."""
    layers: dict[str, int] = {}
    for step in body.in_order_of_needs:
        layers[step.id] = max((layers.get(name, -1) + 1 for name in body.needs[step.id]), default=0)
    rows: list[list[str]] = []
    for layer in range(max(layers.values()) + 1):
        names = [step.id for step in body.steps if layers[step.id] == layer]
        rows += [names[at : at + _ROW] for at in range(0, len(names), _ROW)]
    row_of = {name: at for at, row in enumerate(rows) for name in row}
    chains: list[list[str]] = []
    for step in body.steps:
        for need in body.needs[step.id]:
            between = range(row_of[need] + 1, row_of[step.id])
            # No id of a step has a blank in it.
            places = [f"{need} {step.id} {at}" for at in between]
            for at, place in zip(between, places, strict=True):
                rows[at].append(place)
            chains.append([need, *places, step.id])
    above = _above(chains)
    for at, row in enumerate(rows[1:], start=1):
        order = {name: place for place, name in enumerate(rows[at - 1])}
        weights = {name: _mean([order[other] for other in above.get(name, ()) if other in order], place) for place, name in enumerate(row)}
        row.sort(key=lambda name: weights[name])
    return rows, chains


def _above(chains: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for chain in chains:
        for before, name in pairwise(chain):
            found.setdefault(name, []).append(before)
    return found


def _centres(rows: Sequence[Sequence[str]], above: Mapping[str, Sequence[str]], widths: Mapping[str, float]) -> dict[str, float]:
    """Where the middle of each box is: below what it waits for, as far as the others in its row let it."""
    centres: dict[str, float] = {}
    for row in rows:
        wanted: dict[str, float] = {}
        right = None
        for name in row:
            near = widths[name] / 2 if right is None else right + _GAP + widths[name] / 2
            wanted[name] = _mean([centres[other] for other in above.get(name, ()) if other in centres], near)
            centres[name] = wanted[name] if right is None else max(wanted[name], near)
            right = centres[name] + widths[name] / 2
        shift = _mean([wanted[name] - centres[name] for name in row], 0.0)
        for name in row:
            centres[name] += shift
    left = min(centres[name] - widths[name] / 2 for name in centres)
    return {name: centre - left for name, centre in centres.items()}


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _xml(text: str) -> str:
    """`text` as XML; two characters that XML cannot have become the one that stands for what cannot be shown."""
    return escape(text.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd"))


def _width(text: str) -> float:
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text) * _CHAR
