"""The patient: a small HTTP service with a health page, and the supervisor that runs it.

The supervisor starts the service once, and afterwards only when a file `start` appears in its control folder, so a killed service stays
dead until somebody repairs it.
Run as `python -m bcce.demo.patient supervise|serve CONTROL_DIR PORT`.
"""

import asyncio
import http.server
import os
import signal
import sys
import time
from pathlib import Path

from bcce.config.environ import clean_environ

PID_FILE = "service.pid"
START_FILE = "start"
CACHE_FULL_FILE = "cache-full"
STARTS_FILE = "starts.log"
_POLL_S = 0.05


def serve(control: Path, port: int) -> None:
    """The service itself, until it is killed."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """`/health` answers ok while the service lives, `/health/cache` while its cache has room."""
            is_full = self.path == "/health/cache" and (control / CACHE_FULL_FILE).exists()
            body = b"cache full\n" if is_full else b"ok\n"
            self.send_response(503 if is_full else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: the demonstration's story is on the screen."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    (control / PID_FILE).write_text(f"{os.getpid()}\n", encoding="ascii")
    server.serve_forever()


async def supervise(control: Path, port: int) -> None:
    """Runs the service: at the beginning, and whenever it is dead and `start` is there."""
    control.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - a process with nothing else to do
    child: asyncio.subprocess.Process | None = None
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    (control / START_FILE).touch()
    while not stopping.is_set():
        if child is not None and child.returncode is not None:
            (control / PID_FILE).unlink(missing_ok=True)
            child = None
        if child is None and (control / START_FILE).exists():
            (control / START_FILE).unlink()
            with (control / STARTS_FILE).open("a", encoding="ascii") as log:
                log.write(f"{time.monotonic():.3f}\n")
            argv = (sys.executable, "-m", "bcce.demo.patient", "serve", str(control), str(port))
            child = await asyncio.create_subprocess_exec(*argv, env=clean_environ())
        await asyncio.sleep(_POLL_S)
    if child is not None and child.returncode is None:
        child.kill()
        await child.wait()


def main(argv: list[str]) -> None:
    """Runs the part that is asked for."""
    what, control, port = argv[0], Path(argv[1]), int(argv[2])
    if what == "serve":
        serve(control, port)
    else:
        asyncio.run(supervise(control, port))


if __name__ == "__main__":
    main(sys.argv[1:])
