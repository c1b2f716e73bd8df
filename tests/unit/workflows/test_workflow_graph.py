"""Pictures of workflows say who follows whom, whatever stands in the file, and nothing in them lies over anything else."""

import re
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bcce.workflows.definition import WorkflowDefinition
from bcce.workflows.graph import GraphFormat, render
from bcce.workflows.reader import read_all

TEXT = """name: demo
steps:
  - {id: first, type: set}
  - {id: left, type: set, retry: {attempts: 4}, fallback: {type: emit}}
  - {id: end, type: set, parallel: true, compensate: {type: emit}, when: "{{ inputs.a < 1 }}"}
  - id: each
    type: foreach
    items: [1, 2]
    concurrency: 5
    depends_on: [left, end]
    steps:
      - {id: a, type: set}
      - {id: b, type: set}
  - id: is_good
    type: condition
    condition: "{{ 1 }}"
    then:
      - {id: good, type: emit}
    else:
      - id: bad
        type: parallel
        steps: [{id: p, type: set}, {id: q, type: set}]
  - {id: last, type: set, depends_on: [is_good, first]}
"""
AS_TEXT = """demo
├─ first  set
├─ left  set  ← first  (up to 4 tries; else emit)
├─ end  set  ← first  (when {{ inputs.a < 1 }}; undo by emit)
├─ each  foreach  ← left, end  (for each of 2 items, 5 at a time)
│  ├─ a  set
│  └─ b  set  ← a
├─ is_good  condition  ← each  (if {{ 1 }})
│  ├─ then
│  │  └─ good  emit
│  └─ else
│     └─ bad  parallel
│        ├─ p  set
│        └─ q  set
└─ last  set  ← is_good, first
"""
AS_MERMAID = """flowchart TD
  s0["first · set"]
  s1["left · set · up to 4 tries · else emit"]
  s2["end · set · when #123;#123; inputs.a #60; 1 #125;#125; · undo by emit"]
  subgraph s3["each · foreach · for each of 2 items, 5 at a time"]
    s4["a · set"]
    s5["b · set"]
    s4 --> s5
  end
  subgraph s6["is_good · condition · if #123;#123; 1 #125;#125;"]
    subgraph s6_then["then"]
      s7["good · emit"]
    end
    subgraph s6_else["else"]
      subgraph s8["bad · parallel"]
        s9["p · set"]
        s10["q · set"]
      end
    end
  end
  s11["last · set"]
  s0 --> s1
  s0 --> s2
  s1 --> s3
  s2 --> s3
  s3 --> s6
  s6 --> s11
  s0 --> s11
"""
SVG = "{http://www.w3.org/2000/svg}"
WHITE = "#ffffff"
Box = tuple[float, float, float, float]


def definition_of(text: str) -> WorkflowDefinition:
    definition, _ = read_all(text)
    assert definition is not None
    return definition


