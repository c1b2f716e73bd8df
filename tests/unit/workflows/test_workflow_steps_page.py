"""docs/workflow-steps.md describes every step type of the engine, each parameter of it, and shows a file that can be registered."""

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from tests.unit.workflows.kinds import Kind

from bcce.workflows.expressions import Expressions
from bcce.workflows.reader import read_definition
from bcce.workflows.step_type import StepType, references_of
from bcce.workflows.validation import check_definition

PAGE = (Path(__file__).parents[3] / "docs" / "workflow-steps.md").read_text(encoding="utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]}
#: The classes themselves: checking a file needs their names and parameters, not what they are built from.
STEP_TYPES: dict[str, StepType] = {point.name: point.load() for point in entry_points(group="bcce.step_types")}
#: Every workflow can use these too, and `action` is only another name.
ALSO = {"shell": "shell", "action": "shell", "approval": "approval"}
GENERAL = {name: kind for name, kind in STEP_TYPES.items() if kind.__module__.startswith("bcce.workflows.") or name in ALSO}
EXAMPLES = [(name, text) for name, section in SECTIONS.items() for text in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)]


def test_every_step_type_of_the_engine_has_a_section_in_alphabetical_order() -> None:
    assert list(SECTIONS) == sorted(GENERAL)


@pytest.mark.parametrize("name", sorted(GENERAL))
def test_each_parameter_has_its_line(name: str) -> None:
    table = re.search(r"\| parameter \|.*?\n\n", SECTIONS[ALSO.get(name, name)], re.DOTALL)
    shown = re.findall(r"^\| `(\w+)` \|", table[0], re.MULTILINE) if table else []

    assert shown == [field.alias or key for key, field in GENERAL[name].params.model_fields.items()]


def test_every_section_has_an_example() -> None:
    assert {name for name, _ in EXAMPLES} == set(SECTIONS)


@pytest.mark.parametrize(("name", "text"), EXAMPLES)
def test_an_example_can_be_registered(name: str, text: str) -> None:
    definition = read_definition(text)

    kinds: dict[str, StepType] = {name: Kind(name, kind.params, references_of(kind)) for name, kind in STEP_TYPES.items()}
    assert [str(item) for item in check_definition(definition, kinds, Expressions())] == []
    assert name in {step.type for step in definition.by_id.values()}
