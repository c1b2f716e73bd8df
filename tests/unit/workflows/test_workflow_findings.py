"""Everything that can be wrong with a workflow file: its rule, the place of the key, and what to do."""

import time

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator
from tests.unit.workflows.kinds import Kind

from bcce.kit.findings import Finding
from bcce.workflows.expressions import Expressions
from bcce.workflows.reader import MAX_DEPTH, MAX_STEPS
from bcce.workflows.template import split
from bcce.workflows.validation import check_text

EXPRESSIONS = Expressions()


class ShellParams(BaseModel):
    model_config = ConfigDict(extra="forbid")

    command: str
    count: int = 1
    wait: str | float | None = None
    env: dict[str, str] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)


class PairParams(BaseModel):
    model_config = ConfigDict(extra="allow")

    @model_validator(mode="after")
    def _is_a_pair(self) -> "PairParams":
        if self.model_extra and len(self.model_extra) != 2:
            raise ValueError("give exactly two")
        return self


class AnyParams(BaseModel):
    model_config = ConfigDict(extra="allow")


TYPES = {"any": Kind("any", AnyParams), "shell": Kind("shell", ShellParams), "pair": Kind("pair", PairParams)}


def found(text: str) -> tuple[Finding, ...]:
    return check_text(text, None, TYPES, EXPRESSIONS)[1]


def steps(text: str) -> str:
    """A workflow whose `steps` begin in line 4."""
    return f"name: t\ninputs: {{host: string}}\nsteps:\n{text}"


A = "  - {id: a, type: shell, command: x}\n"
CONDITION = '  - id: c\n    type: condition\n    condition: "{{ inputs.host == 1 }}"\n    then:\n      - {id: b, type: shell, command: x}\n'
LOOP = "  - id: each\n    type: foreach\n    items: [1]\n    steps:\n      - {id: b, type: shell, command: x}\n"

