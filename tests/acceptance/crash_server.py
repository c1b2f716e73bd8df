"""A server that kills itself with SIGKILL just before the given journal boundary (0: never).

Boundaries are counted from the first webhook on: every append and every write of the process. Just before one,
everything since the last one has happened and nothing of it is recorded.
"""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from bcce.api.app import create_app
from bcce.observability.logging import configure_logging
from bcce.runtime import Settings, open_runtime
from bcce.runtime.runtime import Overrides
from bcce.storage.doors import Append, Database

REACHED = "boundary.reached"


class CrashingDatabase:
    """A Database that ends the process before its n-th commit after the first delivery."""

    def __init__(self, inner: Database, boundary: int, home: Path) -> None:
        self._inner = inner
        self._boundary = boundary
        self._home = home
        self._count: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _pass(self) -> None:
        if self._count is None:
            return
        self._count += 1
        if self._count == self._boundary:
            (self._home / REACHED).write_text(str(self._count))
            os.kill(os.getpid(), signal.SIGKILL)

    async def append(self, op: Append) -> None:
        if self._count is None and any(getattr(getattr(item[0], "table", None), "name", "") == "deliveries" for item in op.items):
            self._count = 0
        self._pass()
        await self._inner.append(op)

    async def write(self, fn: Callable[..., Any]) -> Any:
        self._pass()
        return await self._inner.write(fn)


async def main(home: Path, boundary: int) -> None:
    configure_logging("json", "WARNING")
    settings = Settings.model_validate(
        {
            "remediation": {"enabled": True, "verify_interval_s": 0.1},
            "workflows": {"max_concurrent_workflows": 4, "sweep_s": 0.2, "heartbeat_s": 60, "lease_s": 600},
        }
    )
    overrides = Overrides(database=lambda inner: CrashingDatabase(inner, boundary, home))  # type: ignore[arg-type,return-value]
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    async with open_runtime(settings, home=home, overrides=overrides) as runtime:
        server = uvicorn.Server(uvicorn.Config(create_app(runtime), log_config=None, access_log=False, lifespan="off"))
        part = home / "server.part"
        part.write_text(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}", "pid": os.getpid()}))
        part.replace(home / "server.json")
        await server.serve(sockets=[listener])


def serve(home: Path, boundary: int, log: Path) -> None:
    """The whole life of one server process; what it prints goes to `log`."""
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    asyncio.run(main(home, boundary))
