"""The tables of PowerShell scripts in corpora/: each line is one script, `⏎` is a line break.

`harmless` and `twins` only read. `traps` look as if they did. `admin` are ordinary changes, `dangerous` is what no repair needs.
"""

from pathlib import Path

import pytest

from bcce.kit.findings import Verdict
from bcce.safety.validators.powershell import PowerShellValidator

VALIDATOR = PowerShellValidator()
CORPORA = Path(__file__).parent / "corpora"


def scripts(name: str) -> list[str]:
    lines = (CORPORA / f"powershell-{name}.txt").read_text("utf-8").splitlines()
    return [line.replace("⏎", "\n") for line in lines if line]


@pytest.mark.parametrize("script", [*scripts("harmless"), *scripts("twins")])
def test_what_only_reads_is_allowed(script: str) -> None:
    judgement = VALIDATOR.judge(script)

    assert judgement.verdict is Verdict.ALLOW, judgement.findings


@pytest.mark.parametrize("script", scripts("traps"))
def test_a_trap_is_not_allowed(script: str) -> None:
    assert VALIDATOR.judge(script).verdict is not Verdict.ALLOW


@pytest.mark.parametrize("script", scripts("admin"))
def test_an_ordinary_change_asks(script: str) -> None:
    judgement = VALIDATOR.judge(script)

    assert judgement.verdict is Verdict.APPROVE, judgement.findings


@pytest.mark.parametrize("script", scripts("dangerous"))
def test_what_no_repair_needs_is_blocked(script: str) -> None:
    assert VALIDATOR.judge(script).verdict is Verdict.BLOCK


@pytest.mark.parametrize("line", [0, 3, 7])
@pytest.mark.parametrize("script", scripts("dangerous")[::5])
def test_a_dangerous_line_is_found_among_harmless_ones(script: str, line: int) -> None:
    around = [item for item in scripts("harmless") if "\n" not in item][10:17]

    assert VALIDATOR.judge("\n".join([*around[:line], script, *around[line:]])).verdict is Verdict.BLOCK