CASES = {
    "unknown key of the file": ("name: t\nstepps: []\nsteps:\n" + A, "workflow.unknown-key", (2, 1), "did you mean 'steps'?"),
    "unknown key of retry": (steps(A[:-2] + ", retry: {atempts: 2}}\n"), "workflow.unknown-key", (4, 46), "did you mean 'attempts'?"),
    "unknown key of a scope": (
        steps(LOOP + "    concurency: 2\n"),
        "workflow.unknown-key",
        (9, 5),
        "did you mean 'concurrency'?",
    ),
    "key of another scope": (
        steps("  - id: p\n    type: parallel\n    concurrency: 2\n    steps:\n  " + A),
        "workflow.unknown-key",
        (6, 5),
        "known: ",
    ),
    "unknown parameter": (
        steps("  - id: a\n    type: shell\n    command: x\n    comand: y\n"),
        "workflow.wrong-parameter",
        (7, 5),
        "did you mean 'command'?",
    ),
    "unknown step type": (steps("  - id: a\n    type: shel\n"), "workflow.unknown-step-type", (5, 5), "did you mean 'shell'?"),
    "unknown step type of a fallback": (
        steps(A[:-2] + "\n    , fallback: {type: shel}}\n"),
        "workflow.unknown-step-type",
        (5, 18),
        "did you mean 'shell'?",
    ),
    "missing dependency": (
        steps(A + "  - id: b\n    type: shell\n    command: x\n    depends_on:\n      - a\n      - aa\n"),
        "workflow.unknown-dependency",
        (10, 9),
        "did you mean 'a'?",
    ),
    "dependency inside another list": (
        steps(A[:-2] + ", depends_on: [b]}\n" + LOOP),
        "workflow.unknown-dependency",
        (4, 51),
        "its own list",
    ),
    "cycle": (
        steps("  - {id: a, type: shell, command: x, depends_on: [c]}\n  - {id: b, type: shell, command: x, depends_on: [a]}\n")
        + "  - {id: c, type: shell, command: x, depends_on: [b]}\n",
        "workflow.cycle",
        (4, 38),
        "remove one of the `depends_on`",
    ),
    "step that waits for itself": (steps(A[:-2] + ", depends_on: [a]}\n"), "workflow.cycle", (4, 38), "remove one"),
    "branch never taken": (
        steps(CONDITION.replace("inputs.host == 1", "1 == 2")),
        "workflow.unreachable-step",
        (8, 9),
        "let it read an input or a step",
    ),
    "step never run": (steps(A[:-2] + "\n    , when: 'false'}\n"), "workflow.unreachable-step", (5, 7), "remove the step"),
    "loop over nothing": (steps(LOOP.replace("[1]", "[]")), "workflow.unreachable-step", (8, 9), "let it read"),
    "step in a branch": (
        steps(CONDITION + "  - id: d\n    type: shell\n    command: >-\n      say\n      {{ steps.b.output.x }}\n"),
        "workflow.may-not-have-run",
        (11, 5),
        "move the step into that branch, or ask {{ steps.b is defined }} first",
    ),
    "step in a loop": (
        steps(LOOP + '  - {id: d, type: shell, command: "{{ steps.b.output.x | default(1) }}"}\n'),
        "workflow.may-not-have-run",
        (9, 26),
        "read {{ steps.each.output.results }}",
    ),
    "turn of a loop outside it": (
        steps(LOOP + '  - {id: d, type: shell, command: "{{ steps.each.item }}"}\n'),
        "workflow.unknown-reference",
        (9, 26),
        "only the steps inside see the turn",
    ),
    "turn of a loop in its fallback": (
        steps(LOOP + '    fallback: {type: shell, command: "{{ steps.each.index }}"}\n'),
        "workflow.unknown-reference",
        (9, 29),
        "only the steps inside see the turn",
    ),
    "step that comes later": (
        steps('  - id: d\n    type: shell\n    with:\n      command: x\n      env: {A: "{{ steps.a.output.x }}"}\n' + A),
        "workflow.reads-later-step",
        (8, 13),
        "put it later",
    ),
    "step beside it": (
        steps(A + '  - {id: b, type: shell, parallel: true, command: "{{ steps.a.output.x }}"}\n'),
        "workflow.reads-later-step",
        (5, 42),
        "`depends_on`",
    ),
    "step that does not exist": (
        steps(A + '  - id: b\n    type: shell\n    command: x\n    tags: [x, "{{ steps.aa.output }}"]\n'),
        "workflow.unknown-reference",
        (8, 15),
        "did you mean 'a'?",
    ),
    "what a step does not show": (
        steps(A + '  - {id: b, type: shell, command: "{{ steps.a.outptu.x }}"}\n'),
        "workflow.unknown-reference",
        (5, 26),
        "did you mean 'output'?",
    ),
    "input that does not exist": (
        steps('  - {id: a, type: shell, command: "{{ inputs.hots }}"}\n'),
        "workflow.unknown-reference",
        (4, 26),
        "did you mean 'host'?",
    ),
    "step that outputs read": (
        steps(CONDITION) + 'outputs:\n  one: x\n  two: "{{ steps.b.output.x }}"\n',
        "workflow.may-not-have-run",
        (11, 3),
        "is defined",
    ),
    "wrong type": (
        steps("  - id: a\n    type: shell\n    command: x\n    count: many\n"),
        "workflow.wrong-parameter",
        (7, 5),
        "shell takes: command, count, wait, env, tags",
    ),
    "wrong type inside a parameter": (
        steps("  - id: a\n    type: shell\n    with:\n      command: x\n      tags:\n        - one\n        - [two]\n"),
        "workflow.wrong-parameter",
        (10, 11),
        "shell takes",
    ),
    "wrong type inside resilient": (
        steps("  - id: a\n    type: resilient\n    step:\n      type: shell\n      command: x\n      count: no\n"),
        "workflow.wrong-parameter",
        (9, 7),
        "shell takes",
    ),
    "missing parameter": (steps("  - id: a\n    type: shell\n"), "workflow.wrong-parameter", (4, 5), "shell takes: command"),
    "parameters that do not fit together": (
        steps("  - {id: a, type: pair, x: 1}\n"),
        "workflow.wrong-parameter",
        (4, 5),
        "pair takes: no parameters",
    ),
    "bad expression": (
        steps('  - id: a\n    type: shell\n    command: "{{ inputs.host + }}"\n'),
        "workflow.bad-expression",
        (6, 5),
        "operators are words",
    ),
    "unknown name": (steps(A[:-2] + "\n    , when: now() > 1}\n"), "workflow.bad-expression", (5, 7), "expressions see `inputs`, `steps`"),
    "expression that never ends": (
        steps('  - {id: a, type: shell, command: "{{ inputs.host }"}\n'),
        "workflow.bad-expression",
        (4, 26),
        "end the expression with }}",
    ),
    "item outside a loop": (
        steps('  - {id: a, type: shell, command: "{{ item }}"}\n'),
        "workflow.bad-expression",
        (4, 26),
        "expressions see",
    ),
    "group that reads a step": (
        'name: t\nconcurrency:\n  group: "{{ steps.a.output.x }}"\nsteps:\n' + A,
        "workflow.reads-later-step",
        (3, 3),
        "put it later",
    ),
    "unknown event": (
        "name: t\nintegrations:\n  - type: chat\n    events: [workflow.start]\nsteps:\n" + A,
        "workflow.unknown-event",
        (4, 5),
        "did you mean 'workflow.started'?",
    ),
    "retry of a scope": (steps(LOOP + "    retry: {attempts: 2}\n"), "workflow.misplaced-key", (9, 5), "give `retry` to the steps inside"),
    "timeout of a condition": (steps(CONDITION + "    timeout: 3s\n"), "workflow.misplaced-key", (9, 5), "put them into a group"),
    "scope without steps": (steps("  - id: g\n    type: group\n    steps: []\n"), "workflow.empty-scope", (4, 5), "add the steps"),
    "retry inside resilient": (
        steps("  - id: a\n    type: resilient\n    step:\n      type: shell\n      command: x\n      retry: {attempts: 0}\n"),
        "workflow.wrong-value",
        (9, 15),
        "attempts: 1",
    ),
    "strategy": (steps(LOOP + "    failureStrategy: abrot\n"), "workflow.wrong-value", (9, 5), "did you mean 'abort'?"),
    "syntax": ("name: t\nsteps: [\n", "workflow.syntax", (3, 1), "check indentation"),
    "no workflow": ("- x\n", "workflow.wrong-value", (1, 1), "begin with name"),
}


