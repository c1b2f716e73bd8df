"""`bcce workflow run`, `run watch` and `run show` as a person sees them: on a terminal, in a file, and when they go away."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.test_cli import Shell, free_port
from tests.terminal import Terminal

WORKFLOW = """\
version: "1.0"
name: talk
steps:
  - {id: a, type: set, text: hello}
  - id: both
    type: parallel
    steps:
      - {id: p, type: set, n: 1}
      - {id: q, type: wait, event: go}
outputs: {text: "{{ steps.a.output.text }}"}
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "talk.yaml").write_text(WORKFLOW, encoding="utf-8")
    shell.environment["BCCE_WORKFLOWS__DIRECTORY"] = str(folder)
    return shell


class Window:
    """A command on a terminal of its own."""

    def __init__(self, shell: Shell, *words: str, columns: int = 80, lines: int = 24) -> None:
        self.terminal = Terminal(columns)
        self._fd, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = {name: value for name, value in shell.environment.items() if name != "COLUMNS"} | {"TERM": "xterm"}
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "bcce", *words], stdin=other, stdout=other, stderr=other, cwd=shell.folder, env=environment
        )
        os.close(other)

    def until(self, is_there: Callable[[list[str]], bool]) -> list[str]:
        """The rows of the terminal, once they are as wanted."""
        deadline = time.monotonic() + 40
        while not is_there(self.terminal.rows):
            assert time.monotonic() < deadline, self.terminal.rows
            self._read()
        return self.terminal.rows

    def end(self) -> int:
        """The exit status; what was still to come is on the terminal then."""
        deadline = time.monotonic() + 60
        while self._read():
            assert time.monotonic() < deadline, self.terminal.rows
        os.close(self._fd)
        return self.process.wait(30)

    def _read(self) -> bool:
        if not select.select([self._fd], [], [], 0.2)[0]:
            return self.process.poll() is None
        try:
            found = os.read(self._fd, 65536)
        except OSError:
            return False
        self.terminal.write(found.decode(errors="replace"))
        return bool(found)


def waits(rows: list[str]) -> bool:
    return any("q waits for the event go" in row for row in rows)


def the_run(shell: Shell) -> str:
    return str(json.loads(shell.ok("run", "list", "--json"))["items"][0]["id"])


def test_a_run_is_drawn_in_place_and_its_tree_stays(shell: Shell) -> None:
    shell.server = shell.start(free_port())
    try:
        window = Window(shell, "workflow", "run", "talk")
        rows = window.until(waits)
        run_id = the_run(shell)
        assert [row.split("  ")[0] for row in rows] == [run_id, "", "", "", "", "", ""]
        assert [row.split()[:2] for row in rows[1:5]] == [["✓", "a"], ["▸", "both"], ["✓", "p"], ["…", "q"]]
        assert rows[3].startswith("    ✓ p")
        assert rows[5].startswith("  2 of 4 steps")

        shell.ok("run", "pause", run_id)
        window.until(lambda rows: rows[0].endswith("paused") and "paused: nothing begins" in rows[5])
        shell.ok("run", "resume", run_id)
        window.until(lambda rows: rows[0].endswith("active"))
        shell.ok("run", "signal", run_id, "go")
        assert window.end() == 0
    finally:
        shell.stop()

    rows = window.terminal.rows
    assert [row.split()[:2] for row in rows[:6]] == [
        [run_id, "talk"],
        ["✓", "a"],
        ["✓", "both"],
        ["✓", "p"],
        ["✓", "q"],
        [run_id, "completed"],
    ]
    assert json.loads("".join(rows[6:])) == {"text": "hello"}
    assert not window.terminal.strange


def test_whoever_goes_away_leaves_the_run_alone_and_is_told_how_to_come_back(shell: Shell) -> None:
    window = Window(shell, "workflow", "run", "talk")
    window.until(waits)
    window.process.send_signal(signal.SIGINT)

    assert window.end() == 1
    run_id = the_run(shell)
    assert [row for row in window.terminal.rows if row][-2:] == [
        "no longer followed; the run is kept, and this or a server goes on with it:",
        f"  bcce run watch {run_id}",
    ]
    assert json.loads(shell.ok("run", "show", run_id, "--json"))["state"] == "active"
    assert not window.terminal.strange


def test_without_a_terminal_each_change_is_a_line(shell: Shell) -> None:
    run_id = json.loads(shell.ok("workflow", "run", "talk", "--detach", "--json"))["runId"]
    shell.ok("run", "signal", run_id, "go")
    shell.ok("run", "pause", run_id)
    command = [sys.executable, "-m", "bcce", "run", "watch", run_id]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=shell.folder, env=shell.environment | {"TERM": "xterm"})  # noqa: S603 - our own program
    assert watching.stdout is not None
    paused = [watching.stdout.readline() for _ in range(2)]
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=30)
    shell.ok("run", "resume", run_id)

    lines = shell.ok("run", "watch", run_id).splitlines()

    assert paused == [f"{run_id} talk\n", f"  {run_id} paused\n"]
    assert lines[0] == f"{run_id} talk"
    assert [line.split()[0] for line in lines if " both  " in line][-1] == "✓"
    assert f"{run_id} completed" in lines
    assert "\x1b" not in "".join(lines)


def test_show_prints_the_tree(shell: Shell) -> None:
    run_id = json.loads(shell.ok("workflow", "run", "talk", "--detach", "--json"))["runId"]
    shell.ok("run", "signal", run_id, "go")
    shell.ok("run", "watch", run_id)
    again = json.loads(shell.ok("run", "retry", run_id, "--from", "both", "--json"))["runId"]

    shown = shell.ok("run", "show", run_id).splitlines()
    copied = shell.ok("run", "show", again).splitlines()

    assert [line.partition("  completed")[0] for line in shown[-4:]] == [
        "  ✓ a  set",
        "  ✓ both  parallel",
        "    ✓ p  set",
        "    ✓ q  wait",
    ]
    assert copied[-5] == f"  re-run of {run_id} from both"
    assert copied[-4].endswith(f"copied from {run_id}, not executed")
    assert copied[-3] == "  · both  parallel  not begun"
