"""The tables of scripts in corpora/, for each shell: each line is one script, `⏎` is a line break.

`harmless` and `twins` only read. `traps` look as if they did. `admin` are ordinary changes, `dangerous` is what no repair needs.
"""

from pathlib import Path

import pytest

from bcce.kit.findings import Verdict
from bcce.safety.validators.bash import BashValidator
from bcce.safety.validators.powershell import PowerShellValidator

VALIDATORS = {"bash": BashValidator(), "powershell": PowerShellValidator()}
CORPORA = Path(__file__).parent / "corpora"


def table(shell: str, name: str) -> list[str]:
    lines = (CORPORA / f"{shell}-{name}.txt").read_text("utf-8").splitlines()
    return [line.replace("⏎", "\n") for line in lines if line]


def both(*names: str, every: int = 1) -> list[tuple[str, str]]:
    return [(shell, script) for shell in VALIDATORS for name in names for script in table(shell, name)[::every]]


@pytest.mark.parametrize(("shell", "script"), both("harmless", "twins"))
def test_what_only_reads_is_allowed(shell: str, script: str) -> None:
    judgement = VALIDATORS[shell].judge(script)

    assert judgement.verdict is Verdict.ALLOW, judgement.findings


@pytest.mark.parametrize(("shell", "script"), both("traps"))
def test_a_trap_is_not_allowed(shell: str, script: str) -> None:
    assert VALIDATORS[shell].judge(script).verdict is not Verdict.ALLOW


@pytest.mark.parametrize(("shell", "script"), both("admin"))
def test_an_ordinary_change_asks(shell: str, script: str) -> None:
    judgement = VALIDATORS[shell].judge(script)

    assert judgement.verdict is Verdict.APPROVE, judgement.findings


@pytest.mark.parametrize(("shell", "script"), both("dangerous"))
def test_what_no_repair_needs_is_blocked(shell: str, script: str) -> None:
    assert VALIDATORS[shell].judge(script).verdict is Verdict.BLOCK


@pytest.mark.parametrize("line", [0, 3, 7])
@pytest.mark.parametrize(("shell", "script"), both("dangerous", every=5))
def test_a_dangerous_line_is_found_among_harmless_ones(shell: str, script: str, line: int) -> None:
    around = [item for item in table(shell, "harmless") if "\n" not in item][10:17]

    assert VALIDATORS[shell].judge("\n".join([*around[:line], script, *around[line:]])).verdict is Verdict.BLOCK
