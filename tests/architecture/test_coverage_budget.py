"""The coverage check adds up lines and branches of a part, and fails when they are too few."""

import json
from pathlib import Path

import pytest
from tests.architecture.source import PACKAGE
from tools.coverage import LEAST, main, percentages


def file_facts(statements: int, covered: int, branches: int = 0, taken: int = 0) -> dict[str, dict[str, int]]:
    return {"summary": {"num_statements": statements, "covered_lines": covered, "num_branches": branches, "covered_branches": taken}}


REPORT = {
    "files": {
        "src/bcce/kit/ids.py": file_facts(8, 8, 2, 1),
        "src/bcce/kitchen/sink.py": file_facts(10, 0),
        "src/bcce/security/authz.py": file_facts(4, 4),
        "src/bcce/security/authz_more.py": file_facts(4, 0),
    }
}


@pytest.mark.parametrize(("part", "expected"), [("kit", 90.0), ("security/authz", 100.0), ("", 100 * 13 / 28), ("nothing", 100.0)])
def test_lines_and_branches_of_a_part_are_added_up(part: str, expected: float) -> None:
    assert {part: pytest.approx(expected)} == percentages(REPORT, {part: 0})


def test_the_check_fails_and_names_the_part_that_is_too_low(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "coverage.json"
    report.write_text(json.dumps(REPORT), encoding="utf-8")

    assert main([str(report)]) == 1
    assert "90.00 % of kit, and it must be 100 %" in capsys.readouterr().out


def test_the_check_passes_when_everything_is_covered(tmp_path: Path) -> None:
    report = tmp_path / "coverage.json"
    report.write_text(json.dumps({"files": {"src/bcce/kit/ids.py": file_facts(8, 8, 2, 2)}}), encoding="utf-8")

    assert main([str(report)]) == 0


@pytest.mark.parametrize("part", [part for part in LEAST if part])
def test_every_part_exists(part: str) -> None:
    """A renamed part would count as covered completely."""
    assert (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file()
