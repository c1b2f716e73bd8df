"""A run's steps as a tree: what stands below what, and how much of it is done."""

from datetime import UTC, datetime

from bcce.workflows.model import StepRecord, StepState
from bcce.workflows.outline import Outline, outline
from bcce.workflows.reader import read_definition

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEFINITION = read_definition(
    """
name: t
steps:
  - {id: a, type: x, compensate: {type: x}}
  - id: both
    type: parallel
    steps:
      - {id: p, type: x, fallback: {type: y}}
      - {id: q, type: x}
  - id: cond
    type: condition
    condition: "{{ true }}"
    then:
      - {id: yes_step, type: x}
    else:
      - {id: no_step, type: x}
  - id: outer
    type: foreach
    items: [1]
    steps:
      - id: inner
        type: foreach
        items: [1]
        steps:
          - {id: deep, type: x}
      - {id: after, type: x}
  - {id: z, type: x}
"""
)


def seen(states: dict[str, str | tuple[str, dict[str, object]]]) -> Outline:
    """The outline of records by key, with the outputs that some of them have."""
    records = {}
    for key, given in states.items():
        state, output = given if isinstance(given, tuple) else (given, {})
        records[key] = StepRecord(key=key, attempt=1, state=StepState(state), type="x", started_at=NOW, output=output)
    return outline(DEFINITION, records)


def lines(found: Outline) -> list[str]:
    return [f"{'  ' * node.depth}{node.key}" + ("" if node.kind == "step" else f" {node.kind}") for node in found.nodes]


def test_before_it_begins_a_run_is_what_its_definition_says_and_what_is_decided_later_is_not_there() -> None:
    found = seen({})

    assert lines(found) == ["a", "both", "  p", "  q", "cond", "outer", "z"]
    assert (found.done, found.known) == (0, 7)


def test_a_fallback_and_a_compensation_stand_below_their_step() -> None:
    found = seen(
        {"a": "completed", "a.compensate": "completed", "both": "completed", "p": "failed", "p.fallback": "completed", "q": "completed"}
    )

    assert lines(found)[:6] == ["a", "  a.compensate compensation", "both", "  p", "    p.fallback fallback", "  q"]
    assert (found.done, found.known) == (6, 9)


def test_a_condition_holds_the_branch_that_it_took() -> None:
    found = seen({"cond": ("completed", {"branch": "else"})})

    assert [line for line in lines(found) if "_step" in line] == ["  no_step"]
    assert [node.branch for node in found.nodes if node.key == "no_step"] == ["else"]
    assert not [line for line in lines(seen({"cond": "skipped"})) if "_step" in line]


def test_the_turns_of_loops_stand_in_the_order_of_their_numbers() -> None:
    states: dict[str, str | tuple[str, dict[str, object]]] = {"outer": ("started", {"items": list(range(11))})}
    for n in (10, 9, 2):
        states |= {f"inner[{n}]": ("completed", {"count": 1}), f"deep[{n}][0]": "completed"}

    found = seen(states)

    assert lines(found)[5:-1] == [
        "outer",
        *(
            line
            for n in (2, 9, 10)
            for line in (
                f"  outer[{n}] turn",
                f"    inner[{n}]",
                f"      inner[{n}][0] turn",
                f"        deep[{n}][0]",
                f"    after[{n}]",
            )
        ),
    ]
    assert [(node.key, node.index, node.count) for node in found.nodes if node.key in ("outer", "outer[10]")] == [
        ("outer", None, 11),
        ("outer[10]", 10, None),
    ]
    # Of the eight turns that have not begun the two steps each that are known of them.
    assert (found.done, found.known) == (6, 5 + 2 + 3 * 3 + 8 * 2)


def test_what_never_began_in_a_block_that_is_over_is_left_out() -> None:
    assert lines(seen({"both": "cancelled", "p": "cancelled"}))[1:4] == ["both", "  p", "cond"]


def test_without_a_definition_that_can_be_read_all_records_stand_in_a_list() -> None:
    record = StepRecord(key="odd[1", attempt=1, state=StepState.STARTED, type="x", started_at=NOW)

    for definition in (None, DEFINITION):
        found = outline(definition, {"odd[1": record})
        assert (found.nodes[-1].key, found.nodes[-1].depth, found.done) == ("odd[1", 0, 0)
