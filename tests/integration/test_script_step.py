"""The `script` step inside its sandbox: what it can do, what it cannot, how it is stopped. Skipped where nothing can be locked in."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bcce.kit.clock import SystemClock
from bcce.kit.errors import BcceError
from bcce.testing.breakers import MemoryBreakers
from bcce.testing.steps import step_context
from bcce.workflows.sandbox import PythonSandbox, SandboxLimits, why_not
from bcce.workflows.settings import ScriptSettings
from bcce.workflows.step_type import Done
from bcce.workflows.step_types.script import ScriptParams, ScriptStep

OBSTACLE = why_not()
pytestmark = pytest.mark.skipif(OBSTACLE is not None, reason=f"no sandbox here: {OBSTACLE}")
MIB = 1024 * 1024


def step(**settings: Any) -> ScriptStep:
    return ScriptStep(ScriptSettings(**settings), PythonSandbox(2), MemoryBreakers(SystemClock()))


async def run(code: str, inputs: dict[str, Any] | None = None, *, by: ScriptStep | None = None, **params: Any) -> dict[str, Any]:
    outcome = await (by or step()).run(step_context(), ScriptParams(code=code, inputs=inputs or {}, **params))
    assert isinstance(outcome, Done)
    return dict(outcome.result.output)


async def error(code: str, *, by: ScriptStep | None = None, **params: Any) -> BcceError:
    with pytest.raises(BcceError) as caught:
        await run(code, by=by, **params)
    return caught.value


def is_there(path: str) -> bool:
    return Path(path).exists()


async def test_it_reads_its_inputs_and_its_last_line_is_the_output() -> None:
    code = (
        "import json, sys\ngiven = json.load(sys.stdin)\nprint('thinking')\n"
        "print(json.dumps({'sum': sum(given['n']), 'name': given['s']}))\n\n"
    )

    assert await run(code, {"n": [1, 2], "s": "grün"}) == {"sum": 3, "name": "grün"}


async def test_inputs_larger_than_a_pipe_arrive_whole_or_may_be_left_unread() -> None:
    inputs = {"s": "x" * 600_000}

    assert await run("import json, sys; print(json.dumps({'n': len(json.load(sys.stdin)['s'])}))", inputs) == {"n": 600_000}
    assert await run("print('{}')", inputs) == {}


async def test_the_environment_is_clean_and_the_folder_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BCCE_SECRET", "s3cret")
    code = "import json, os\nprint(json.dumps({'env': dict(os.environ), 'files': os.listdir('.'), 'cwd': os.getcwd()}))"
    first, second = await run(code), await run(code)

    assert sorted(first["files"]) == ["artifacts", "script.py"]
    assert first["cwd"] != second["cwd"]
    assert not is_there(first["cwd"])
    assert set(first["env"]) <= {"HOME", "TMPDIR", "LC_CTYPE", "PATH", "USER", "TERM", "LANG"}
    assert "s3cret" not in str(first)


async def test_it_may_use_the_standard_library_and_write_into_its_folder() -> None:
    code = (
        "import asyncio, csv, datetime, decimal, hashlib, json, re, statistics, tempfile, threading, zoneinfo\n"
        "with tempfile.NamedTemporaryFile('w+') as file: file.write('a'); file.flush(); file.seek(0); text = file.read()\n"
        "done = []\nthread = threading.Thread(target=done.append, args=(1,)); thread.start(); thread.join()\n"
        "print(json.dumps({'text': text, 'threads': done, 'loop': asyncio.run(asyncio.sleep(0, 2))}))"
    )

    assert await run(code) == {"text": "a", "threads": [1], "loop": 2}


async def test_it_has_no_libraries_of_the_server() -> None:
    assert (await error("import bcce")).message.endswith("ModuleNotFoundError: No module named 'bcce'")
    assert (await error("import httpx")).message.endswith("ModuleNotFoundError: No module named 'httpx'")


@pytest.fixture
def prey(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What a script could be after: a file, an open descriptor, listeners on the network and on a path, this process."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    descriptor = os.open(secret, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "listener"))
        unix.listen()
        yield {
            "secret": str(secret),
            "folder": str(tmp_path),
            "fd": descriptor,
            "port": tcp.getsockname()[1],
            "listener": str(tmp_path / "listener"),
            "pid": os.getpid(),
        }
    os.close(descriptor)


def state(path: str) -> tuple[str, int]:
    """What is in the file, and who may do what with it."""
    return Path(path).read_text(), Path(path).stat().st_mode & 0o777


ATTACKS = {
    "read a file": "open(p['secret']).read()",
    "write a file": "open(p['folder'] + '/new', 'w')",
    "truncate a file": "os.truncate(p['secret'], 0)",
    "list a folder": "os.listdir(p['folder'])",
    "list the root": "os.listdir('/')",
    "read accounts": "open('/etc/passwd')",
    "link a file": "os.link(p['secret'], 'here')",
    "follow a link": "os.symlink(p['secret'], 'here'); open('here')",
    "move a file": "os.rename(p['secret'], 'here')",
    "delete a file": "os.unlink(p['secret'])",
    "open it to everybody": "os.chmod(p['secret'], 0o666)",
    "give it away": "os.chown(p['secret'], 1, 1)",
    "change its times": "os.utime(p['secret'])",
    "mark it": "os.setxattr(p['secret'], 'user.a', b'x')",
    "use an open descriptor": "os.read(p['fd'], 10)",
    "connect": "socket.create_connection(('127.0.0.1', p['port']), timeout=3)",
    "connect to a path": "socket.socket(socket.AF_UNIX).connect(p['listener'])",
    "listen": "socket.create_server(('127.0.0.1', 0))",
    "send a datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', p['port']))",
    "look up a name": "socket.getaddrinfo('example.org', 80)",
    "open a raw socket": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "fork": "os.fork()",
    "start a program": "__import__('subprocess').run(['/bin/true'])",
    "become a program": "os.execv('/bin/sh', ['sh', '-c', 'exit 0'])",
    "kill the server": "os.kill(p['pid'], 9)",
    "read the server's environment": "open(f'/proc/{p[\"pid\"]}/environ').read()",
    "read the server's memory": "open(f'/proc/{p[\"pid\"]}/mem', 'rb').read(1)",
    "trace the server": "c(libc.ptrace(16, p['pid'], 0, 0))",
    "read memory by call": "c(libc.syscall(310, p['pid'], 0, 0, 0, 0, 0))",
    "mount": "c(libc.mount(b'none', b'.', b'tmpfs', 0, 0))",
    "leave its user": "c(libc.unshare(0x10000000))",
    "keep memory beside the limit": "os.memfd_create('x')",
    "nest folders": "os.mkdir('a')",
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_it_cannot(attack: str, prey: dict[str, Any]) -> None:
    code = (
        "import ctypes, json, os, socket, sys\np = json.load(sys.stdin)\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "def c(result):\n    if result < 0: raise OSError(ctypes.get_errno(), 'refused')\n"
        "try:\n    " + ATTACKS[attack] + "\nexcept OSError as error:\n    print(json.dumps({'refused': True}))\n"
        "else:\n    print(json.dumps({'refused': False}))"
    )

    assert await run(code, prey) == {"refused": True}
    assert state(prey["secret"]) == ("s3cret", 0o600)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise ValueError('no \\x1b[31m colour')", "the script ended with 1: ValueError: no [31m colour"),
        ("import sys; sys.exit(3)", "the script ended with 3"),
        ("def f(:", "the script ended with 1: SyntaxError: invalid syntax"),
    ],
)
async def test_a_script_that_fails_says_its_last_line(code: str, says: str) -> None:
    found = await error(code)

    assert (found.code, found.retryable, found.message) == ("script-failed", False, says)


@pytest.mark.parametrize(
    "code", ["pass", "print('no')", "print([1])", "print('{\"a\": NaN}')", "print('{}'); print('end')", "print('[' * 100000)"]
)
async def test_a_script_has_to_end_with_an_object(code: str) -> None:
    assert (await error(code)).code == "script-output-invalid"


@pytest.mark.parametrize(
    "code", ["while True: pass", "import time; time.sleep(60)", "import os; os.close(1); os.close(2)\nwhile True: pass"]
)
async def test_a_script_that_takes_too_long_is_stopped(code: str) -> None:
    began = time.monotonic()
    found = await error(code, timeout="500ms")

    assert (found.code, found.retryable) == ("script-timed-out", True)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("x = bytearray(1 << 30)", "memory"),
        ("while True: print('x' * 1000)", "printed more than 1048576 bytes"),
        ("import sys\nwhile True: sys.stderr.write('x' * 1000)", "printed more than 1048576 bytes"),
        (
            "import time\nfor n in range(40):\n    f = open(f'f{n}', 'wb'); f.write(b'x' * (1 << 20)); f.close()\ntime.sleep(9)",
            "wrote more than 16 MiB",
        ),
        ("import time\nfor n in range(3000): open(f'f{n}', 'w').close()\ntime.sleep(9)", "1000 files"),
    ],
)
async def test_a_script_that_takes_too_much_is_stopped(code: str, says: str) -> None:
    found = await error(code)

    assert (found.code, found.retryable) == ("script-over-limit", False)
    assert says in found.message


async def test_one_file_cannot_grow_beyond_the_limit() -> None:
    assert (await error("f = open('a', 'wb')\nwhile True: f.write(b'x' * 65536)")).code in ("script-over-limit", "script-failed")


async def test_a_step_can_ask_for_less_than_the_operator_allows_but_not_for_more() -> None:
    needs = "x = bytearray(100 << 20); print('{}')"

    assert await run(needs) == {}
    assert (await error(needs, memory_mib=64)).code == "script-over-limit"
    assert (await error(needs, by=step(memory_mib=64), memory_mib=4096)).code == "script-over-limit"


def children() -> list[str]:
    """The states of this process's children, without those that only wait to be collected."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(") ")
        except OSError:
            continue
        if int(rest.split()[1]) == os.getpid() and rest[0] != "Z":
            found.append(name)
    return found