@pytest.mark.parametrize(("text", "rule", "place", "hint"), CASES.values(), ids=CASES)
def test_a_finding_has_the_place_of_its_key_and_a_hint(text: str, rule: str, place: tuple[int, int], hint: str) -> None:
    (finding,) = found(text)

    assert (finding.rule_id, (finding.line, finding.column)) == (rule, place), finding.message
    assert hint in (finding.hint or "")


def test_everything_is_said_at_once_and_in_file_order() -> None:
    text = """name: t
stepz: 1
steps:
  - id: a
    type: shel
  - id: b
    type: shell
    command: "{{ steps.zz.output }} {{ 1 + }}"
    timeout: soon
    depends_on: [d]
  - id: c
    timeout: 3s
  - id: d
    type: shell
    command: "{{ steps.c.output.x }}"
    count: [1]
    depends_on: [b, c]
outputs:
  x: "{{ steps.nope }}"
"""
    assert [(item.line, item.rule_id) for item in found(text)] == [
        (2, "workflow.unknown-key"),
        (5, "workflow.unknown-step-type"),
        (8, "workflow.bad-expression"),
        (9, "workflow.wrong-value"),
        (10, "workflow.cycle"),
        (11, "workflow.missing-key"),
        (16, "workflow.wrong-parameter"),
        (19, "workflow.unknown-reference"),
    ]


def test_a_cycle_is_shown_as_it_runs_and_each_is_found() -> None:
    one = "  - {id: a, type: shell, command: x, depends_on: [b]}\n  - {id: b, type: shell, command: x, depends_on: [a]}\n"
    other = "  - {id: c, type: shell, command: x, depends_on: [d, a]}\n  - {id: d, type: shell, command: x, depends_on: [c]}\n"

    assert [item.message for item in found(steps(one + other))] == [
        "these steps wait for each other: a → b → a",
        "these steps wait for each other: c → d → c",
    ]


