"""Reading, checking and planning workflows."""

from datetime import UTC, datetime
from importlib.resources import files

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from bcce.kit.errors import InvalidInput
from bcce.workflows.definition import WorkflowDefinition
from bcce.workflows.durations import parse_duration_s
from bcce.workflows.errors import InvalidExpression, InvalidWorkflow
from bcce.workflows.expressions import Expressions
from bcce.workflows.inputs import complete_inputs
from bcce.workflows.model import Effect, completed
from bcce.workflows.parameters import problems_of
from bcce.workflows.reader import read_definition
from bcce.workflows.step_type import Done, StepContext, StepOutcome
from bcce.workflows.step_types.wait import WaitParams
from bcce.workflows.validation import check_definition

EXPRESSIONS = Expressions()
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


class NoParams(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = ""


class Noop:
    name = "noop"
    effect = Effect.PURE
    params: type[BaseModel] = NoParams

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        return Done(result=completed())


def workflow(steps: str, head: str = "") -> WorkflowDefinition:
    return read_definition(f'version: "1.0"\nname: test\n{head}steps:\n{steps}')


def findings(definition: WorkflowDefinition) -> list[tuple[str, int | None]]:
    return [(item.rule_id, item.line) for item in check_definition(definition, {"noop": Noop()}, EXPRESSIONS)]


def test_the_remediate_workflow_reads() -> None:
    text = files("bcce.remediation").joinpath("workflows", "remediate.yaml").read_text(encoding="utf-8")

    assert read_definition(text).name == "remediate"


REFERENCE_DIALECT = """
version: "1.0"
name: "code-review"
steps:
  - name: "analyze"
    type: "agent"
    parallel: false
    retry:
      attempts: 3
      backoff: exponential
  - name: "summarize"
    type: "agent"
    depends_on: ["analyze"]
    context:
      previous_output: "{{steps.analyze.output}}"
"""


def test_the_published_dialect_reads() -> None:
    definition = read_definition(REFERENCE_DIALECT)

    assert [(step.id, step.depends_on) for step in definition.steps] == [("analyze", None), ("summarize", ("analyze",))]


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("name: x\nsteps: []\n", 2, "at least one step"),
        ("name: x\nsteps:\n  - id: a\n    type: noop\n  - id: a\n    type: noop\n", 5, "used twice"),
        ("name: x\nstepz:\n  - id: a\n", 2, "no key 'stepz'"),
        ("name: x\nsteps:\n  - id: a\n", 3, "no `type`"),
        ("name: x\nsteps:\n  - id: a\n    type: noop\n    timeout: soon\n", 5, "not a duration"),
        ("name: x\nsteps:\n  - id: a\n    type: noop\n    retry: {attempts: 0}\n", 5, "`attempts`"),
        ("name: x\nsteps:\n  - id: c\n    type: condition\n", 3, "no `condition`"),
        ("name: [\n", 2, "YAML"),
        ("version: 9\nname: x\nsteps: []\n", 1, "not supported"),
    ],
)
def test_a_problem_says_where_it_is(text: str, line: int, part: str) -> None:
    with pytest.raises(InvalidWorkflow, match=part) as caught:
        read_definition(text, "w.yaml")

    assert (caught.value.path, caught.value.line) == ("w.yaml", line)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("  - {id: a, type: noop}\n", []),
        ("  - {id: a, type: nop}\n", [("workflow.unknown-step-type", 4)]),
        ("  - {id: a, type: noop, depends_on: [b]}\n", [("workflow.unknown-dependency", 4)]),
        ("  - {id: a, type: noop, depends_on: [b]}\n  - {id: b, type: noop, depends_on: [a]}\n", [("workflow.cycle", 4)]),
        ("  - {id: a, type: noop, txet: x}\n", [("workflow.wrong-parameter", 4)]),
        ('  - {id: a, type: noop, text: "{{ steps.b.output.x }}"}\n  - {id: b, type: noop}\n', [("workflow.reads-later-step", 4)]),
        ('  - {id: a, type: noop, text: "{{ steps.zz.output.x }}"}\n', [("workflow.unknown-reference", 4)]),
        ('  - {id: a, type: noop, text: "{{ 1 + }}"}\n', [("workflow.bad-expression", 4)]),
        ('  - {id: a, type: noop, text: "{{ now() }}"}\n', [("workflow.bad-expression", 4)]),
        ('  - {id: c, type: condition, condition: "true"}\n', [("workflow.empty-condition", 4)]),
    ],
)
def test_findings_have_a_rule_and_a_line(steps: str, expected: list[tuple[str, int]]) -> None:
    assert findings(workflow(steps)) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [("{{ inputs.n }}", 3), ("n is {{ inputs.n }}", "n is 3"), ({"a": ["{{ inputs.n + 1 }}"]}, {"a": [4]}), ("plain", "plain"), (5, 5)],
)
def test_rendering_keeps_types(template: object, expected: object) -> None:
    assert EXPRESSIONS.render(template, {"inputs": {"n": 3}, "steps": {}}) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("[1, 2, 3, 4, 5] | batch(2)", [[1, 2], [3, 4], [5]]),
        ("[] | batch(3)", []),
        ("[1, 2] | batch(9)", [[1, 2]]),
        ("[{'a': 1}, {'a': 2}, {'a': 3}] | map(attribute='a') | batch(2) | map('sum') | list", [3, 3]),
    ],
)
def test_a_list_is_made_of_parts(expression: str, expected: object) -> None:
    assert EXPRESSIONS.evaluate(expression, {}) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("is {{ inputs.v }}", 'is [1,"x",true,null,1.5,{"a":"ü"}]'),
        ("is {{ inputs.v[1] }}, {{ inputs.v[2] }} and {{ inputs.v[3] }}", "is x, true and null"),
        ("{{ 'is ' ~ inputs.v[2] ~ inputs.v[3] }}", "is truenull"),
        ("{{ 'is ' ~ true }}", "is true"),
        ("{{ inputs.v[:5] | join(', ') }}", "1, x, true, null, 1.5"),
        ("{{ [{'a': true}] | join(attribute='a') }}", "true"),
        ("{{ inputs.v[5] | string }}", '{"a":"ü"}'),
        ("a{{ inputs.v[3] | default('', true) }}b", "ab"),
    ],
)
def test_a_value_amid_text_is_json(template: str, expected: str) -> None:
    inputs = {"v": [1, "x", True, None, 1.5, {"a": "ü"}]}

    assert EXPRESSIONS.render(template, {"inputs": inputs, "steps": {}}) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [("inputs.b", False), ("{{ inputs.n }}", True), ("inputs.l", False), ("inputs.x", False), ("inputs.t == 'false'", True)],
)
def test_a_condition_holds_or_does_not(condition: str, expected: bool) -> None:
    assert EXPRESSIONS.truth(condition, {"inputs": {"b": False, "n": 2, "l": [], "x": None, "t": "false"}}) is expected


