"""Runs Python that is trusted with nothing: no network, no files but a scratch folder, no other processes, bounded in everything.

This is the only module that starts such a process, and it starts it nowhere but inside sandlock (Landlock, and seccomp with a supervisor).
Where that cannot be done it says why and starts nothing; there is no second way.
"""

import asyncio
import os
import platform
import select
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Literal

from bcce.workflows.errors import SandboxBroken, SandboxUnavailable
from bcce.workflows.leftovers import left_files, read_files

#: The first statements of every process: limits that the kernel keeps, then the script as the main program.
_PRELUDE = """\
import resource, sys
for kind, limit in ((resource.RLIMIT_FSIZE, int(sys.argv[1])), (resource.RLIMIT_CPU, int(sys.argv[2])), (resource.RLIMIT_CORE, 0)):
    resource.setrlimit(kind, (limit, limit))
sys.argv[:] = ["script.py"]
with open("script.py", encoding="utf-8") as file:
    code = compile(file.read(), "script.py", "exec")
exec(code, {"__name__": "__main__"})
"""
#: Landlock does not judge who may change a file's mode, owner, times or attributes; folders could be nested until nobody can remove them;
#: files in memory are bounded by nothing.
_DENIED = (
    *("fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat", "utimensat", "mkdirat", "memfd_create", "memfd_secret", "mq_open"),
    *("setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr"),
)
#: The older forms that only this architecture has.
_DENIED_X86 = ("chmod", "chown", "lchown", "utime", "utimes", "futimesat", "mkdir")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom")
_OPEN_FILES = 64
_FILES = 1000
_LOOK_S = 0.05
_CHUNK = 65536

Ended = Literal["exited", "killed", "timed-out", "output", "disk", "stopped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxLimits:
    """What one script may use. `output_bytes` counts both streams, `disk_bytes` the scratch folder, which is looked at every 50 ms."""

    timeout_s: float
    memory_bytes: int
    output_bytes: int
    disk_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxResult:
    """How a script ended: by itself with `exit_code`, or stopped because of what `ended` says; `killed` is mostly its memory.

    `files` are those that it left in the folder `artifacts`, by name; none unless it ended by itself with 0.
    """

    ended: Ended
    exit_code: int
    stdout: bytes
    stderr: bytes
    files: Mapping[str, bytes] = field(default_factory=dict)


def why_not() -> str | None:
    """The reason for which nothing can be locked in here; None when it can."""
    try:
        sandlock = _library()
    except (ImportError, OSError):
        return "the library sandlock is not installed or does not fit this machine (it needs Linux on x86-64 or ARM64 with glibc)"
    return too_old(int(sandlock.landlock_abi_version()), int(sandlock.min_landlock_abi()), platform.release())


def too_old(found: int, needed: int, release: str) -> str | None:
    """The reason for which a kernel with Landlock ABI `found`, below 1 for none, is not enough; None when it is."""
    if found >= needed:
        return None
    has = f"has Landlock ABI {found}" if found > 0 else "has no Landlock"
    return f"the kernel {release} {has}, and ABI {needed} is needed (Linux 6.12 or newer with Landlock switched on)"


class PythonSandbox:
    """Runs scripts, each in a process and a folder of its own; at most `at_once` at the same time.

    `obstacle` says why nothing can be locked in here; None when it can.
    """

    def __init__(self, at_once: int, obstacle: Callable[[], str | None] = why_not) -> None:
        self._obstacle = obstacle
        self._threads = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="sandbox")

    async def run(self, code: str, stdin: bytes, limits: SandboxLimits) -> SandboxResult:
        """How `code` ended, given `stdin`. When the caller is cancelled, the process is killed before this returns.

        Raises:
            SandboxUnavailable: it cannot be locked in here; nothing was started.
            SandboxBroken: it could be, but the sandbox was not set up; nothing was started.
        """
        reason = self._obstacle()
        if reason is not None:
            raise SandboxUnavailable(
                f"no script is started: {reason}",
                hint="run this worker on such a system, or do the work with `set`, `transform` or a step of a plugin",
            )
        stop = threading.Event()
        job = asyncio.get_running_loop().run_in_executor(self._threads, _run, code, stdin, limits, stop)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait({job})
            raise


def _library() -> ModuleType:
    import sandlock  # type: ignore[import-untyped]  # noqa: PLC0415 - no stubs; only there on Linux, and only loaded when a script runs

    module: ModuleType = sandlock
    return module


def _run(code: str, stdin: bytes, limits: SandboxLimits, stop: threading.Event) -> SandboxResult:
    sandlock: Any = _library()
    with tempfile.TemporaryDirectory(prefix="bcce-script-") as name, left_files(Path(name)) as left:
        folder = Path(name)
        (folder / "script.py").write_text(code, encoding="utf-8")
        command = [_interpreter(), "-I", "-S", "-B", "-X", "utf8", "-c", _PRELUDE, str(limits.disk_bytes), str(int(limits.timeout_s) + 2)]
        piped = sandlock.StdioMode.PIPED
        try:
            process = _sandbox(sandlock, name, limits).popen(command, stdin=piped, stdout=piped, stderr=piped)
        except (RuntimeError, ValueError, OSError, sandlock.SandlockError) as error:
            raise SandboxBroken(f"the sandbox could not be set up ({type(error).__name__}); the script was not started") from error
        with process:
            pump = _Pump(process, (folder, left), stdin, limits, stop)
            ended = pump.run()
            if ended != "exited":
                process.kill()
            result = process.wait(timeout=5)
        if ended == "exited" and result.reason != sandlock.ExitReason.EXITED:
            ended = "killed"
        files = read_files(left, limits.disk_bytes) if ended == "exited" and result.exit_code == 0 else {}
        if files is None:
            ended = "disk"
        about = {"stdout": bytes(pump.stdout), "stderr": bytes(pump.stderr)}
        return SandboxResult(ended=ended, exit_code=result.exit_code, **about, files=files or {})