class BuiltIn(Kind):
    __module__ = "bcce.workflows.step_types.any"


@pytest.mark.parametrize(
    ("kind", "codes", "expected"),
    [
        ("shell", "[http-timed-out, step-failed, acme-is-down]", []),
        ("shell", "http-timeout", [("workflow.unknown-code", "did you mean 'http-timed-out'?")]),
        ("ours", "acme-is-down", [("workflow.unknown-code", "the codes stand in docs/reference/errors.md")]),
        ("ours", "[http-timed-out]", []),
        ("shell", "step-timed-out", [("workflow.useless-code", "give a single try its time")]),
    ],
)
def test_codes_to_retry_after_are_known_or_a_plugins(kind: str, codes: str, expected: list[tuple[str, str]]) -> None:
    text = steps(f"  - {{id: a, type: {kind}, command: x, retry: {{on: {codes}}}}}\n")
    wrong = check_text(text, None, {**TYPES, "ours": BuiltIn("ours", ShellParams)}, EXPRESSIONS)[1]

    assert [item.rule_id for item in wrong] == [rule for rule, _ in expected]
    assert all(hint in (item.hint or "") for item, (_, hint) in zip(wrong, expected, strict=True))


def test_a_check_of_ours_speaks_for_itself() -> None:
    (finding,) = found(steps("  - {id: a, type: pair, x: 1}\n"))

    assert finding.message == "step 'a': give exactly two"


def test_a_union_gives_one_finding() -> None:
    (finding,) = found(steps("  - id: a\n    type: shell\n    command: x\n    wait: [1]\n"))

    assert finding.message == "step 'a', parameter 'wait': input should be a valid string or input should be a valid number"


FINE = {
    "values of many names": "{id: d, type: any, names: 1, types: 2, retried: 3, time: 4, failure: 5, contexts: 6, whence: 7}",
    "a value that is really called so": "{id: d, type: any, with: {retries: 3, Timeout: 4}}",
    "a default": '{id: d, type: shell, command: "{{ steps.b.output.x | default(1) }}"}',
    "a question": '{id: d, type: shell, command: "{{ steps.b.output.x if steps.b is defined else 1 }}"}',
    "a question by name": "{id: d, type: shell, command: \"{{ steps.b.output.x if 'b' in steps else 1 }}\"}",
    "an expression for a number": '{id: d, type: shell, command: x, count: "{{ inputs.host | length }}"}',
    "a name that is only known then": '{id: d, type: shell, command: "{{ steps[inputs.host] }}"}',
    "braces as text": "{id: d, type: shell, command: \"docker ps --format {{ '{{.Names}}' }}\"}",
}


@pytest.mark.parametrize("step", FINE.values(), ids=FINE)
def test_what_is_fine(step: str) -> None:
    assert found(steps(CONDITION + f"  - {step}\n")) == ()


def test_a_loop_shows_its_turn_inside_and_its_results_outside() -> None:
    inner = '    steps:\n      - {id: b, type: shell, command: "{{ item }} {{ index }} {{ steps.each.index }}"'
    inner += ', fallback: {type: shell, command: "{{ steps.each.item }}"}}\n'
    after = '      - {id: e, type: shell, command: "{{ steps.b.output }}"}\n'
    outside = '  - {id: d, type: shell, command: "{{ steps.each.output.count }}"}\n'

    assert found(steps(LOOP[: LOOP.index("    steps")] + inner + after + outside)) == ()


def test_a_default_holds_for_everything_on_the_way() -> None:
    scope: dict[str, object] = {"inputs": {}, "steps": {}}

    assert EXPRESSIONS.evaluate("steps.b.output.x | default(4)", scope) == 4
    assert EXPRESSIONS.truth("steps.b.output is not defined", scope)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a {{ b }} c", ["a ", " b ", " c"]),
        ("{{ '}}' }}", [" '}}' "]),
        ("{{ 'it\\'s }}' }}x", [" 'it\\'s }}' ", "x"]),
        ("{{ it's }}", [" it's "]),
        ("a {{ b", ["a {{ b"]),
        ("}} {", ["}} {"]),
        ("", []),
    ],
)
def test_a_text_is_split_at_its_expressions(text: str, pieces: list[str]) -> None:
    assert [piece if isinstance(piece, str) else piece.source for piece in split(text).pieces] == pieces