@pytest.mark.parametrize("condition", ["inputs.t", "{{ inputs.t }}", "inputs.t | trim", "inputs.b or inputs.t", "inputs.e"])
def test_a_text_is_no_condition(condition: str) -> None:
    with pytest.raises(InvalidExpression, match="neither true nor false"):
        EXPRESSIONS.truth(condition, {"inputs": {"t": "false", "b": False, "e": ""}})


def test_what_is_missing_is_no_text() -> None:
    for template in ("a {{ inputs.x }}", "{{ 'a' ~ inputs.x }}", "{{ [inputs.x] | join }}", "{{ inputs.x | string }}"):
        with pytest.raises(InvalidExpression):
            EXPRESSIONS.render(template, {"inputs": {}, "steps": {}})


@pytest.mark.parametrize(
    "expression",
    [
        "inputs.missing",
        "''.__class__",
        "inputs.n.__class__.__mro__",
        "'a' * 10000000",
        "9 ** 999",
        "range(3)",
        "lipsum",
        "1 / 0",
        "x" * 5000,
        "[1] | batch(0)",
        "[1] | batch('2')",
        "[1] | batch(2, 'fill')",
        "inputs.n | batch(2)",
    ],
)
def test_what_an_expression_may_not_do_is_an_error(expression: str) -> None:
    with pytest.raises(InvalidExpression):
        EXPRESSIONS.evaluate(expression, {"inputs": {"n": 3}, "steps": {}})


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("inputs.keys", "k"),
        ("inputs['values']", "v"),
        ("steps.get.output.items", [7]),
        ("steps.copy.output", {}),
        ("steps['get'].output['items']", [7]),
        ("inputs.rows | map(attribute='items') | list", [3, 4]),
        ("inputs.o.items is defined", False),
        ("inputs.o['get'] | default(1)", 1),
        ("inputs.o.items() | list == inputs.o | items | list", True),
        ("inputs.o.get('a', 2)", 0),
        ("inputs.text.upper().split()", ["A", "B"]),
        ("inputs.rows.count is defined", False),
        ("inputs.rows.count(1)", 0),
    ],
)
def test_a_key_wins_over_a_method_which_is_there_only_where_it_is_called(expression: str, expected: object) -> None:
    inputs = {"keys": "k", "values": "v", "o": {"a": 0}, "rows": [{"items": 3}, {"items": 4}], "text": "a b"}
    steps = {"get": {"output": {"items": [7]}}, "copy": {"output": {}}}

    assert EXPRESSIONS.evaluate(expression, {"inputs": inputs, "steps": steps}) == expected


