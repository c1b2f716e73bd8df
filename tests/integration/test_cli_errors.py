"""What a command says when something is wrong: one line and a code of the table, never a traceback; and what it prints is whole."""

import json
import os
import pty
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from bcce.kit.errors import ExitCode

PROGRAM = (sys.executable, "-m", "bcce")
BAD = 'version: "1.0"\nname: mine\nsteps: 5\n'
UNKNOWN = 'version: "1.0"\nname: mine\nsteps:\n  - id: a\n    type: nosuch\n'


class Place:
    """A folder with a home, in which commands are run without a server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment: dict[str, str] = {
            "HOME": str(folder),
            "BCCE_HOME": str(folder / "home"),
            "PATH": os.environ["PATH"],
            "COLUMNS": "80",
        }

    def run(self, *words: str | bytes, **options: object) -> subprocess.CompletedProcess[str]:
        variables = options.pop("variables", {})
        assert isinstance(variables, dict)
        settings: dict[str, object] = {"cwd": self.folder, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        done: subprocess.CompletedProcess[str] = subprocess.run(  # type: ignore[call-overload]  # noqa: S603 - the options are ours; our own program
            (*PROGRAM, *words),
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=60,
            check=False,
            **settings,
        )
        assert ("Traceback" in done.stderr) == ("BCCE_DEBUG" in variables), done.stderr
        return done


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_init_says_why_it_cannot_write(place: Place) -> None:
    file = place.folder / "bcce.config.yaml"
    in_proc = place.run("init", cwd="/proc")
    file.symlink_to("/nonexistent/folder/file")
    dangling, forced = place.run("init"), place.run("init", "--force")
    file.unlink()
    file.mkdir()
    onto_folder = place.run("init", "--force")

    assert [done.returncode for done in (in_proc, dangling, forced, onto_folder)] == [64, 1, 64, 64]
    assert "--force" in dangling.stderr
    assert in_proc.stderr.startswith("error: bcce.config.yaml cannot be written here: ")
    assert "No such file or directory" in forced.stderr
    assert "Is a directory" in onto_folder.stderr


def test_init_says_what_is_needed_before_anything_runs(place: Place) -> None:
    said = place.run("init").stdout

    assert "remediation.enabled" in said
    assert "execution.targets" not in said


@pytest.mark.parametrize("home", ["/dev/null", "/dev/null/x", "/proc/nosuch", "/proc/self"])
@pytest.mark.parametrize("words", [("alert", "list"), ("serve", "--port", "0")])
def test_a_home_that_cannot_be_used_is_named(place: Place, home: str, words: tuple[str, ...]) -> None:
    done = place.run(*words, variables={"BCCE_HOME": home})

    assert done.returncode == ExitCode.USAGE
    assert done.stderr.startswith(f"error: state cannot be kept in {home}: ")
    assert "BCCE_HOME" in done.stderr


@pytest.mark.parametrize("identity", ["", ".", "..", "a" * 50_000, b"\xff"])
def test_what_can_be_no_id_is_refused_before_it_is_sent(place: Place, identity: str | bytes) -> None:
    done = place.run("incident", "show", identity)

    assert (done.returncode, "[invalid-id]" in done.stderr, len(done.stderr) < 200) == (64, True, True)


@pytest.mark.parametrize(
    "words",
    [
        ("alert", "list", "--name", b"\xff"),
        ("token", "create", "--role", "viewer", "--name", b"\xff"),
        ("alert", "list", "--name", "a" * 90_000),
    ],
)
def test_what_cannot_be_sent_is_said(place: Place, words: tuple[str | bytes, ...]) -> None:
    done = place.run(*words)

    assert (done.returncode, "cannot be sent" in done.stderr) == (64, True)


@pytest.mark.parametrize("words", [("workflow", "list"), ("workflow", "list", "--json"), ("--help",), ("config", "show")])
def test_a_full_disk_is_one_line_and_no_traceback(place: Place, words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = place.run(*words, stdout=full)

    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "error: No space left on device  [unexpected]")


def test_where_an_unexpected_error_came_from_is_shown_on_request(place: Place) -> None:
    with Path("/dev/full").open("w") as full:
        done = place.run("workflow", "list", stdout=full, variables={"BCCE_DEBUG": "1"})

    assert (done.returncode, "[unexpected]" in done.stderr) == (1, True)


@pytest.mark.parametrize("words", [("workflow", "show", "remediate"), ("workflow", "list"), ("config", "show")])
def test_a_reader_that_has_gone_is_no_error(place: Place, words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = place.run(*words, stdout=writing)
    os.close(writing)

    assert (done.returncode, done.stderr) == (1, "")


def test_what_an_encoding_does_not_have_is_escaped(place: Place) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    made = place.run("token", "create", "--role", "viewer", "--name", "né😀", variables=ascii_only)
    table = place.run("token", "list", variables=ascii_only)
    listed = place.run("token", "list", "--json", variables=ascii_only)

    assert [done.returncode for done in (made, table, listed)] == [0, 0, 0]
    assert "n\\u00e9\\ud83d\\ude00" in table.stdout
    assert json.loads(listed.stdout)["items"][0]["name"] == "né😀"


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [(BAD, "workflow.wrong-value", 3), (UNKNOWN, None, None), ("a: [", "workflow.syntax", 1), ("", "workflow.wrong-value", 1)],
)
def test_a_workflow_with_anything_wrong_is_json_and_exit_1(place: Place, text: str, code: str | None, line: int | None) -> None:
    (place.folder / "mine.yaml").write_text(text)
    done, plain = place.run("workflow", "validate", "mine.yaml", "--json"), place.run("workflow", "validate", "mine.yaml")
    found = json.loads(done.stdout)

    assert (done.returncode, plain.returncode, found["valid"]) == (1, 1, False)
    assert found["findings"][0]["message"] in plain.stdout
    if code is not None:
        assert (found["findings"][0]["rule_id"], found["findings"][0]["line"]) == (code, line)


def test_a_workflow_s_findings_come_as_sarif(place: Place) -> None:
    (place.folder / "mine.yaml").write_text("a: [")
    done = place.run("workflow", "validate", "mine.yaml", "--format", "sarif")
    result = json.loads(done.stdout)["runs"][0]["results"][0]

    assert (done.returncode, result["ruleId"]) == (1, "workflow.syntax")
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "mine.yaml"}


def test_a_workflow_that_cannot_be_read_is_json_and_exit_64(place: Place) -> None:
    done = place.run("workflow", "validate", "nofile.yaml", "--json")
    found = json.loads(done.stdout)

    assert (done.returncode, found["valid"], "nofile.yaml" in found["findings"][0]["message"]) == (64, False, True)


@pytest.mark.parametrize(
    ("text", "code", "expected"), [("server:\n  prot: 80\n", 1, "unknown key 'prot'"), (None, 64, "the file cannot be read")]
)
def test_a_configuration_with_anything_wrong_is_json(place: Place, text: str | None, code: int, expected: str) -> None:
    file = place.folder / "mine.yaml"
    if text is not None:
        file.write_text(text)
    done, plain = (place.run("--config", "mine.yaml", "config", "validate", *words) for words in (("--json",), ()))
    found = json.loads(done.stdout)

    assert (done.returncode, plain.returncode, found["valid"], found["file"]) == (code, code, False, str(file))
    assert expected in found["problems"][0]["message"]
    assert expected in plain.stderr


def test_a_pipe_as_configuration_is_refused_at_once(place: Place) -> None:
    os.mkfifo(place.folder / "pipe")
    done = place.run("--config", "pipe", "config", "show")

    assert (done.returncode, "no regular file" in done.stderr) == (64, True)


LISTS = [("alert", "list"), ("incident", "list"), ("workflow", "list"), ("token", "list"), ("sop", "list")]
FIRING = {
    "version": "4",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {
                "alertname": "a name of an alert that is far longer than any column\nof a table",
                "instance": "a.host.with.a.long.name",
            },
            "startsAt": "2026-01-01T00:00:00Z",
        }
    ],
}
KEYS = {"workflow": "name", "sop": "slug"}


@pytest.mark.parametrize("words", LISTS)
def test_an_id_in_a_list_is_never_broken(place: Place, words: tuple[str, ...]) -> None:
    """Neither in a pipe, where each item is one line, nor on a terminal that is far too narrow."""
    (place.folder / "body.json").write_text(json.dumps(FIRING))
    assert place.run("alert", "send", "body.json").returncode == 0
    sop = files("bcce.demo").joinpath("sops", "restart-patient.md").read_text(encoding="utf-8")
    (place.folder / "sop.md").write_text(sop)
    assert place.run("sop", "load", "sop.md").returncode == 0
    items = json.loads(place.run(*words, "--json").stdout)["items"]
    keys = [str(item[KEYS.get(words[0], "id")]) for item in items]
    piped = place.run(*words).stdout
    ours, terminal = pty.openpty()
    narrow = place.run(*words, stdout=terminal)
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # a terminal whose other end is closed
        pass
    os.close(ours)

    assert narrow.returncode == 0
    if words[0] != "incident":  # which the server makes
        assert keys
        assert [line.split()[0] for line in piped.splitlines()[1:]] == keys
        assert [key for key in keys if f"\n{key} " not in shown.decode()] == []
