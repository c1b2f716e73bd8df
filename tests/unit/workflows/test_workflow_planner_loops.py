"""What is kept from one plan to the next changes no plan: loops inside and behind loops, with failures, stops and steps that go on."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from bcce.workflows.definition import FOREACH, WorkflowDefinition
from bcce.workflows.model import StepRecord, StepState
from bcce.workflows.planner import Plan, plan
from bcce.workflows.reader import read_definition
from bcce.workflows.records import Records

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ITEMS = {"l1": [1, 2, 3], "l2": [1, 2], "l3": [1, 2, 3]}
TEXT = """name: t
steps:
  - id: l1
    type: foreach
    items: [1, 2, 3]
    concurrency: 2
    failure_strategy: STRATEGY
    steps:
      - {id: a, type: x, compensate: {type: emit, event: u}}
      - id: l2
        type: foreach
        items: [1, 2]
        concurrency: 1
        steps: [{id: b, type: x}, {id: c, type: x, on_failure: continue}]
  - id: l3
    type: foreach
    items: [1, 2, 3]
    concurrency: 1
    failure_strategy: STRATEGY
    steps: [{id: d, type: x}]
"""


def definition_for(strategy: str) -> WorkflowDefinition:
    return read_definition(TEXT.replace("STRATEGY", strategy), number=2)


def shown(todo: Plan) -> tuple[list[str], list[str], list[str], bool]:
    parts = [sorted(item.place.key for item in part) for part in (todo.calls, todo.stops, todo.settles)]
    return parts[0], parts[1], parts[2], todo.finish is None


def record(key: str, state: StepState, kind: str, at: datetime, output: dict[str, object] | None = None) -> StepRecord:
    ended_at = None if state is StepState.STARTED else at
    return StepRecord(key=key, attempt=1, state=state, type=kind, started_at=NOW, ended_at=ended_at, output=output or {})


def follow(todo: Plan, records: Records, chance: random.Random, at: datetime) -> None:
    """Does what a plan says, each step with an outcome by chance."""
    for settle in todo.settles:
        well = settle.failure is None and not settle.is_stopped
        state = StepState.COMPLETED if well else StepState.CANCELLED if settle.is_stopped else StepState.FAILED
        records[settle.place.key] = record(settle.place.key, state, FOREACH, at, dict(settle.record.output or {}))
    for call in todo.stops:
        records[call.place.key] = record(call.place.key, StepState.CANCELLED, "x", at)
    for call in todo.calls:
        key, step = call.place.key, call.place.step
        if step.type == FOREACH:
            records[key] = record(key, StepState.STARTED, FOREACH, at, {"items": ITEMS[step.id]})
        else:
            state = chance.choices([StepState.COMPLETED, StepState.STARTED, StepState.FAILED], [6, 3, 0.5])[0]
            records[key] = record(key, state, "x", at)
    for key, known in list(records.items()):
        if known.state is StepState.STARTED and known.type == "x" and chance.random() < 0.4:
            records[key] = record(key, StepState.COMPLETED, "x", at)


@pytest.mark.parametrize("strategy", ["abort", "continue"])
def test_what_is_kept_changes_no_plan(strategy: str) -> None:
    definition = definition_for(strategy)
    for seed in range(150):
        chance = random.Random(seed)  # noqa: S311 - no secret
        records, settled, is_stopping = Records(), set[str](), False
        for turn in range(60):
            at = NOW + timedelta(seconds=turn)
            is_stopping = is_stopping or chance.random() < 0.01
            kept = plan(definition, records, at, is_stopping=is_stopping, settled=settled)
            anew = plan(definition, dict(records), at, is_stopping=is_stopping)
            assert shown(kept) == shown(anew), (seed, turn)
            if anew.finish is not None:
                break
            follow(anew, records, chance, at)
        else:
            raise AssertionError(f"history {seed} does not come to an end")


def test_a_loop_behind_another_one_holds_its_turns_back() -> None:
    definition = definition_for("abort")
    records = Records({"l1": record("l1", StepState.COMPLETED, FOREACH, NOW, {"items": [1, 2, 3]})})
    for turn in range(3):
        records[f"a[{turn}]"] = record(f"a[{turn}]", StepState.COMPLETED, "x", NOW)
    records["l3"] = record("l3", StepState.STARTED, FOREACH, NOW, {"items": [1, 2, 3]})

    assert [call.place.key for call in plan(definition, records, NOW).calls] == ["d[0]"]
    records["d[0]"] = record("d[0]", StepState.FAILED, "x", NOW)
    todo = plan(definition, records, NOW)
    assert ([settle.place.key for settle in todo.settles], todo.calls) == (["l3"], [])
