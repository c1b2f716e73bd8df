"""What the expressions of one place see: the inputs, the steps that are visible from there, and the turn of the loop around it. Pure."""

from collections.abc import Mapping

from bcce.workflows.definition import WorkflowDefinition
from bcce.workflows.model import Run, StepRecord, StepState
from bcce.workflows.planner import Place
from bcce.workflows.records import seen_from


def scope_at(definition: WorkflowDefinition, run: Run, records: Mapping[str, StepRecord], place: Place | None) -> dict[str, object]:
    """`{inputs, steps, item, index}` for an expression of `place`; None is the place of the workflow's outputs.

    A step inside a loop is seen from inside the same turn only. `item` and `index` are those of the innermost loop; a loop around the
    place also shows its own as `steps.<loop>.item` and `.index`.
    """
    around = definition.loops.get(place.step.id, ()) if place is not None else ()
    suffix = place.suffix if place is not None else ""
    scope: dict[str, object] = {"inputs": dict(run.inputs)}
    steps: dict[str, object] = {}
    for key, record in seen_from(records, suffix):
        name, bracket, rest = key.partition("[")
        if bracket:
            loops = definition.loops.get(name, ())
            if loops != around[: len(loops)]:
                continue
        if "." in name:
            continue
        steps[name] = _seen(record, records.get(f"{name}.fallback{bracket}{rest}"))
    if around:
        turns = [int(part) for part in suffix[1:-1].split("][")]
        for depth, name in enumerate(around):
            key = name + "".join(f"[{turn}]" for turn in turns[:depth])
            items = (records[key].output or {}).get("items")
            scope["item"], scope["index"] = (items[turns[depth]] if isinstance(items, list) else None), turns[depth]
            steps[name] = {"item": scope["item"], "index": scope["index"], "output": {}, "status": str(StepState.STARTED)}
    scope["steps"] = steps
    return scope


def _seen(record: StepRecord, fallback: StepRecord | None) -> dict[str, object]:
    """A step as others see it: one that failed, but whose fallback ended well, ended well with the fallback's output."""
    if fallback is not None and record.state is StepState.FAILED and fallback.state in (StepState.COMPLETED, StepState.SKIPPED):
        return {"output": dict(fallback.output or {}), "status": str(fallback.state), "used_fallback": True, "error": record.error}
    return {"output": dict(record.output or {}), "status": str(record.state), "used_fallback": False, "error": record.error}
