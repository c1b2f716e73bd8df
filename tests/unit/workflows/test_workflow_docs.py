"""The page about workflow files is true: every example is valid, and every word of the language is explained."""

import re

import pytest
from tests.architecture.source import ROOT
from tests.unit.workflows.json_schema import fits
from tests.unit.workflows.kinds import Kind

from bcce.config.document import read_yaml
from bcce.kit.events import EVENT_TYPES
from bcce.plugins import Registry
from bcce.workflows import language
from bcce.workflows.definition import INPUT_TYPES, SCOPES, OnFailure, Strategy
from bcce.workflows.expressions import MAX_EXPRESSION_CHARS, Expressions
from bcce.workflows.jinja import FILTERS
from bcce.workflows.model import RunState, StepState
from bcce.workflows.reader import MAX_DEPTH, MAX_STEPS
from bcce.workflows.schema import workflow_schema
from bcce.workflows.step_type import StepType, references_of
from bcce.workflows.validation import check_text
from bcce.workflows.visibility import STEP_VIEW

PAGES = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
PAGE = (ROOT / "docs" / "workflows.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```ya?ml\n(.*?)^```", re.DOTALL | re.MULTILINE)
EXAMPLES = BLOCK.findall(PAGE)


INSTALLED = Registry("bcce.step_types", StepType).all()  # type: ignore[type-abstract]  # a door
PARAMS = {name: kind.params for name, kind in INSTALLED.items()}  # type: ignore[attr-defined]  # each class has it


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.split("name: ")[1].split()[0] for example in EXAMPLES])
def test_every_example_is_valid_and_fits_the_schema(example: str) -> None:
    kinds: dict[str, StepType] = {name: Kind(name, params, references_of(INSTALLED.get(name))) for name, params in PARAMS.items()}
    definition, findings = check_text(example, None, kinds, Expressions())
    schema = workflow_schema(PARAMS)

    assert definition is not None
    assert findings == ()
    assert fits(read_yaml(example).value, schema, schema)


def test_every_yaml_example_of_the_documentation_can_be_read() -> None:
    blocks = [block for page in PAGES for block in BLOCK.findall(page.read_text(encoding="utf-8"))]

    assert len(blocks) > len(EXAMPLES)
    for block in blocks:
        read_yaml(block)


@pytest.mark.parametrize(
    "words",
    [
        *(list(keys) for keys in (language.WORKFLOW, language.INPUT, language.STEP, language.RETRY, language.POLICY, language.CONCURRENCY)),
        *(list(keys) for keys in language.SCOPE_KEYS.values()),
        [*SCOPES, language.RESILIENT],
        list(language.INTEGRATION),
        list(INPUT_TYPES),
        list(Strategy),
        list(OnFailure),
        list(StepState),
        list(RunState),
        list(FILTERS),
        [name for name in EVENT_TYPES if name.startswith("step.")],
    ],
    ids=lambda words: words[0],
)
def test_every_word_is_explained(words: list[str]) -> None:
    assert [word for word in words if f"`{word}`" not in PAGE] == []


def test_what_steps_show_and_the_limits_are_named() -> None:
    assert [name for name in STEP_VIEW if f"`steps.<id>.{name}`" not in PAGE] == []
    assert f"at most {MAX_STEPS} steps, nested {MAX_DEPTH} levels deep" in PAGE
    assert f"at most {MAX_EXPRESSION_CHARS:,} characters" in PAGE


@pytest.mark.parametrize(
    ("keys", "given"),
    [(language.RETRY, ("attempts", "backoff", "base", "cap", "jitter")), (language.POLICY, ("timeout_seconds", "max_files", "max_edits"))],
    ids=["retry", "policy"],
)
def test_the_defaults_are_those_of_the_language(keys: language.Keys, given: tuple[str, ...]) -> None:
    rows = {row.split("|")[1].strip(" `"): row.split("|")[2].strip(" `") for row in PAGE.splitlines() if row.startswith("| `")}

    assert {name: rows[name] for name in given} == {name: str(keys[name].default) for name in given}
