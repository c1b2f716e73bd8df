"""The commands as a person types them: real processes, a real server, a home of their own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcce.kit.errors import ExitCode

FIRING = {
    "version": "4",
    "status": "firing",
    "alerts": [{"status": "firing", "labels": {"alertname": "Disk"}, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z"}],
}


#: What Python ends with after an exception that nobody caught is 1 too, so the absence of a traceback is looked at as well.
INTERNAL = 70


class Shell:
    """A folder with a home in which commands are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.server: subprocess.Popen[str] | None = None
        self.environment = {"HOME": str(folder), "BCCE_HOME": str(self.home), "PATH": os.environ["PATH"], "COLUMNS": "120"}

    def run(self, *words: str, given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "bcce", *words]
        environment = self.environment | variables
        return subprocess.run(argv, input=given, capture_output=True, text=True, cwd=self.folder, env=environment, timeout=60, check=False)  # noqa: S603 - our own program

    def ok(self, *words: str, given: str = "") -> str:
        done = self.run(*words, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *words: str, given: str = "") -> object:
        return json.loads(self.ok(*words, "--json", given=given))

    def stop(self) -> None:
        if self.server is not None and self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
            self.server.communicate(timeout=30)

    def start(self, port: int) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "bcce", "serve", "--port", str(port)]
        server = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder, env=self.environment)  # noqa: S603 - our own program
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return server
            if server.poll() is not None:
                break
            time.sleep(0.05)
        server.kill()
        raise AssertionError(server.communicate()[0])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def served(shell: Shell) -> Iterator[Shell]:
    shell.server = shell.start(free_port())
    yield shell
    shell.stop()


def test_help_names_every_command(shell: Shell) -> None:
    said = shell.ok("--help")

    for name in ("alert", "audit", "config", "demo", "incident", "init", "serve", "token", "workflow"):
        assert f"\n  {name} " in said


def test_init_writes_a_file_that_is_valid_and_is_not_overwritten(shell: Shell) -> None:
    shell.ok("init")
    (shell.folder / "bcce.config.yaml").read_text()
    assert "valid" in shell.ok("config", "validate")

    again = shell.run("init")
    assert (again.returncode, "--force" in again.stderr) == (1, True)


def test_a_wrong_key_is_named_with_file_and_line(shell: Shell) -> None:
    (shell.folder / "bcce.config.yaml").write_text('version: "1.0"\nserver:\n  prot: 80\n')
    done = shell.run("config", "validate")

    assert done.returncode not in (0, 70)
    assert "bcce.config.yaml" in done.stderr + done.stdout
    assert "prot" in done.stderr + done.stdout
    assert ":3" in done.stderr + done.stdout or "line 3" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://bcce:hunter2secret",
        "postgresql://bcce:hunter2secret/x",
        "postgresql://bcce:hunter2secret@h:notaport/x",
        "postgresql://bcce:hunter2secret@[::1/x",
        "postgresql://bcce:hunter2secret@h",
        "oracle://bcce:hunter2secret@h/x",
        "sqlite:/hunter2secret",
        "hunter2secret",
    ],
)
@pytest.mark.parametrize(("words", "code"), [(("config", "validate"), ExitCode.FAILED), (("incident", "list"), ExitCode.USAGE)])
def test_an_address_that_is_none_is_one_line_without_the_password(shell: Shell, words: tuple[str, ...], code: int, url: str) -> None:
    done = shell.run(*words, BCCE_DATABASE__URL=url)

    assert done.returncode == code
    assert "database.url" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_lease_that_heartbeats_cannot_keep_is_refused(shell: Shell) -> None:
    done = shell.run("config", "validate", BCCE_WORKFLOWS__LEASE_S="6", BCCE_WORKFLOWS__HEARTBEAT_S="5")

    assert (done.returncode, "a lease has to last for 2 heartbeats" in done.stderr) == (ExitCode.FAILED, True)


def test_a_database_whose_keys_are_lost_is_not_opened_with_new_ones(shell: Shell) -> None:
    assert shell.run("incident", "list").returncode == ExitCode.OK
    kept = shell.home / "kept"
    (shell.home / "keys").rename(kept)
    for _ in range(2):  # what was made for the first try is gone again
        lost = shell.run("incident", "list")
        assert (lost.returncode != ExitCode.OK, "[lost-keys]" in lost.stderr) == (True, True)

    (shell.home / "keys").rmdir()
    kept.rename(shell.home / "keys")
    assert shell.run("audit", "verify").returncode == ExitCode.OK