@pytest.mark.parametrize("text", ["{{" * 300_000, "{{ '" + "\\'" * 300_000, "{{ }}" * 100_000], ids=["open", "quotes", "many"])
def test_splitting_takes_no_longer_than_the_text(text: str) -> None:
    began = time.process_time()
    split(text)

    assert time.process_time() - began < 5


FORM = {
    "version": ("version: 3\nname: t\nsteps:\n" + A, "workflow.wrong-value", (1, 1), "supported: 1.0"),
    "a name with a blank": ("steps:\n" + A + "name: bad one\n", "workflow.wrong-value", (3, 1), "for example name"),
    "an id with a blank": (steps("  - type: shell\n    id: bad one\n    command: x\n"), "workflow.wrong-value", (5, 5), "- id: check_disk"),
    "a misspelled type": (
        steps("  - id: a\n    typ: shell\n    command: x\n"),
        "workflow.missing-key",
        (5, 5),
        "did you mean 'type' by 'typ'?",
    ),
    "another style": (steps(A[:-2] + ", dependsOn: []}\n"), "workflow.wrong-parameter", (4, 38), "did you mean 'depends_on'?"),
    "another style in a scope": (steps(LOOP + "    onFailure: continue\n"), "workflow.unknown-key", (9, 5), "did you mean 'on_failure'?"),
    "an id of a compensation": (
        steps(A[:-2] + "\n    , compensate: {id: undo, type: shell, command: x}}\n"),
        "workflow.misplaced-key",
        (5, 20),
        "it may have type",
    ),
    "a condition of a fallback": (
        steps(A[:-2] + "\n    , fallback: {type: shell, command: x, when: inputs.host == 1}}\n"),
        "workflow.misplaced-key",
        (5, 43),
        "it may have type",
    ),
    **{
        f"a value called {name}": (
            steps(f"  - {{id: a, type: any, {name}: 1}}\n"),
            "workflow.misspelled-key",
            (4, 24),
            f"did you mean '{key}'?",
        )
        for name, key in {
            "dependsOn": "depends_on",
            "depend-on": "depends_on",
            "onFailure": "on_failure",
            "retries": "retry",
            "Timeout": "timeout",
            "timout": "timeout",
            "When": "when",
            "fall_back": "fallback",
        }.items()
    },
    "no name": ("steps:\n" + A, "workflow.missing-key", (1, 1), "for example name"),
    "no steps": ("name: t\n", "workflow.missing-key", (1, 1), "begin with steps"),
    "steps that are no list": ("name: t\nsteps: 5\n", "workflow.wrong-value", (2, 1), "begin each item"),
    "a step that is no mapping": (steps(A + "  - 5\n"), "workflow.wrong-value", (5, 5), "begin each step"),
    "a step without an id": (steps(A + "  - {type: shell, command: x}\n"), "workflow.missing-key", (5, 5), "- id: check_disk"),
    "an id twice": (steps(A + A), "workflow.duplicate-id", (5, 5), "its own id"),
    "an input of no type": (
        "name: t\ninputs:\n  a: strng\nsteps:\n" + A,
        "workflow.wrong-value",
        (3, 3),
        "did you mean 'string'?",
    ),
    "a default of the wrong type": (
        "name: t\ninputs:\n  a:\n    type: integer\n    default: x\nsteps:\n" + A,
        "workflow.wrong-value",
        (5, 5),
        "give a value of the type integer",
    ),
    "a flag": (steps(A[:-2] + ", parallel: 1}\n"), "workflow.wrong-value", (4, 38), "parallel: true"),
    "names": (steps(A[:-2] + ", depends_on: {a: b}}\n"), "workflow.wrong-value", (4, 38), "for example [first, second]"),
    "too long a time": (steps(A[:-2] + ", timeout: 400d}\n"), "workflow.wrong-value", (4, 38), "at most 30 days"),
    "no time": (steps(A[:-2] + ", timeout: 0}\n"), "workflow.wrong-value", (4, 38), "more than 0"),
    "items that are no list": (steps(LOOP.replace("[1]", "5")), "workflow.wrong-value", (6, 5), "for example items"),
    "an input where there are none": (
        "name: t\nsteps:\n  - {id: a, type: shell, command: '{{ inputs.x }}'}\n",
        "workflow.unknown-reference",
        (3, 26),
        "there are no inputs",
    ),
    "a filter that is nearly one": (
        steps("  - {id: a, type: shell, command: '{{ 1 | lenght }}'}\n"),
        "workflow.bad-expression",
        (4, 26),
        "did you mean 'length'?",
    ),
    "a filter that is none": (
        steps("  - {id: a, type: shell, command: '{{ 1 | b64zz }}'}\n"),
        "workflow.bad-expression",
        (4, 26),
        "filters: abs, batch, ",
    ),
    "a length of time": (steps(A[:-2] + ", timeout: soon}\n"), "workflow.wrong-value", (4, 38), "write 30s"),
    "a mapping": (steps(A[:-2] + ", retry: 3}\n"), "workflow.wrong-value", (4, 38), "for example retry: {attempts: 3}"),
    "jitter": (steps(A[:-2] + ", retry: {jitter: 2}}\n"), "workflow.wrong-value", (4, 46), "jitter: 0.1"),
    "a word": (steps(A[:-2] + ", on_failure: stop}\n"), "workflow.wrong-value", (4, 38), "one of: compensate, continue, fail"),
    "policy": (
        steps(A[:-2].replace("shell", "pair").replace("command: x", "x: 1") + ", policy: {max_files: -1}}\n"),
        "workflow.wrong-value",
        (4, 40),
        "",
    ),
    "a group without a name": ("name: t\nconcurrency: {limit: 2}\nsteps:\n" + A, "workflow.missing-key", (2, 1), "group: "),
    "an integration without a type": ("name: t\nintegrations: [{channel: x}]\nsteps:\n" + A, "workflow.missing-key", (2, 16), "type: "),
    "a branch of no condition": (steps(A[:-2] + ", then: []}\n"), "workflow.misplaced-branch", (4, 38), "type: condition"),
    "a condition without one": (
        steps("  - {id: c, type: condition, then: {id: b, type: shell, command: x}}\n"),
        "workflow.missing-key",
        (4, 5),
        "condition: ",
    ),
    "a loop without items": (
        steps("  - {id: c, type: foreach, steps: {id: b, type: shell, command: x}}\n"),
        "workflow.missing-key",
        (4, 5),
        "items: ",
    ),
    "a resilient step without one": (steps("  - {id: a, type: resilient}\n"), "workflow.missing-key", (4, 5), "step: {type: http"),
    "a fallback that holds steps": (steps(A[:-2] + ", fallback: {type: group}}\n"), "workflow.missing-key", (4, 38), "type: workflow"),
    "a parameter twice": (steps(A[:-2] + ", with: {command: y}}\n"), "workflow.wrong-value", (4, 26), "keep one of them"),
}


@pytest.mark.parametrize(("text", "rule", "place", "hint"), FORM.values(), ids=FORM)
def test_a_problem_of_form_has_a_place_and_a_hint(text: str, rule: str, place: tuple[int, int], hint: str) -> None:
    (finding,) = found(text)

    assert (finding.rule_id, (finding.line, finding.column)) == (rule, place), finding.message
    assert hint in (finding.hint or "")


def test_a_file_has_limits() -> None:
    many = "".join(f"  - {{id: s{number}, type: shell, command: x}}\n" for number in range(MAX_STEPS + 1))
    deep = "{id: s0, type: shell, command: x}"
    for level in range(1, MAX_DEPTH + 1):
        deep = f"{{id: s{level}, type: group, steps: {deep}}}"

    assert [(item.rule_id, item.line) for item in found(steps(many))] == [("workflow.too-many-steps", 4 + MAX_STEPS)]
    assert "workflow.too-deep" in [item.rule_id for item in found(steps(f"  - {deep}\n"))]