async def test_a_cancelled_step_leaves_no_process_behind() -> None:
    before = len(children())
    task = asyncio.create_task(run("while True: pass"))
    deadline = time.monotonic() + 10
    while len(children()) == before and time.monotonic() < deadline:  # noqa: ASYNC110 - a process begins without telling
        await asyncio.sleep(0.02)
    assert len(children()) == before + 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert len(children()) == before


def test_a_killed_server_takes_its_scripts_along(tmp_path: Path) -> None:
    program = (
        "import asyncio\nfrom bcce.workflows.sandbox import *\n"
        "limits = SandboxLimits(timeout_s=60, memory_bytes=1 << 28, output_bytes=1 << 20, disk_bytes=1 << 20)\n"
        'code = \'import os; open("pid", "w").write(str(os.getpid()))\\nwhile True: pass\'\n'
        "asyncio.run(PythonSandbox(1).run(code, b'', limits))"
    )
    server = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "TMPDIR": str(tmp_path)})  # noqa: S603 - our own program
    try:
        deadline = time.monotonic() + 30
        found: list[Path] = []
        while (not found or not found[0].read_text()) and time.monotonic() < deadline:
            found = list(tmp_path.glob("bcce-script-*/pid"))
            time.sleep(0.02)
        script = Path("/proc", found[0].read_text(), "stat")
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
    deadline = time.monotonic() + 10
    while script.exists() and script.read_text().rpartition(") ")[2][0] != "Z" and time.monotonic() < deadline:
        time.sleep(0.02)

    assert not script.exists() or script.read_text().rpartition(") ")[2][0] == "Z"


