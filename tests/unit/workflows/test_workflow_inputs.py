"""What a run brings: read by the declared types, completed, refused."""

import pytest

from bcce.kit.errors import InvalidInput
from bcce.workflows.inputs import complete_inputs, inputs_of_texts
from bcce.workflows.reader import read_definition

DEFINITION = read_definition(
    "name: t\ninputs: {s: string, i: integer, n: number, b: boolean, o: object, a: array}\nsteps:\n  - {id: x, type: y}\n"
)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("s", "5", "5"),
        ("s", "true", "true"),
        ("s", '{"a": 1}', '{"a": 1}'),
        ("s", "", ""),
        ("i", "5", 5),
        ("n", "1.5", 1.5),
        ("b", "true", True),
        ("o", '{"a": 1}', {"a": 1}),
        ("a", "[1]", [1]),
    ],
)
def test_a_text_is_read_by_the_type_of_its_input(name: str, text: str, expected: object) -> None:
    assert inputs_of_texts(DEFINITION, {name: text}) == {name: expected}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("i", "five", "input 'i' of workflow 't' must be an integer"),
        ("i", "NaN", "input 'i' of workflow 't' must be an integer"),
        ("n", "[" * 100_000, "input 'n' of workflow 't' must be a number"),
        ("b", "yes", "input 'b' of workflow 't' must be a boolean: true or false"),
        ("a", "x", "input 'a' of workflow 't' must be an array, such as [\"web1\", \"web2\"]"),
        ("nosuch", "x", "workflow 't' has no input 'nosuch'"),
    ],
)
def test_a_text_that_is_none_of_its_type_is_refused_without_its_value(name: str, text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        inputs_of_texts(DEFINITION, {name: text})

    assert refused.value.message == said


def test_a_value_of_another_type_is_refused_in_good_english() -> None:
    good = {"s": "", "i": 1, "n": 1, "b": True, "o": {}, "a": []}

    assert complete_inputs(DEFINITION, good) == good
    with pytest.raises(InvalidInput, match=r"must be an integer$"):
        complete_inputs(DEFINITION, {**good, "i": "1"})
