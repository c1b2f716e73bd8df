"""`bcce run logs` and `bcce run artifacts` as a person types them."""

import json
from pathlib import Path

import pytest
from tests.integration.test_cli import Shell

from bcce.kit.errors import ExitCode
from bcce.kit.text import digest

WORKFLOW = """\
version: "1.0"
name: talk
inputs: {big: string}
steps:
  - {id: a, type: set, text: "{{ inputs.big }}", note: small}
  - {id: b, type: set, text: "{{ inputs.big }}!"}
  - {id: w, type: wait, duration: 10ms}
  - {id: n, type: set, when: "{{ inputs.big == '' }}"}
"""
BIG = "ü" * 20_000


@pytest.fixture
def ended(tmp_path: Path) -> tuple[Shell, str]:
    """A shell, and the id of a run of the workflow that has ended."""
    shell = Shell(tmp_path)
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "talk.yaml").write_text(WORKFLOW, encoding="utf-8")
    shell.environment["BCCE_WORKFLOWS__DIRECTORY"] = str(folder)
    (tmp_path / "inputs.json").write_text(json.dumps({"big": BIG}), encoding="utf-8")
    run = json.loads(shell.ok("workflow", "run", "talk", "--inputs", "inputs.json", "--json"))
    assert run["state"] == "completed"
    return shell, run["id"]


def test_the_log_as_text_as_json_of_a_step_and_followed(ended: tuple[Shell, str]) -> None:
    shell, run_id = ended

    lines = shell.ok("run", "logs", run_id).splitlines()
    of_step = [json.loads(line) for line in shell.ok("run", "logs", run_id, "--step", "w", "--format", "json").splitlines()]

    assert [line.split()[2] for line in lines] == ["run", *("a",) * 2, *("b",) * 2, *("w",) * 4, "n", "run"]
    assert "skipped: its condition does not hold: {{ inputs.big == '' }}" in lines[-2]
    assert [line["message"].partition(" after ")[0] for line in of_step] == [
        *("began (wait)", "waits for 10ms to pass", "the time is up", "completed")
    ]
    assert shell.ok("run", "logs", run_id, "--follow").splitlines() == lines


def test_the_log_of_no_step_and_of_one_that_never_began_say_so(ended: tuple[Shell, str]) -> None:
    shell, run_id = ended

    nosuch = shell.run("run", "logs", run_id, "--step", "nosuch")
    unknown = shell.run("run", "logs", "run_nosuch")

    assert (nosuch.returncode, nosuch.stdout) == (ExitCode.USAGE, "")
    assert "hint: steps that have lines: a, b, w, n" in nosuch.stderr
    assert "hint: `bcce run list` shows" in unknown.stderr


def test_an_input_of_type_string_is_the_text_as_it_is(ended: tuple[Shell, str]) -> None:
    shell, _ = ended

    run = json.loads(shell.ok("workflow", "run", "talk", "--input", "big=5", "--json"))

    assert (run["state"], run["inputs"]) == ("completed", {"big": "5"})


def test_artifacts_are_listed_and_written_and_nothing_is_overwritten_unasked(ended: tuple[Shell, str]) -> None:
    shell, run_id = ended
    target = shell.folder / "body.txt"

    listed = json.loads(shell.ok("run", "artifacts", run_id, "--json"))["items"]
    assert [(item["step"], item["name"], item["bytes"], item["mediaType"]) for item in listed] == [
        ("a", "output.text", 40_000, "text/plain; charset=utf-8"),
        ("b", "output.text", 40_001, "text/plain; charset=utf-8"),
    ]
    assert "sha256:" in shell.ok("run", "artifacts", run_id)

    shell.ok("run", "artifacts", run_id, "--get", "a/output.text", "--output", "body.txt")
    assert target.read_text(encoding="utf-8") == BIG
    again = shell.run("run", "artifacts", run_id, "--get", digest(f"{BIG}!".encode()), "--output", "body.txt")
    assert (again.returncode, target.read_text(encoding="utf-8")) == (ExitCode.USAGE, BIG)
    assert "body.txt is there already" in again.stderr
    assert "--force overwrites it" in again.stderr
    shell.ok("run", "artifacts", run_id, "--get", digest(f"{BIG}!".encode()), "--output", "body.txt", "--force")
    assert target.read_text(encoding="utf-8") == f"{BIG}!"
    assert shell.ok("run", "artifacts", run_id, "--get", "a/output.text", "--output", "-") == BIG


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--get", "output.text", "--output", "-"], "several steps left 'output.text'"),
        (["--get", "nothing", "--output", "-"], "the run has no artifact 'nothing'"),
        (["--get", "sha256:" + "0" * 64, "--output", "-"], "has no artifact 'sha256:000"),
        (["--get", "a/output.text"], "--get needs --output"),
        (["--output", "-"], "--output and --force need --get"),
        (["--get", "a/output.text", "--output", "no/such/folder"], "no/such/folder cannot be written"),
    ],
)
def test_what_cannot_be_got_is_said(ended: tuple[Shell, str], words: list[str], message: str) -> None:
    shell, run_id = ended

    done = shell.run("run", "artifacts", run_id, *words)

    assert done.returncode in (ExitCode.USAGE, ExitCode.FAILED)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
