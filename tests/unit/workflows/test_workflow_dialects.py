"""Files in each published dialect are read as they are; they are valid once their step types are registered."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict
from tests.architecture.source import ROOT
from tests.unit.workflows.kinds import Kind

from bcce.workflows.definition import Step, Strategy
from bcce.workflows.expressions import Expressions
from bcce.workflows.reader import read_definition
from bcce.workflows.step_types.agent import AgentParams
from bcce.workflows.validation import check_definition

FOLDER = ROOT / "tests" / "fixtures" / "workflows"
FILES = sorted(FOLDER.glob("*.yaml"))
#: What a fragment is put into.
NAME, STEPS = "name: fragment\n", "steps:\n  - {id: a, type: agent}\n"


class ScanParams(BaseModel):
    model_config = ConfigDict(extra="forbid")

    config: dict[str, str]


class DumpParams(BaseModel):
    model_config = ConfigDict(extra="forbid")

    connection: str
    target: str
    keep_days: int = 7


TYPES = {kind.name: kind for kind in (Kind("agent", AgentParams), Kind("acme:licence-scan", ScanParams), Kind("pg:dump", DumpParams))}


def text_of(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    head = NAME if ".fragment." in file.name else ""
    return head + text + ("" if "\nsteps:" in text else STEPS)


def steps_of(name: str) -> dict[str, Step]:
    return dict(read_definition(text_of(FOLDER / name)).by_id)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_is_read_unchanged_and_is_valid(file: Path) -> None:
    definition = read_definition(text_of(file))

    assert check_definition(definition, TYPES, Expressions()) == ()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_is_read_where_its_step_types_are_not_installed(file: Path) -> None:
    rules = {item.rule_id for item in check_definition(read_definition(text_of(file)), {}, Expressions())}

    assert rules == {"workflow.unknown-step-type"}


def test_names_order_retries_and_context() -> None:
    steps = steps_of("by-name.yaml")

    assert [step.depends_on for step in steps.values()] == [None, ("collect",)]
    assert steps["collect"].retry is not None
    assert (steps["collect"].retry.attempts, str(steps["collect"].retry.backoff)) == (4, "linear")
    assert steps["write"].given == {"context": {"collected_before": "{{steps.collect.output}}"}}


def test_parameters_beside_the_keys() -> None:
    assert steps_of("plugin-type.fragment.yaml")["save_tables"].given == {
        "connection": "${WAREHOUSE_URL}",
        "target": "s3://dumps/weekly/",
        "keep_days": 30,
    }
    assert steps_of("custom-type.fragment.yaml")["licence-scan"].given == {"config": {"catalogue": "in-house", "level": "strict"}}


def test_an_integration_with_its_events_and_parameters() -> None:
    (found,) = read_definition(text_of(FOLDER / "integrations.fragment.yaml")).integrations

    assert (found.type, found.events) == ("notification:chat", ("workflow.started", "workflow.completed", "workflow.failed"))
    assert found.parameters == {"webhook": "${CHAT_WEBHOOK}", "channel": "#releases"}


def test_scopes_in_camel_case_and_a_branch_of_one_step() -> None:
    steps = steps_of("scopes.yaml")

    assert [steps[name].strategy for name in ("prepare", "checks")] == [Strategy.ABORT, Strategy.WAIT_ALL]
    assert {key: [step.id for step in branch.steps] for key, branch in steps["is_large"].branches.items()} == {
        "then": ["tell"],
        "else": ["go_on"],
    }
    assert (steps["dump"].type, steps["dump"].fallback and steps["dump"].fallback.type) == ("pg:dump", "agent")


def test_a_name_with_a_hyphen_is_read_with_brackets() -> None:
    file = NAME + 'steps:\n  - {id: a-b, type: agent}\n  - {id: c, type: agent, context: {x: "{{ %s }}"}}\n'
    good = check_definition(read_definition(file % "steps['a-b'].output.x"), TYPES, Expressions())
    (bad,) = check_definition(read_definition(file % "steps.a-b.output.x"), TYPES, Expressions())

    assert good == ()
    assert "steps['a-b']" in (bad.hint or "")
