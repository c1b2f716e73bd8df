"""The `script` step without starting anything: outside text never becomes a program, and without a sandbox nothing runs."""

import pytest
from pydantic import ValidationError

from bcce.kit.clock import SystemClock
from bcce.kit.errors import BcceError
from bcce.testing.breakers import MemoryBreakers
from bcce.testing.steps import step_context
from bcce.workflows.errors import SandboxBroken, SandboxUnavailable
from bcce.workflows.expressions import Expressions
from bcce.workflows.reader import read_definition
from bcce.workflows.sandbox import PythonSandbox, SandboxLimits, SandboxResult, too_old
from bcce.workflows.settings import ScriptSettings
from bcce.workflows.step_types.data import SetStep
from bcce.workflows.step_types.script import ScriptParams, ScriptStep
from bcce.workflows.validation import check_definition

TYPES = {"script": ScriptStep, "set": SetStep}
OUTSIDE = "{{ inputs.text }}"


@pytest.mark.parametrize(
    "code",
    [
        OUTSIDE,
        "print(1)\n" + OUTSIDE,
        "x = '{{ inputs.text'",
        "{{",
        OUTSIDE + "#" * 70_000,  # too long in the file, but not once the expression was evaluated
    ],
    ids=["alone", "amid text", "open", "braces", "too long"],
)
@pytest.mark.parametrize(
    "steps",
    [
        "  - {id: s, type: script, code: CODE}",
        "  - {id: s, type: script, with: {code: CODE}}",
        "  - {id: s, type: set, fallback: {type: script, code: CODE}}",
        "  - {id: s, type: set, compensate: {type: script, code: CODE}}",
        "  - {id: l, type: foreach, items: [1], steps: [{id: s, type: script, code: CODE}]}",
        "  - {id: c, type: condition, condition: 'true', then: [{id: s, type: script, code: CODE}]}",
        "  - {id: p, type: parallel, steps: [{id: s, type: script, code: CODE}]}",
    ],
)
def test_a_script_with_an_expression_is_refused_wherever_it_stands(steps: str, code: str) -> None:
    """The one way by which text from outside could become a program of a step."""
    quoted = "'" + code.replace("'", "''").replace("\n", "\n\n      ") + "'"
    text = 'version: "1.0"\nname: t\ninputs:\n  text: {type: string}\nsteps:\n' + steps.replace("CODE", quoted)
    found = check_definition(read_definition(text), TYPES, Expressions())  # type: ignore[arg-type]  # the classes have what is looked at

    assert [item for item in found if "takes no expression" in item.message] != []


@pytest.mark.parametrize("code", [["print(1)"], {"a": 1}, 7, None, ""])
def test_a_script_is_a_text(code: object) -> None:
    with pytest.raises(ValidationError):
        ScriptParams.model_validate({"code": code})


def test_values_come_as_inputs_and_may_be_expressions() -> None:
    text = (
        'version: "1.0"\nname: t\ninputs:\n  text: {type: string}\nsteps:\n'
        "  - {id: s, type: script, code: 'print(1)', inputs: {a: '" + OUTSIDE + "'}}"
    )

    types = {"script": ScriptStep(ScriptSettings(), PythonSandbox(1), MemoryBreakers(SystemClock()))}
    assert check_definition(read_definition(text), types, Expressions()) == ()


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (7, None),
        (6, None),
        (2, "the kernel 6.1.0 has Landlock ABI 2, and ABI 6 is needed (Linux 6.12 or newer with Landlock switched on)"),
        (0, "the kernel 6.1.0 has no Landlock, and ABI 6 is needed (Linux 6.12 or newer with Landlock switched on)"),
        (-1, "the kernel 6.1.0 has no Landlock, and ABI 6 is needed (Linux 6.12 or newer with Landlock switched on)"),
    ],
)
def test_a_kernel_without_what_is_needed_is_named_with_the_reason(found: int, reason: str | None) -> None:
    assert too_old(found, 6, "6.1.0") == reason


async def test_without_a_sandbox_nothing_is_started_and_the_error_says_what_to_do() -> None:
    step = ScriptStep(ScriptSettings(), PythonSandbox(1, lambda: "the kernel is too old"), MemoryBreakers(SystemClock()))
    with pytest.raises(SandboxUnavailable) as caught:
        await step.run(step_context(), ScriptParams(code="print('{}')"))

    assert (caught.value.code, caught.value.retryable) == ("sandbox-unavailable", False)
    assert caught.value.message == "no script is started: the kernel is too old"
    assert caught.value.hint == "run this worker on such a system, or do the work with `set`, `transform` or a step of a plugin"


class BrokenSandbox(PythonSandbox):
    """One that can never be set up."""

    tries = 0

    async def run(self, code: str, stdin: bytes, limits: SandboxLimits) -> SandboxResult:
        self.tries += 1
        raise SandboxBroken()


async def test_a_machine_whose_sandbox_breaks_again_and_again_is_left_alone() -> None:
    sandbox = BrokenSandbox(1)
    step = ScriptStep(ScriptSettings(), sandbox, MemoryBreakers(SystemClock()))
    codes = []
    for _ in range(7):
        with pytest.raises(BcceError) as caught:
            await step.run(step_context(), ScriptParams(code="print('{}')"))
        codes.append(caught.value.code)

    assert codes == ["sandbox-broken"] * 5 + ["circuit-open"] * 2
    assert sandbox.tries == 5
