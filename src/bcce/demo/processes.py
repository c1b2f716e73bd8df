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
from bcce.kit.errors import BcceError

_GRACE_S = 5.0


class DemoFailed(BcceError):
    """The demonstration could not go on."""

    code = "demo-failed"


class Processes:
    """What was started, each in a session of its own, with its output in a file under `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.running: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, name: str, arguments: tuple[str, ...], environ: Mapping[str, str] | None = None) -> None:
        """Starts `python -m …`; fixed words and paths that the demonstration made itself, nothing from outside."""
        log = (self._folder / f"{name}.log").open("ab")
        try:
            self.running[name] = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean_environ(environ),
                start_new_session=True,
            )
        finally:
            log.close()

    def check(self, name: str) -> None:
        """Does nothing while the process lives.

        Raises:
            DemoFailed: with the end of what it wrote.
        """
        process = self.running[name]
        if process.returncode is not None:
            text = (self._folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
            raise DemoFailed(f"{name} ended with code {process.returncode}:\n{text[-2000:]}")

    async def stop_all(self) -> None:
        """Asks each to end, the last started first, then makes sure."""
        for process in reversed(self.running.values()):
            await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                await process.wait()


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