async def test_scripts_run_beside_each_other_and_do_not_meet() -> None:
    by = step(at_once=2)
    code = "import json, os, time\nopen('mine', 'w').close()\ntime.sleep(0.2)\nprint(json.dumps({'files': sorted(os.listdir('.'))}))"
    outputs = await asyncio.gather(*(run(code, by=by) for _ in range(4)))

    assert outputs == [{"files": ["artifacts", "mine", "script.py"]}] * 4


async def test_a_sandbox_that_cannot_be_set_up_starts_nothing_and_can_be_tried_again() -> None:
    nonsense = SandboxLimits(timeout_s=1, memory_bytes=-1, output_bytes=1, disk_bytes=1)
    with pytest.raises(BcceError) as caught:
        await PythonSandbox(1).run("print('{}')", b"", nonsense)

    assert (caught.value.code, caught.value.retryable) == ("sandbox-broken", True)


async def kept(code: str, **params: Any) -> dict[str, tuple[str | bytes, str | None]]:
    outcome = await step().run(step_context(), ScriptParams(code=code, **params))
    assert isinstance(outcome, Done)
    return {item.name: (item.content, item.media_type) for item in outcome.result.artifacts}


async def test_files_in_its_folder_for_artifacts_are_kept() -> None:
    code = (
        "open('artifacts/report.csv', 'w').write('a,b')\nopen('artifacts/noise', 'wb').write(bytes(range(256)))\n"
        "open('scratch', 'w').write('x')\nprint('{}')\n"
    )

    assert await kept(code) == {"report.csv": (b"a,b", "text/csv"), "noise": (bytes(range(256)), None)}