@pytest.mark.parametrize(
    "expression",
    ["inputs.o.items", "inputs.o.items.a()", "inputs.o.values()", "inputs.o.pop('a')", "not inputs.text.isdigit", "inputs.rows.append(1)"],
)
def test_a_method_is_no_value_and_no_key_can_be_called(expression: str) -> None:
    with pytest.raises(InvalidExpression):
        EXPRESSIONS.evaluate(expression, {"inputs": {"o": {"values": 1}, "text": "a", "rows": []}, "steps": {}})


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("250ms", 0.25), (5, 5), ("2h", 7200), ("1d", 86400), ("1.5m", 90)])
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "part"),
    [
        *((text, "is not a duration") for text in ("", "soon", "-5s", True)),
        ("0s", "longer than 0"),
        (0, "longer than 0"),
        ("400d", "400d is longer than a duration may be, which is 30 days"),
    ],
)
def test_what_is_no_duration(text: object, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        parse_duration_s(text)


def test_inputs_are_checked_and_completed() -> None:
    definition = workflow("  - {id: a, type: noop}\n", head="inputs:\n  n: {type: integer}\n  t: {type: string, default: x}\n")

    assert complete_inputs(definition, {"n": 1}) == {"n": 1, "t": "x"}
    for wrong in ({}, {"n": "1"}, {"n": True}, {"n": 1, "z": 2}):
        with pytest.raises(InvalidInput):
            complete_inputs(definition, wrong)


@pytest.mark.parametrize("given", [{}, {"n": None, "p": None}])
def test_what_was_completed_can_be_completed_again(given: dict[str, object]) -> None:
    head = "inputs: {n: {type: integer, required: false}, p: {required: false, secret: true}, t: {default: x}}\n"
    definition = workflow("  - {id: a, type: noop}\n", head=head)
    complete = complete_inputs(definition, given)

    assert complete == complete_inputs(definition, complete) == {"n": None, "p": None, "t": "x"}
    for wrong in ({"n": "x"}, {"t": None}, {"p": 5}):
        with pytest.raises(InvalidInput):
            complete_inputs(definition, wrong)


def test_what_is_wrong_with_values_of_a_run_is_one_line_without_them() -> None:
    with pytest.raises(ValidationError) as caught:
        WaitParams.model_validate({"duration": "soon", "until": 5})
    with pytest.raises(ValidationError) as empty:
        WaitParams.model_validate({})

    assert problems_of(caught.value) == "duration: 'soon' is not a duration such as 30s, 5m or 2h; until: Input should be a valid string"
    assert problems_of(empty.value) == "give `event`, `duration`, `until`, or several of them"
