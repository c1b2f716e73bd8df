"""The JSON Schema of workflow files says what the reader and the validation say, as far as a schema can."""

from importlib.resources import files
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict
from tests.unit.workflows.json_schema import at, fits, references
from tests.unit.workflows.test_workflow_dialects import FILES, text_of
from tests.unit.workflows.test_workflow_dialects import TYPES as DIALECT_TYPES

from bcce.config.document import read_yaml
from bcce.plugins import Registry
from bcce.workflows import language
from bcce.workflows.definition import SCOPES
from bcce.workflows.reader import read_all
from bcce.workflows.schema import workflow_schema
from bcce.workflows.step_type import StepType


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int


class ShellParams(BaseModel):
    model_config = ConfigDict(extra="forbid")

    command: str
    count: int = 1
    parts: list[Inner] = []


INSTALLED = {name: kind.params for name, kind in Registry("bcce.step_types", StepType).all().items()}  # type: ignore[type-abstract, attr-defined]  # a door; each class has it
OWN = {"shell": ShellParams, "a/b~c": Inner, **{name: kind.params for name, kind in DIALECT_TYPES.items()}}
SCHEMA: dict[str, Any] = workflow_schema({**INSTALLED, **OWN})


def is_good(text: str) -> bool:
    return fits(read_yaml(text).value, SCHEMA, SCHEMA)


def steps(text: str) -> str:
    return f"name: t\nsteps:\n{text}"


def test_every_reference_leads_somewhere() -> None:
    found = set(references(SCHEMA))

    assert found
    assert [at(SCHEMA, reference) for reference in found if at(SCHEMA, reference) is None] == []


def test_every_key_of_the_language_is_described() -> None:
    tables = [language.WORKFLOW, language.INPUT, language.STEP, language.RETRY, language.POLICY, language.CONCURRENCY, language.EXTRA]
    silent = [name for table in tables for name, key in table.items() if not key.meaning.endswith(".")]

    assert silent == []
    assert set(SCHEMA["properties"]) == set(language.WORKFLOW)
    assert set(SCHEMA["definitions"]["body"]["properties"]) == set(language.STEP)
    assert language.SCOPE_KEYS.keys() == SCOPES.keys()
    assert all(set(keys) <= language.SCOPE_KEYS[name].keys() for name, keys in SCOPES.items())


def test_the_defaults_are_those_of_the_reader() -> None:
    (step,) = read_all(steps("  - {id: a, type: shell, retry: {}, policy: {}}\n"))[0].steps  # type: ignore[union-attr]  # it can be read
    retry, policy = step.retry, step.policy
    assert retry is not None
    assert policy is not None

    said = {name: key.default for name, key in language.RETRY.items()}
    assert said == {
        "attempts": retry.attempts,
        "backoff": str(retry.backoff),
        "base": f"{retry.base_s:g}s",
        "cap": f"{retry.cap_s:g}s",
        "jitter": retry.jitter,
        "on": None,
    }
    known = {name: getattr(policy, name) for name in language.POLICY}
    assert {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()} == {
        name: key.default for name, key in language.POLICY.items()
    }
    assert (str(step.on_failure), step.parallel) == (language.STEP["on_failure"].default, language.STEP["parallel"].default)


def test_what_ships_and_both_dialects_fit() -> None:
    assert is_good(files("bcce.remediation").joinpath("workflows", "remediate.yaml").read_text(encoding="utf-8"))
    assert [file.name for file in FILES if not is_good(text_of(file))] == []


@pytest.mark.parametrize(
    "step",
    [
        "{id: a, type: shell, command: x, count: 2, retry: {attempts: 2, base: 5s, on: x}, timeout: 30}",
        '{id: a, type: shell, with: {command: x, count: "{{ inputs.n }}"}}',
        '{id: a, type: shell, parameters: {command: x, parts: [{size: "{{ 1 }}"}, "{{ item }}"]}}',
        "{name: a, type: not-installed, whatever: 1, policy: {max_files: 3}, on_failure: compensate}",
        "{id: a, type: a/b~c, size: 1}",
        "{id: a, type: foreach, items: [1], concurrency: 2, failureStrategy: wait_all, steps: {id: b, type: shell, command: x}}",
        "{id: a, type: condition, condition: true, then: [{id: b, type: shell, command: x}]}",
        "{id: a, type: resilient, step: {type: shell, command: x}, fallback: {type: shell, command: y}}",
    ],
)
def test_what_is_right_fits(step: str) -> None:
    text = steps(f"  - {step}\n")

    assert read_all(text)[1] == []
    assert is_good(text)


@pytest.mark.parametrize(
    "step",
    [
        "{type: shell, command: x}",
        "{id: a}",
        "{id: a b, type: shell, command: x}",
        "{id: a, type: shell}",
        "{id: a, type: shell, command: x, comand: y}",
        "{id: a, type: shell, with: {command: x, comand: y}}",
        "{id: a, type: shell, command: x, count: many}",
        "{id: a, type: shell, command: x, parts: [{size: many}]}",
        "{id: a, type: shell, command: x, retry: {atempts: 2}}",
        "{id: a, type: shell, command: x, timeout: soon}",
        "{id: a, type: shell, command: x, fallback: {type: shell, depends_on: b, command: x}}",
        "{id: a, type: parallel, concurrency: 2, steps: []}",
        "{id: a, type: foreach, steps: []}",
        "{id: a, type: condition, condition: true, than: []}",
        "{id: a, type: group, failure_strategy: stop, steps: []}",
        "{id: a, type: group, steps: [{id: b}]}",
    ],
)
def test_what_is_wrong_does_not_fit(step: str) -> None:
    assert not is_good(steps(f"  - {step}\n"))


@pytest.mark.parametrize(
    "text",
    [
        "name: t\n",
        "steps: []\n",
        "name: t\nstepz: []\nsteps: []\n",
        "name: t\nversion: 3\nsteps: []",
        "name: t\ninputs: {a: x}\nsteps: []\n",
    ],
)
def test_a_file_that_is_wrong_does_not_fit(text: str) -> None:
    assert not is_good(text)
