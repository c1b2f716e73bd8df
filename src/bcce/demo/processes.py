"""The demonstration's own processes: started with fixed arguments, found again by name, ended together."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from bcce.config.environ import clean_environ
from bcce.demo.child import STAY
from bcce.kit.errors import BcceError

_GRACE_S = 5.0
_POLL_S = 0.05


class DemoFailed(BcceError):
    """The demonstration could not go on."""

    code = "demo-failed"


class Processes:
    """What was started, each in a session of its own, with its output in a file under `folder`.

    Each ends by itself when this process is gone, also when it was killed, unless it was let go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lifelines: dict[str, int] = {}
        self.running: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, name: str, arguments: tuple[str, ...], environ: Mapping[str, str] | None = None) -> None:
        """Starts `python -m …`; fixed words and paths that the demonstration made itself, nothing from outside."""
        log = (self._folder / f"{name}.log").open("ab")
        watched, self._lifelines[name] = os.pipe()
        try:
            self.running[name] = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bcce.demo.child",
                *arguments,
                stdin=watched,
                stdout=log,
                stderr=log,
                env=clean_environ(environ),
                start_new_session=True,
            )
        finally:
            log.close()
            os.close(watched)

    def check(self, name: str) -> None:
        """Does nothing while the process lives.

        Raises:
            DemoFailed: with the end of what it wrote.
        """
        process = self.running[name]
        if process.returncode is not None:
            text = (self._folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
            raise DemoFailed(f"{name} ended with code {process.returncode}:\n{text[-2000:]}")

    def let_go(self) -> None:
        """They stay when this process ends."""
        for lifeline in self._lifelines.values():
            with contextlib.suppress(BrokenPipeError):
                os.write(lifeline, STAY)

    async def stop_all(self) -> None:
        """Asks all to end, makes sure after a grace, and waits as long for scripts that the server had started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            left = [process for process in reversed(self.running.values()) if process.returncode is None]
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE_S):
                    await asyncio.gather(*(process.wait() for process in left))
        # A job of the local executor outlives the server by design; those of the demonstration take seconds.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                while _has_jobs(self._folder / "home"):  # noqa: ASYNC110 - no event tells when a process of somebody else has ended
                    await asyncio.sleep(_POLL_S)


def _has_jobs(home: Path) -> bool:
    """Whether a process has a path below `home` among its arguments."""
    prefix = f"{home}/".encode()
    for arguments in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if any(word.startswith(prefix) for word in arguments.read_bytes().split(b"\0")):
                return True
    return False


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
