"""What `http` and `script` can tell from the file alone: a place where nothing can go, a program that is none, more than the limits."""

import pytest

from bcce.kit.clock import SystemClock
from bcce.kit.findings import Finding
from bcce.testing.breakers import MemoryBreakers
from bcce.workflows.destinations import Destinations
from bcce.workflows.exchange import Exchange
from bcce.workflows.expressions import Expressions
from bcce.workflows.sandbox import PythonSandbox
from bcce.workflows.settings import HttpSettings, ScriptSettings
from bcce.workflows.step_types.http import HttpStep
from bcce.workflows.step_types.script import ScriptStep
from bcce.workflows.validation import check_text

HEAD = "name: t\ninputs: {a: string}\nsteps:\n"


def found(step: str) -> list[Finding]:
    http = HttpSettings(allowed_hosts=("api.example.org", "*.inside.org"), max_timeout_s=60, max_response_bytes=1000)
    destinations = Destinations(http.allowed_hosts, ())
    breakers = MemoryBreakers(SystemClock())
    types = {
        "http": HttpStep(http, Exchange(destinations), destinations, breakers),
        "script": ScriptStep(ScriptSettings(max_timeout_s=5, memory_mib=64), PythonSandbox(1), breakers),
    }
    return list(check_text(HEAD + step, None, types, Expressions())[1])


@pytest.mark.parametrize(
    ("step", "rule", "says"),
    [
        ("{url: 'ftp://api.example.org/x'}", "workflow.refused-destination", "http://host/… or https://host/…"),
        ("{url: api.example.org/x}", "workflow.refused-destination", "http://host/…"),
        ("{url: 'ftp://{{ inputs.a }}/x'}", "workflow.refused-destination", "http://host/…"),
        ("{url: 'https://evil.org/x'}", "workflow.refused-destination", "may not send requests to evil.org"),
        ("{url: 'https://evil.org/{{ inputs.a }}'}", "workflow.refused-destination", "may not send requests to evil.org"),
        ("{url: 'https://api.example.org:8443/'}", "workflow.refused-destination", "api.example.org:8443"),
        ("{url: 'https://me@api.example.org/'}", "workflow.refused-destination", "holds a user name"),
        ("{url: 'https://api.example.org/', with: {timeout: 61s}}", "workflow.over-limit", "a request may take 60 s, not 61"),
        ("{url: 'https://api.example.org/', max_bytes: 1001}", "workflow.over-limit", "an answer may have 1000 bytes, not 1001"),
    ],
)
def test_a_request_that_could_never_be_sent_is_a_finding(step: str, rule: str, says: str) -> None:
    (finding,) = found(f"  - {{id: a, type: http, {step[1:]}\n")

    assert (finding.rule_id, finding.line) == (rule, 4)
    assert says in finding.message


@pytest.mark.parametrize(
    "step",
    [
        "{url: 'https://api.example.org/x', with: {timeout: 60s}}",
        "{url: 'https://{{ inputs.a }}/x'}",
        "{url: '{{ inputs.a }}'}",
        "{url: 'https://api.{{ inputs.a }}.org/x'}",
        "{url: 'https://a.inside.org/{{ inputs.a }}', with: {timeout: '{{ inputs.a }}'}, max_bytes: '{{ inputs.a }}'}",
    ],
)
def test_what_only_a_run_can_know_is_fine(step: str) -> None:
    assert found(f"  - {{id: a, type: http, {step[1:]}\n") == []


@pytest.mark.parametrize(
    ("step", "place"),
    [
        ("  - id: a\n    type: script\n    code: |\n      x = 1\n\n      print(x\n", (9, 7)),
        ("  - id: a\n    type: script\n    with:\n      code: |-  # the program\n        x = 1\n        for x\n", (9, 9)),
        ("  - id: a\n    type: script\n    code: 'x ='\n", (6, 5)),
    ],
)
def test_a_program_that_is_none_is_found_in_its_line(step: str, place: tuple[int, int]) -> None:
    (finding,) = found(step)

    assert (finding.rule_id, (finding.line, finding.column)) == ("workflow.script-syntax", place)


@pytest.mark.parametrize("code", ["-" * 60_000 + "1", "(" * 500 + ")" * 500, "x = 1\0"])
def test_a_program_that_cannot_be_read_is_a_finding(code: str) -> None:
    step = ScriptStep(ScriptSettings(), PythonSandbox(1), MemoryBreakers(SystemClock()))

    assert [item.rule for item in step.check({"code": code})] == ["workflow.script-syntax"]


def test_more_than_a_script_may_have_is_a_finding() -> None:
    step = "  - {id: a, type: script, code: 'print(\"\\d\")', memory_mib: 65, with: {timeout: 6s}}\n"

    assert [item.message for item in found(step)] == [
        "step 'a': a script may use 64 MiB of memory, not 65",
        "step 'a': a script may take 5 s, not 6",
    ]
    assert found(step.replace("65", "64").replace("6s", "5s")) == []
