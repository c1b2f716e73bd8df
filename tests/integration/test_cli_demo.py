"""The demonstration, however it ends: no process and no secret of it is left behind."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
PYTHON = (sys.executable, "-m", "bcce", "demo")


class Demo:
    """A demonstration whose folder lies in one of its own, by which its processes are known too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "TMPDIR": str(folder)}

    def start(self, *words: str, **options: object) -> subprocess.Popen[str]:
        settings: dict[str, object] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen((*PYTHON, *words), env=self.environment, text=True, **settings)  # type: ignore[call-overload, no-any-return]  # noqa: S603 - our own program

    def processes(self) -> set[int]:
        """What was started with this folder for temporary files and has not ended."""
        return {int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if self._is_ours(path)}

    def _is_ours(self, path: Path) -> bool:
        try:
            return f"TMPDIR={self.folder}".encode() in path.read_bytes().split(b"\0")
        except OSError:
            return False

    def files(self) -> list[str]:
        """Every file that is left, by its path below the folder of the demonstration."""
        return sorted(str(path.relative_to(folder)) for folder in self.folders() for path in folder.rglob("*") if not path.is_dir())

    def folders(self) -> list[Path]:
        return list(self.folder.glob("bcce-demo-*"))

    def has(self, name: str) -> bool:
        return any((folder / name).exists() for folder in self.folders())

    def until(self, holds: Callable[[], bool], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, (self.processes(), self.files())
            time.sleep(0.02)


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    return Demo(tmp_path)


def test_a_demonstration_that_went_well_leaves_nothing(demo: Demo) -> None:
    process = demo.start("--yes")
    said, _ = process.communicate(timeout=90)

    assert (process.returncode, "the patient answers again" in said) == (0, True)
    assert (demo.processes(), demo.folders()) == (set(), [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("reached", ["server.log", "home/server.json", "monitor.log"])
def test_a_signal_ends_everything(demo: Demo, number: signal.Signals, reached: str) -> None:
    process = demo.start("--yes", "--keep")
    demo.until(lambda: demo.has(reached))
    process.send_signal(number)
    _, complaint = process.communicate(timeout=30)

    assert (process.returncode, complaint) == (1, "stopped\n")
    assert (demo.processes(), demo.folders()) == (set(), [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_impatient_second_signal_does_not_cut_the_cleaning_short(demo: Demo, number: signal.Signals) -> None:
    process = demo.start("--yes")
    demo.until(lambda: demo.has("monitor.log"))
    while process.poll() is None:
        process.send_signal(number)
        time.sleep(0.02)
    _, complaint = process.communicate(timeout=30)

    assert (process.returncode, complaint) == (1, "stopped\n")
    assert (demo.processes(), demo.folders()) == (set(), [])


def test_a_signal_while_a_person_is_asked_does_not_wait_for_the_answer(demo: Demo) -> None:
    person, terminal = pty.openpty()
    process = demo.start(stdin=terminal)
    assert process.stdout is not None
    said = ""
    while "Run this as" not in said:
        said += process.stdout.read(1)
    process.send_signal(signal.SIGTERM)
    _, complaint = process.communicate(timeout=30)
    os.close(person)
    os.close(terminal)

    assert (process.returncode, complaint) == (1, "stopped\n")
    assert (demo.processes(), demo.folders()) == (set(), [])


def test_a_person_who_says_no_is_heard(demo: Demo) -> None:
    person, terminal = pty.openpty()
    process = demo.start("--timeout", "5", stdin=terminal)
    os.write(person, b"perhaps\nno\n")
    said, complaint = process.communicate(timeout=90)
    os.close(person)
    os.close(terminal)

    assert (process.returncode, said.count("Run this as"), "approval-rejected" in said or "rejected" in said) == (1, 2, True)
    assert "the logs are in" in complaint
    assert demo.files() == ["monitor.log", "patient.log", "server.log"]


def test_when_the_demonstration_is_killed_its_processes_end_by_themselves(demo: Demo) -> None:
    process = demo.start("--yes")
    demo.until(lambda: demo.has("patient/service.pid") and demo.has("monitor.log"))
    assert len(demo.processes()) >= 4
    process.kill()
    process.communicate(timeout=30)

    demo.until(lambda: not demo.processes())


def test_a_reader_that_goes_away_ends_everything_quietly(demo: Demo) -> None:
    process = demo.start("--yes")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        complaint = process.stderr.read()

    assert (process.wait(timeout=30), complaint) == (1, "")
    assert (demo.processes(), demo.folders()) == (set(), [])


def test_after_a_failure_only_the_logs_are_left_and_named(demo: Demo) -> None:
    process = demo.start("--yes", "--keep", "--timeout", "0.01")
    _, complaint = process.communicate(timeout=30)

    assert process.returncode == 1
    assert f"the logs are in {demo.folders()[0]}" in complaint
    assert "[demo-failed]" in complaint
    assert (demo.processes(), demo.files()) == (set(), ["server.log"])


def test_an_output_that_cannot_be_written_is_a_failure(demo: Demo) -> None:
    with Path("/dev/full").open("w") as full:
        process = demo.start("--yes", stdout=full)
        _, complaint = process.communicate(timeout=60)

    assert (process.returncode, "Traceback" in complaint, "the logs are in" in complaint) == (1, False, True)
    assert (demo.processes(), {Path(name).suffix for name in demo.files()} <= {".log"}) == (set(), True)


def test_with_keep_everything_stays_after_it_went_well(demo: Demo) -> None:
    process = demo.start("--yes", "--keep")
    said, _ = process.communicate(timeout=90)
    pids = [int(word) for word in said.split("stop it with: kill ")[1].split()]
    try:
        time.sleep(0.5)
        assert (process.returncode, set(pids) <= demo.processes(), demo.has("home/admin.token")) == (0, True, True)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
    demo.until(lambda: not demo.processes())