def test_a_lost_token_file_is_written_anew_and_the_old_token_can_be_revoked(shell: Shell) -> None:
    assert shell.run("incident", "list").returncode == ExitCode.OK
    (shell.home / "admin.token").unlink()
    lost = shell.run("incident", "list")
    assert "`bcce token recover`" in lost.stderr

    done = shell.run("token", "recover", "--json")
    made = json.loads(done.stdout)
    tokens = json.loads(shell.run("token", "list", "--json").stdout)["items"]

    assert (made["name"], Path(made["file"]).stat().st_mode & 0o777) == ("recovered administrator", 0o600)
    assert {item["name"] for item in tokens} == {"recovered administrator", "first administrator"}
    old = next(item["id"] for item in tokens if item["name"] == "first administrator")
    assert shell.run("token", "revoke", old).returncode == ExitCode.OK
    (shell.home / "admin.token").write_text("")
    assert "holds no token" in shell.run("incident", "list").stderr


def test_unknown_commands_and_options_are_usage_errors(shell: Shell) -> None:
    assert shell.run("nosuch").returncode == ExitCode.USAGE
    assert shell.run("alert", "list", "--colour").returncode == ExitCode.USAGE


@pytest.mark.parametrize(
    "words", [("alert", "list"), ("incident", "list"), ("workflow", "list"), ("token", "list"), ("sop", "list"), ("audit", "verify")]
)
def test_every_list_has_a_table_and_json(served: Shell, words: tuple[str, ...]) -> None:
    served.ok(*words)

    assert served.json(*words) is not None


def test_an_alert_that_is_sent_is_shown_and_becomes_an_incident(served: Shell) -> None:
    sent = served.json("alert", "send", "-", given=json.dumps(FIRING))
    assert isinstance(sent, dict)
    shown = served.json("alert", "show", sent["alertIds"][0])
    assert isinstance(shown, dict)
    assert (shown["name"], shown["status"]) == ("Disk", "firing")
    deadline = time.monotonic() + 30
    items: list[dict[str, object]] = []
    while time.monotonic() < deadline and not items:
        listed = served.json("incident", "list")
        assert isinstance(listed, dict)
        items = listed["items"]
    incident = str(items[0]["id"])
    assert incident in served.ok("incident", "show", incident)


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (("incident", "show", "inc_nobody"), ""),
        (("incident", "approve", "inc_nobody"), ""),
        (("incident", "reject", "inc_nobody", "--comment", "x"), ""),
        (("alert", "show", "alr_nobody"), ""),
        (("alert", "send", "-"), "{"),
        (("alert", "send", "nofile.json"), ""),
        (("workflow", "show", "nobody"), ""),
        (("workflow", "validate", "nofile.yaml"), ""),
        (("workflow", "graph", "nofile.yaml"), ""),
        (("workflow", "graph", "nobody"), ""),
        (("token", "revoke", "tok_nobody"), ""),
    ],
)
def test_what_is_not_there_is_said_in_one_line_with_a_code(served: Shell, words: tuple[str, ...], given: str) -> None:
    done = served.run(*words, given=given)

    assert done.returncode not in (0, INTERNAL)
    assert "Traceback" not in done.stderr
    assert done.stderr.lower().startswith(("error:", "usage:"))


def test_a_workflow_file_is_shown_and_checked(served: Shell) -> None:
    text = served.ok("workflow", "show", "remediate")
    assert "script.dispatch" in text
    (served.folder / "mine.yaml").write_text('version: "1.0"\nname: mine\nsteps:\n  - id: a\n    type: nosuch\n')
    done = served.run("workflow", "validate", "mine.yaml")
    assert done.returncode != 0
    assert "mine.yaml:5:5: there is no step type 'nosuch'" in done.stdout
    assert served.run("workflow", "validate", "-", given="name: [").stdout.startswith("stdin:1:8: ")