async def test_nothing_that_leads_out_of_the_folder_is_kept() -> None:
    code = (
        "import os\n"
        "def attempt(what, *names):\n    try:\n        what(*names)\n    except OSError:\n        pass\n"
        "attempt(os.symlink, '/etc/hostname', 'artifacts/link')\nattempt(os.link, 'script.py', 'artifacts/second')\n"
        "attempt(os.mkfifo, 'artifacts/pipe')\nopen('artifacts/good', 'w').write('x')\nprint('{}')\n"
    )

    assert await kept(code) == {"good": (b"x", None)}


async def test_another_folder_in_the_place_of_its_own_is_not_read() -> None:
    code = (
        "import os\n"
        "for what, names in ((os.rmdir, ['artifacts']), (os.rename, ['artifacts', 'gone']), (os.symlink, ['/etc', 'artifacts'])):\n"
        "    try:\n        what(*names)\n    except OSError:\n        pass\nprint('{}')\n"
    )

    assert await kept(code) == {}


async def test_files_count_for_its_limit_also_when_they_have_holes() -> None:
    full = "import time\nfor n in range(2):\n    open(f'artifacts/{n}', 'wb').write(b'x' * 900_000)\ntime.sleep(1)\nprint('{}')"
    holes = "for n in range(3):\n    open(f'artifacts/{n}', 'wb').truncate(900_000)\nprint('{}')"

    assert (await error(full, by=step(disk_mib=1))).code == "script-over-limit"
    assert (await error(holes, by=step(disk_mib=1))).code == "script-over-limit"


async def test_a_script_that_fails_leaves_nothing() -> None:
    assert (await error("open('artifacts/f', 'w').write('x')\nraise SystemExit(3)")).code == "script-failed"


async def test_what_it_prints_is_said_but_for_its_output() -> None:
    said: list[tuple[str, str, dict[str, object]]] = []
    code = "import sys\nprint('one')\nprint('careful', file=sys.stderr)\nprint('')\nprint('two')\nprint('{}')\n"
    await step().run(step_context(said=said), ScriptParams(code=code))

    assert said == [
        ("info", "one", {"stream": "stdout"}),
        ("info", "two", {"stream": "stdout"}),
        ("warning", "careful", {"stream": "stderr"}),
    ]


async def test_a_script_that_fails_says_all_that_it_printed() -> None:
    said: list[tuple[str, str, dict[str, object]]] = []
    with pytest.raises(BcceError):
        await step().run(step_context(said=said), ScriptParams(code="print('so far')\nraise SystemExit(3)"))

    assert [text for _, text, _ in said] == ["so far"]