def _sandbox(sandlock: Any, folder: str, limits: SandboxLimits) -> Any:
    """Everything is denied that is not named here: no list of hosts means no network, no list of paths means no file."""
    return sandlock.Sandbox(
        fs_readable=_readable(),
        fs_writable=[folder],
        cwd=folder,
        clean_env=True,
        env={"HOME": folder, "TMPDIR": folder},
        extra_deny_syscalls=[*_DENIED, *(_DENIED_X86 if platform.machine() == "x86_64" else ())],
        max_memory=limits.memory_bytes,
        max_processes=1,
        max_open_files=_OPEN_FILES,
        no_coredump=True,
    )


def _interpreter() -> str:
    """The interpreter itself, not the link in a virtual environment, whose folder the script may not read."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _readable() -> list[str]:
    """The interpreter with its standard library, and the system's libraries."""
    paths = [_interpreter(), os.path.realpath(_interpreter())]
    base = {"base": sys.base_prefix, "installed_base": sys.base_prefix, "platbase": sys.base_prefix, "installed_platbase": sys.base_prefix}
    paths += [sysconfig.get_path(kind, vars=base) for kind in ("stdlib", "platstdlib")]
    library = Path(str(sysconfig.get_config_var("LIBDIR"))) / str(sysconfig.get_config_var("INSTSONAME"))
    return [path for path in dict.fromkeys([*paths, str(library), *_LIBRARIES]) if Path(path).exists()]


class _Pump:
    """Moves bytes to and from the process and watches its limits, until it has ended or has to be ended."""

    def __init__(self, process: Any, folders: tuple[Path | int, ...], stdin: bytes, limits: SandboxLimits, stop: threading.Event) -> None:
        self._process = process
        self._folders = folders
        self._left = memoryview(stdin)
        self._limits = limits
        self._stop = stop
        reading = [(stream, select.POLLIN) for stream in (process.stdout, process.stderr)]
        self._streams: dict[int, tuple[IO[bytes], int]] = {
            stream.fileno(): (stream, event) for stream, event in [*reading, (process.stdin, select.POLLOUT)]
        }
        self.stdout = bytearray()
        self.stderr = bytearray()

    def run(self) -> Ended:
        deadline = time.monotonic() + self._limits.timeout_s
        ending = _pidfd(self._process.pid)
        poller = select.poll()
        for stream, event in self._streams.values():
            os.set_blocking(stream.fileno(), False)
            poller.register(stream, event)
        if ending is not None:
            poller.register(ending, select.POLLIN)
        try:
            while True:
                wait_s = min(_LOOK_S, max(0.0, deadline - time.monotonic()))
                ready = {number for number, _ in poller.poll(0 if ending is None else wait_s * 1000)}
                for number in ready & self._streams.keys():
                    self._move(poller, number)
                has_ended = ending is None or ending in ready
                reason = self._over(deadline, has_ended=has_ended)
                if reason is not None or has_ended:
                    return reason or self._drain(poller)
        finally:
            if ending is not None:
                os.close(ending)

    def _over(self, deadline: float, *, has_ended: bool) -> Ended | None:
        if len(self.stdout) + len(self.stderr) > self._limits.output_bytes:
            return "output"
        if self._stop.is_set():
            return "stopped"
        if not has_ended and time.monotonic() >= deadline:
            return "timed-out"
        return "disk" if self._uses_too_much_disk() else None

    def _drain(self, poller: select.poll) -> Ended:
        """What the process left in its pipes; nobody can write to them any more."""
        reading = [number for number, (_, event) in self._streams.items() if event == select.POLLIN]
        for number in reading:
            while self._over(0, has_ended=True) is None and self._move(poller, number):
                pass
        return self._over(0, has_ended=True) or "exited"

    def _move(self, poller: select.poll, number: int) -> bool:
        """One piece in the stream's direction; false when nothing moved. A stream that is done is closed and forgotten."""
        stream = self._streams[number][0]
        try:
            if stream is self._process.stdin:
                self._left = self._left[os.write(number, self._left[:_CHUNK]) :]
                is_done = not self._left
            else:
                piece = os.read(number, _CHUNK)
                (self.stdout if stream is self._process.stdout else self.stderr).extend(piece)
                is_done = not piece
        except BlockingIOError:
            return False
        except BrokenPipeError:  # the script does not read its input to the end
            is_done = True
        if is_done:
            poller.unregister(number)
            del self._streams[number]
            stream.close()
        return not is_done

    def _uses_too_much_disk(self) -> bool:
        size = count = 0
        for folder in self._folders:
            with os.scandir(folder) as entries:
                for entry in entries:
                    count += 1
                    try:
                        size += entry.stat(follow_symlinks=False).st_blocks * 512
                    except FileNotFoundError:
                        continue
        return count > _FILES or size > self._limits.disk_bytes


def _pidfd(pid: int | None) -> int | None:
    """Becomes readable when the process has ended; None when it is gone already."""
    try:
        return None if pid is None else os.pidfd_open(pid)
    except ProcessLookupError:
        return None