def test_files_that_are_not_registered_are_shown_and_keep_no_command_from_working(shell: Shell) -> None:
    folder = shell.folder / "files"
    folder.mkdir()
    good = "name: good\nsteps:\n  - {id: a, type: set, v: 1}\n"
    for name, text in {
        "a.yaml": good,
        "b.yaml": good.replace("good", "mine"),
        "c.yaml": good.replace("good", "bad").replace("set", "st"),
    }.items():
        (folder / name).write_text(text)
    (shell.folder / "bcce.config.yaml").write_text(f"workflows:\n  directory: {folder}\n")

    wrong = f"{folder}/c.yaml:3:13: there is no step type 'st'"
    assert f"not registered: {wrong}" in shell.ok("workflow", "list").splitlines()
    assert isinstance(listed := shell.json("workflow", "list"), dict)
    assert [item["name"] for item in listed["items"]] == ["good", "mine", "remediate"]
    assert [item["path"] for item in listed["notRegistered"]] == [f"{folder}/c.yaml"]
    (folder / "b.yaml").write_text(good)
    done = shell.run("workflow", "validate", "files")
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if line[0] != " "] == [
        "files/a.yaml:1:1: the workflow 'good' also stands in b.yaml [workflow.duplicate-name]",
        "files/b.yaml:1:1: the workflow 'good' also stands in a.yaml [workflow.duplicate-name]",
        "files/c.yaml:3:13: there is no step type 'st' [workflow.unknown-step-type]",
    ]
    checked = json.loads(shell.run("workflow", "validate", "files", "--json").stdout)
    assert (checked["valid"], [item["valid"] for item in checked["files"]]) == (False, [False, False, False])
    assert json.loads(shell.run("workflow", "validate", "files", "--format", "sarif").stdout)["version"] == "2.1.0"
    assert shell.run("workflow", "validate", str(shell.folder)).returncode == 1
    assert shell.run("workflow", "validate", str(shell.home)).returncode == 64


def test_a_workflow_is_drawn_by_name_and_from_a_file(served: Shell) -> None:
    assert served.ok("workflow", "graph", "remediate").startswith("remediate\n├─ context")
    (served.folder / "mine.yaml").write_text("name: mine\nsteps:\n  - id: a\n    type: nosuch\n")
    assert served.ok("workflow", "graph", "mine.yaml", "--format", "mermaid") == 'flowchart TD\n  s0["a · nosuch"]\n'
    assert served.run("workflow", "graph", "-", "--format", "svg", given="a: [").returncode != 0
    assert "urn:bcce:workflow" in served.ok("workflow", "schema")


def test_tokens_are_made_listed_used_and_revoked(served: Shell) -> None:
    made = served.json("token", "create", "--role", "viewer", "--name", "wall")
    assert isinstance(made, dict)
    token = str(made["token"])
    assert token not in served.ok("token", "list")
    served.ok("token", "revoke", str(made["id"]))
    assert token not in served.ok("token", "list")
    listed = served.json("token", "list")
    assert isinstance(listed, dict)
    assert [item["revokedAt"] is not None for item in listed["items"] if item["id"] == made["id"]] == [True]


def test_without_a_server_the_same_commands_work_on_the_same_data(served: Shell) -> None:
    sent = served.json("alert", "send", "-", given=json.dumps(FIRING))
    assert isinstance(sent, dict)
    served.stop()

    assert "Disk" in served.ok("alert", "show", sent["alertIds"][0])


def test_a_server_ends_on_sigterm_and_a_taken_port_is_a_clear_error(shell: Shell) -> None:
    port = free_port()
    server = shell.start(port)
    second = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "bcce", "serve", "--port", str(port)],
        capture_output=True,
        text=True,
        cwd=shell.folder,
        env=shell.environment | {"BCCE_HOME": str(shell.folder / "other")},
        timeout=60,
        check=False,
    )
    assert (second.returncode != 0, str(port) in second.stderr, "Traceback" in second.stderr) == (True, True, False)
    server.send_signal(signal.SIGTERM)
    said = server.communicate(timeout=30)[0]
    assert (server.returncode, "Traceback" in said, (shell.home / "server.json").exists()) == (0, False, False)
    assert (shell.home / "admin.token").stat().st_mode & 0o777 == 0o600