def drawing(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(render(definition_of(text), GraphFormat.SVG))  # noqa: S314 - it is ours


def boxes(root: ElementTree.Element, fill: str | None = None) -> list[Box]:
    """Left, top, right and bottom of the boxes of a colour, the sheet itself left out."""
    found = [item for item in root.iter(f"{SVG}rect") if item.get("x") and fill in (None, item.get("fill"))]
    sides = [[float(item.get(name, "")) for name in ("x", "y", "width", "height")] for item in found]
    return [(x, y, x + width, y + height) for x, y, width, height in sides]


def arrows(root: ElementTree.Element) -> list[list[tuple[float, float]]]:
    """Points along each arrow, from its beginning to its end."""
    found = []
    for item in root.iter(f"{SVG}path"):
        numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", item.get("d", ""))]
        corners = list(zip(numbers[::2], numbers[1::2], strict=True))
        if item.get("fill") == "none":
            points = []
            for at in range(0, len(corners) - 3, 3):
                (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners[at : at + 4]
                for step in range(21):
                    t = step / 20
                    a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
                    points.append((a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3))
            found.append(points)
    return found


def is_inside(inner: Box, outer: Box) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


def is_apart(one: Box, other: Box) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def check_geometry(root: ElementTree.Element) -> None:
    sheet = (0.0, 0.0, float(root.get("width", "")), float(root.get("height", "")))
    every, leaves = boxes(root), boxes(root, WHITE)
    assert [box for box in every if not is_inside(box, sheet)] == []
    assert [pair for pair in combinations(every, 2) if not (is_apart(*pair) or is_inside(*pair) or is_inside(pair[1], pair[0]))] == []
    for points in arrows(root):
        assert all(below >= above - 0.2 for (_, above), (_, below) in pairwise(points)), "an arrow goes up"
        for x, y in points:
            assert [box for box in leaves if box[0] + 0.2 < x < box[2] - 0.2 and box[1] + 0.2 < y < box[3] - 0.2] == []


@pytest.mark.parametrize(("form", "expected"), [(GraphFormat.TEXT, AS_TEXT), (GraphFormat.MERMAID, AS_MERMAID)])
def test_a_graph_in_words(form: GraphFormat, expected: str) -> None:
    assert render(definition_of(TEXT), form) == expected


def test_a_drawing_has_a_box_for_each_step_and_an_arrow_for_each_wait() -> None:
    root = drawing(TEXT)
    words = [item.text for item in root.iter(f"{SVG}text")]

    assert [word for word in definition_of(TEXT).by_id if word not in words] == []
    assert len(arrows(root)) == 8
    assert render(definition_of(TEXT), GraphFormat.SVG) == render(definition_of(TEXT), GraphFormat.SVG)
    check_geometry(root)


def test_words_fit_into_their_boxes() -> None:
    root = drawing(TEXT)
    for item in root.iter(f"{SVG}text"):
        x, y = float(item.get("x", "")), float(item.get("y", ""))
        word = (x, y - 9, x + 7.2 * len(item.text or ""), y)
        assert [box for box in boxes(root) if is_inside(word, box)], item.text


@pytest.mark.parametrize("form", GraphFormat)
def test_text_from_a_file_is_only_text(form: GraphFormat) -> None:
    hostile = '"]; click s0 href "javascript:x" <script>x</script> & ]]> \\uFFFE\\x1b[31m'.replace('"', '\\"')
    drawn = render(definition_of(f'name: t\nsteps:\n  - {{id: end, type: "{hostile}", when: "{hostile}"}}\n'), form)

    assert "\x1b" not in drawn
    if form is GraphFormat.SVG:
        root = ElementTree.fromstring(drawn)  # noqa: S314 - that is what is tested
        assert {item.tag for item in root.iter()} == {f"{SVG}{name}" for name in ("svg", "title", "defs", "marker", "path", "rect", "text")}
    if form is GraphFormat.MERMAID:
        assert len(drawn.splitlines()) == 2
        assert drawn.count('"') == 2
        assert "<" not in drawn


@pytest.mark.parametrize("form", GraphFormat)
@pytest.mark.parametrize(
    "steps",
    [
        "  - {id: a, type: set, depends_on: [b]}\n  - {id: b, type: set, depends_on: [a]}\n",
        "  - {id: a, type: set, depends_on: [a]}\n",
        "  - {id: g, type: group, steps: []}\n",
        "  []\n",
        "  - 5\n",
    ],
)
def test_a_file_that_is_not_valid_is_drawn_as_far_as_it_goes(steps: str, form: GraphFormat) -> None:
    assert render(definition_of(f"name: t\nsteps:\n{steps}"), form)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sets(st.integers(0, 30), max_size=4), st.integers(0, 3)), min_size=1, max_size=16))
def test_nothing_lies_over_anything_else(shape: list[tuple[set[int], int]]) -> None:
    lines = ["name: t", "steps:"]
    for at, (needs, height) in enumerate(shape):
        names = ", ".join(f"s{need % at}" for need in needs if at)
        inner = [f"{{id: i{at}x{number}, type: set}}" for number in range(height)]
        kind = f"type: group, steps: [{', '.join(inner)}]" if inner else "type: set"
        lines.append(f"  - {{id: s{at}, {kind}, depends_on: [{names}]}}")

    check_geometry(drawing("\n".join(lines) + "\n"))
