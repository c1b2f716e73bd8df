"""`bcce script check`: as a person types it, in a batch, and beside the lines of a code host."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bcce.kit.errors import ExitCode


def bcce(folder: Path, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs the command in an empty home; there is no server and no database."""
    environment = {"HOME": str(folder), "BCCE_HOME": str(folder / "home"), "PATH": os.environ["PATH"], "COLUMNS": "120"}
    argv = [sys.executable, "-m", "bcce", "script", "check", *words]
    return subprocess.run(argv, input=given, capture_output=True, cwd=folder, env=environment, timeout=120, check=False)  # noqa: S603 - our own program


@pytest.mark.parametrize(
    ("name", "script", "code"),
    [
        ("a.sh", "df -h\n", ExitCode.OK),
        ("a.sh", "systemctl restart nginx\n", ExitCode.NEEDS_APPROVAL),
        ("a.sh", "rm -rf /\n", ExitCode.BLOCKED),
        ("a.ps1", "Get-Service\n", ExitCode.OK),
        ("A.PS1", "Restart-Service Spooler\n", ExitCode.NEEDS_APPROVAL),
        ("a.ps1", "Remove-Item C:\\ -Recurse\n", ExitCode.BLOCKED),
    ],
)
def test_the_exit_code_is_the_verdict(tmp_path: Path, name: str, script: str, code: ExitCode) -> None:
    (tmp_path / name).write_text(script)

    done = bcce(tmp_path, name)
    assert (done.returncode, done.stderr) == (code, b"")
    assert not (tmp_path / "home").exists()


def test_the_worst_of_several_files_counts_and_each_is_told(tmp_path: Path) -> None:
    (tmp_path / "good.sh").write_text("uptime\n")
    (tmp_path / "bad.sh").write_text("uptime\nrm -rf /var\n")

    done = bcce(tmp_path, "good.sh", "bad.sh", "--explain")
    said = done.stdout.decode()
    assert done.returncode == ExitCode.BLOCKED
    assert "good.sh: allow\n" in said
    assert "bad.sh:2:1: block [bash.delete-tree]" in said
    assert "instead: " in said
    assert "see: T1485" in said


def test_only_what_is_blocked_may_fail_the_build(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("systemctl restart nginx\n")

    assert bcce(tmp_path, "a.sh", "--fail-on", "block").returncode == ExitCode.OK
    assert bcce(tmp_path, "-", "--fail-on", "block", given=b"rm -rf /").returncode == ExitCode.BLOCKED


def test_a_parameter_is_outside_data(tmp_path: Path) -> None:
    script = b'bash -c "echo $NAME"'

    assert b"parameter-as-code" not in bcce(tmp_path, "-", given=script).stdout
    assert b"parameter-as-code" in bcce(tmp_path, "-", "-p", "NAME", given=script).stdout


def test_json_is_what_the_api_says(tmp_path: Path) -> None:
    done = bcce(tmp_path, "-", "--format", "json", given=b"systemctl stop nginx\n")
    said = json.loads(done.stdout)

    assert (said["path"], said["verdict"], said["shell"]) == ("stdin", "approve", "bash")
    assert said["findings"][0]["rule_id"] == "bash.unknown-command"
    assert said["effects"]["services"] == ["nginx"]


def test_sarif_names_each_rule_once_and_each_place(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("touch /x\ntouch /y\nrm -rf /\n")
    log = json.loads(bcce(tmp_path, "a.sh", "--format", "sarif").stdout)
    [run] = log["runs"]
    rules = run["tool"]["driver"]["rules"]

    assert log["version"] == "2.1.0"
    assert [rule["id"] for rule in rules] == sorted({rule["id"] for rule in rules})
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    assert {result["level"] for result in run["results"]} == {"error", "warning"}
    regions = [result["locations"][0]["physicalLocation"]["region"] for result in run["results"]]
    assert sorted({region["startLine"] for region in regions}) == [1, 2, 3]
    assert all(region["endColumn"] > region["startColumn"] for region in regions if "endColumn" in region)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nowhere.sh",),
        ("--shell", "zsh", "-"),
        (".",),
        ("",),
        ("--format", "xml", "-"),
        ("-", "-"),
        ("-p", "$x", "-"),
        ("--jsonl", "--format", "json"),
        ("--jsonl", "--explain"),
    ],
)
def test_what_cannot_be_judged_is_one_line_and_64(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = bcce(tmp_path, *words, given=b"ls")

    assert done.returncode == ExitCode.USAGE
    assert done.stderr
    assert b"Traceback" not in done.stderr


def test_bytes_that_are_no_text_are_never_allowed(tmp_path: Path) -> None:
    assert bcce(tmp_path, "-", given=b"ls \xff\xfe /tmp\n").returncode == ExitCode.NEEDS_APPROVAL
    assert bcce(tmp_path, "-", given=b"").returncode == ExitCode.OK


def batch(folder: Path, *lines: object) -> tuple[int, list[dict[str, Any]]]:
    """The answers to lines; text is given as it is, everything else as JSON."""
    given = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    done = bcce(folder, "--jsonl", given=given.encode())
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_batch_answers_each_line(tmp_path: Path) -> None:
    code, answers = batch(
        tmp_path,
        {"id": "a", "shell": "bash", "script": "ls"},
        "",
        {"id": 7, "shell": "powershell", "script": "Stop-Service x"},
        {"id": None, "script": "rm -rf /"},
    )

    assert code == ExitCode.OK
    assert [(answer["id"], answer["verdict"]) for answer in answers] == [("a", "allow"), (7, "approve"), (None, "block")]
    assert all(set(answer) == {"id", "verdict", "findings", "effects", "ms"} for answer in answers)


def test_a_line_that_cannot_be_used_says_so_and_the_others_still_count(tmp_path: Path) -> None:
    unknown = {"id": 3, "shell": "zsh", "script": "ls"}
    code, answers = batch(tmp_path, "no json", {"id": 1}, {"id": 2, "script": "ls"}, [1], unknown, {"script": 5})

    assert code == ExitCode.USAGE
    assert [answer.get("verdict") for answer in answers] == [None, None, "allow", None, None, None]
    codes = [answer["error"]["code"] for answer in answers if "error" in answer]
    assert codes == ["invalid-input", "invalid-input", "invalid-input", "unknown-shell", "invalid-input"]
    assert answers[1]["id"] == 1
    assert "line 1" in answers[0]["error"]["message"]


def test_a_batch_knows_the_shell_and_the_parameters_of_the_command_line(tmp_path: Path) -> None:
    given = b'{"id":1,"script":"Get-Process"}\n{"id":2,"shell":"bash","script":"cat $f"}\n{"id":NaN,"script":"Get-Date"}\n'

    done = bcce(tmp_path, "--jsonl", "--shell", "powershell", "-p", "f", given=given)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer.get("verdict") for answer in answers] == ["allow", "approve", None]
    assert "NaN is no number of JSON" in answers[2]["error"]["message"]


def test_a_file_with_the_name_of_standard_input_does_not_hide_it(tmp_path: Path) -> None:
    (tmp_path / "stdin").write_text("uptime\n")

    done = bcce(tmp_path, "-", "stdin", given=b"rm -rf /")
    assert done.returncode == ExitCode.BLOCKED
    assert "./stdin: allow" in done.stdout.decode()


def test_a_batch_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"id":1,"script":"ls"}\n')

    assert json.loads(bcce(tmp_path, "--jsonl", "x.jsonl").stdout)["verdict"] == "allow"
    assert bcce(tmp_path, "--jsonl", "nowhere.jsonl").returncode == ExitCode.USAGE
