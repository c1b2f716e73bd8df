"""What a run does next, from its definition and its records alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bcce.workflows.definition import WorkflowDefinition
from bcce.workflows.model import StepRecord, StepState
from bcce.workflows.planner import Plan, plan
from bcce.workflows.reader import read_definition

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DONE, FAILED, STARTED, WAITING = StepState.COMPLETED, StepState.FAILED, StepState.STARTED, StepState.WAITING


def workflow(steps: str, number: int = 2) -> WorkflowDefinition:
    return read_definition(f"name: t\nsteps:\n{steps}", number=number)


def records(**states: StepState | tuple[StepState, dict[str, object]]) -> dict[str, StepRecord]:
    """Records by key, the later ones ended later; `_0` stands for the turn `[0]`, and `__` for a dot."""
    found = {}
    for index, (name, given) in enumerate(states.items()):
        state, output = given if isinstance(given, tuple) else (given, {})
        key = name.replace("__", ".").replace("_0", "[0]").replace("_1", "[1]")
        ended = NOW + timedelta(seconds=index) if state not in (STARTED, WAITING, StepState.RETRYING) else None
        found[key] = StepRecord(key=key, attempt=1, state=state, type="x", started_at=NOW, ended_at=ended, output=output)
    return found


def calls(todo: Plan) -> list[str]:
    return [call.place.key for call in todo.calls]


def stops(todo: Plan) -> list[str]:
    return [call.place.key for call in todo.stops]


@pytest.mark.parametrize(
    ("steps", "number", "expected"),
    [
        ("  - {id: a, type: x}\n  - {id: b, type: x}\n", 2, {"a": (), "b": ("a",)}),
        ("  - {id: a, type: x}\n  - {id: b, type: x, depends_on: []}\n", 2, {"a": (), "b": ()}),
        ("  - {id: a, type: x}\n  - {id: b, type: x, parallel: true}\n  - {id: c, type: x}\n", 2, {"a": (), "b": (), "c": ("b",)}),
        ("  - {id: a, type: x, depends_on: [b]}\n  - {id: b, type: x}\n", 2, {"a": ("b",), "b": ()}),
        (
            "  - {id: a, type: x}\n  - {id: b, type: x, depends_on: []}\n  - {id: c, type: x, depends_on: [a]}\n",
            1,
            {"a": (), "b": ("a",), "c": ("b",)},
        ),
    ],
)
def test_what_a_step_waits_for(steps: str, number: int, expected: dict[str, tuple[str, ...]]) -> None:
    assert dict(workflow(steps, number).body.needs) == expected


def test_everything_that_is_ready_is_called_at_once() -> None:
    definition = workflow("  - {id: a, type: x}\n  - {id: b, type: x, depends_on: []}\n  - {id: c, type: x, depends_on: [a, b]}\n")

    assert calls(plan(definition, {}, NOW)) == ["a", "b"]
    assert calls(plan(definition, records(a=DONE, b=WAITING), NOW)) == ["b"]
    assert calls(plan(definition, records(a=DONE, b=DONE), NOW)) == ["c"]
    over = plan(definition, records(a=DONE, b=DONE, c=DONE), NOW)
    assert over.finish is not None
    assert over.finish.failed is None


def test_a_failure_stops_what_runs_before_the_run_ends() -> None:
    definition = workflow("  - {id: a, type: x}\n  - {id: b, type: x, depends_on: []}\n  - {id: c, type: x}\n")

    stopping = plan(definition, records(a=FAILED, b=WAITING), NOW)
    assert (calls(stopping), stops(stopping), stopping.finish) == ([], ["b"], None)
    ended = plan(definition, records(a=FAILED, b=StepState.CANCELLED), NOW)
    assert ended.finish is not None
    assert ended.finish.failed is not None
    assert ended.finish.failed.key == "a"


def test_a_failure_is_followed_by_the_fallback_or_left_behind() -> None:
    definition = workflow("  - {id: a, type: x, fallback: {type: x}}\n  - {id: b, type: x, on_failure: continue}\n  - {id: c, type: x}\n")

    assert calls(plan(definition, records(a=FAILED), NOW)) == ["a.fallback"]
    assert calls(plan(definition, records(a=FAILED, a__fallback=DONE), NOW)) == ["b"]
    assert calls(plan(definition, records(a=DONE, b=FAILED), NOW)) == ["c"]


def test_a_loop_begins_as_many_turns_as_it_may() -> None:
    definition = workflow("  - id: f\n    type: foreach\n    items: [1, 2]\n    concurrency: 1\n    steps: [{id: s, type: x}]\n")
    begun = {"f": (STARTED, {"items": [1, 2]})}

    assert calls(plan(definition, records(**begun), NOW)) == ["s[0]"]
    assert calls(plan(definition, records(**begun, s_0=WAITING), NOW)) == ["s[0]"]
    assert calls(plan(definition, records(**begun, s_0=DONE), NOW)) == ["s[1]"]
    settled = plan(definition, records(**begun, s_0=DONE, s_1=DONE), NOW).settles
    assert [(item.place.key, item.failure, item.failed) for item in settled] == [("f", None, ())]


@pytest.mark.parametrize("head", ["type: condition\n    condition: '{{ 1 }}'\n    then:", "type: foreach\n    items: [1]\n    steps:"])
def test_a_scope_that_is_only_just_being_entered_is_not_over(head: str) -> None:
    definition = workflow(f"  - id: c\n    {head}\n      - {{id: t, type: x}}\n")
    entering = {"c": StepRecord(key="c", attempt=1, state=STARTED, type="x", started_at=NOW)}

    assert calls(plan(definition, entering, NOW)) == ["c"]
    assert plan(definition, entering, NOW).finish is None
    assert stops(plan(definition, entering, NOW, is_stopping=True)) == ["c"]


def test_a_scope_that_is_late_stops_what_is_inside() -> None:
    definition = workflow("  - id: g\n    type: group\n    timeout: 1s\n    steps: [{id: s, type: x}]\n")
    begun = records(g=STARTED, s=WAITING)
    begun["g"] = StepRecord(key="g", attempt=1, state=STARTED, type="group", started_at=NOW, deadline_at=NOW, output={})

    assert stops(plan(definition, begun, NOW)) == ["s"]
    assert calls(plan(definition, begun, NOW - timedelta(seconds=1))) == ["s"]


def test_a_cancelled_run_begins_nothing_but_compensations() -> None:
    undo = "  - {id: a, type: x, compensate: {type: x}}\n  - {id: b, type: x, compensate: {type: x}}\n  - {id: c, type: x}\n"
    definition = workflow(undo)

    assert stops(plan(definition, records(a=DONE, b=DONE, c=WAITING), NOW, is_stopping=True)) == ["c"]
    undone = records(a=DONE, b=DONE, c=StepState.CANCELLED)
    assert calls(plan(definition, undone, NOW, is_stopping=True)) == ["b.compensate"]
    undone |= records(b__compensate=DONE)
    assert calls(plan(definition, undone, NOW, is_stopping=True)) == ["a.compensate"]
    over = plan(definition, undone | records(a__compensate=FAILED), NOW, is_stopping=True)
    assert over.finish is not None
    assert over.finish.is_stopped


def test_what_began_behind_a_failure_that_was_left_behind_is_stopped_too() -> None:
    definition = workflow(
        "  - id: g\n    type: group\n    steps:\n      - {id: a, type: x, on_failure: continue}\n      - {id: b, type: x}\n"
        "      - {id: c, type: x, on_failure: continue}\n      - {id: d, type: x}\n"
    )
    begun = records(g=(STARTED, {"in": 1}), a=FAILED, b=WAITING)
    assert stops(plan(definition, begun, NOW, is_stopping=True)) == ["b"]

    # All that was to be done was done, so it was not stopped; `a` was left behind as it would have been at any other time.
    (settle,) = plan(definition, begun | records(b=DONE, c=FAILED, d=DONE), NOW, is_stopping=True).settles
    assert (settle.failure, settle.is_stopped, settle.failed) == (None, False, ("a", "c"))

    # To be stopped is no failure that can be left behind.
    (settle,) = plan(definition, begun | records(b=DONE, c=StepState.CANCELLED), NOW, is_stopping=True).settles
    assert settle.failure is not None
    assert (settle.failure.record.key, settle.is_stopped) == ("c", True)


@pytest.mark.parametrize("state", [DONE, StepState.SKIPPED, StepState.CANCELLED])
def test_a_fallback_that_was_to_be_tried_again_is_left_once_its_step_did_not_fail(state: StepState) -> None:
    definition = workflow("  - {id: a, type: x, fallback: {type: x}}\n")

    todo = plan(definition, records(a=state, a__fallback=StepState.RETRYING), NOW)
    assert (calls(todo), stops(todo), todo.finish) == ([], ["a.fallback"], None)
    assert plan(definition, records(a=state, a__fallback=StepState.CANCELLED), NOW).finish is not None
    assert stops(plan(definition, records(a=StepState.RETRYING, a__fallback=StepState.RETRYING), NOW)) == []


def test_turns_that_ended_well_are_passed_over_next_time() -> None:
    definition = workflow("  - {id: l, type: foreach, items: [1, 2, 3], concurrency: 1, steps: [{id: a, type: x}]}\n")
    known = records(l=(STARTED, {"items": [1, 2, 3]}), a_0=DONE)
    settled: set[str] = set()

    assert calls(plan(definition, known, NOW, settled=settled)) == ["a[1]"]
    assert settled == {"l[0]"}
    known |= records(a_1=DONE)
    assert calls(plan(definition, known, NOW, settled=settled)) == calls(plan(definition, known, NOW)) == ["a[2]"]
    known["a[2]"] = replace(known["a[1]"], key="a[2]", state=FAILED)
    (settle,) = plan(definition, known, NOW, settled=settled).settles
    assert (settle.failed, settled) == (("l[2]",), {"l[0]", "l[1]"})


def test_a_block_that_has_begun_but_holds_nothing_yet_ends_with_the_list_that_fails() -> None:
    definition = workflow(
        "  - id: p\n    type: parallel\n    steps:\n"
        "      - {id: g, type: group, steps: [{id: a, type: x}]}\n      - {id: b, type: x}\n"
        "      - {id: l, type: foreach, items: [1], steps: [{id: c, type: x}]}\n"
    )
    known = records(p=STARTED, g=STARTED, b=FAILED, l=(STARTED, {"items": [1]}))

    todo = plan(definition, known, NOW)
    assert ([settle.place.key for settle in todo.settles], calls(todo), stops(todo)) == (["g", "l"], [], [])
    assert all(settle.is_stopped for settle in todo.settles)
    known |= records(g=StepState.CANCELLED, l=(StepState.CANCELLED, {"items": [1]}))
    (settle,) = plan(definition, known, NOW).settles
    assert settle.failure is not None
    assert (settle.place.key, settle.failure.record.key) == ("p", "b")


def test_a_loop_whose_other_turns_were_lost_in_a_crash_fails() -> None:
    inner = "steps: [{id: a, type: x}, {id: b, type: x}]"
    definition = workflow("  - {id: l, type: foreach, items: [1, 2, 3], concurrency: 2, " + inner + "}\n")
    known = records(l=(STARTED, {"items": [1, 2, 3]}), a_1=FAILED)

    todo = plan(definition, known, NOW)
    (settle,) = todo.settles
    assert (settle.failure is not None and settle.failure.record.key, settle.failed, calls(todo)) == ("a[1]", ("l[1]",), [])
    known |= records(a_0=WAITING)
    assert stops(plan(definition, known, NOW)) == ["a[0]"]
    known |= records(a_0=StepState.CANCELLED)
    (settle,) = plan(definition, known, NOW).settles
    assert settle.failure is not None
    assert settle.failure.record.key == "a[1]"
