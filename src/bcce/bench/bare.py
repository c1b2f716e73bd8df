"""The floor of the engine's benchmark: the same rows through asyncio and one SQLite thread, with nothing in between."""

import asyncio
import json
import os
import sqlite3
import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any

from bcce.kit.clock import Clock, format_time

#: Steps of a chain, and of a fan-out.
STEPS, FAN = 10, 50

_SCHEMA = """
CREATE TABLE runs (id TEXT PRIMARY KEY, epoch INTEGER);
CREATE TABLE steps (run TEXT, key TEXT, attempt INTEGER, state TEXT, output TEXT, started TEXT, ended TEXT,
  PRIMARY KEY (run, key, attempt));
CREATE TABLE outbox (ordinal INTEGER PRIMARY KEY, id TEXT, type TEXT, at TEXT, data TEXT);
"""


class Bare:
    """One file, one writing thread; whatever is handed in during a commit goes into the next."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._queue: deque[tuple[tuple[Any, ...], list[tuple[Any, ...]], asyncio.Future[None]]] = deque()
        self._wake = threading.Condition()
        self._is_closing = False
        self._number = 0

    async def __aenter__(self) -> "Bare":
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="bare-writer")
        self._thread.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)

    async def chains(self, count: int, steps: int, *, size: int = 1) -> None:
        """`count` runs at once, each of `steps` steps one after the other, each with an output of `size` bytes."""
        await asyncio.gather(*(self._chain(steps, "x" * size) for _ in range(count)))

    async def fan(self, steps: int) -> None:
        """`steps` steps at once."""
        run = self._name()
        await asyncio.gather(*(self._step(run, number, "x") for number in range(steps)))

    def _name(self) -> str:
        self._number += 1
        return f"run_{self._number:026d}"

    async def _chain(self, steps: int, text: str) -> None:
        run = self._name()
        for number in range(steps):
            await self._step(run, number, text)

    async def _step(self, run: str, number: int, text: str) -> None:
        now = format_time(self._clock.now())
        data = json.dumps({"stepId": f"s{number}", "workflowId": run, "stepType": "set"})
        events = [(os.urandom(10).hex(), kind, now, data) for kind in ("step.started", "step.completed")]
        future = self._loop.create_future()
        with self._wake:
            self._queue.append(((run, f"s{number}", 1, "completed", json.dumps({"x": text}), now, now), events, future))
            self._wake.notify()
        await future

    def _run(self) -> None:
        conn = sqlite3.connect(self._path, isolation_level=None)
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute("PRAGMA synchronous=FULL")
        conn.executescript(_SCHEMA)
        while True:
            with self._wake:
                while not self._queue and not self._is_closing:
                    self._wake.wait()
                jobs = [self._queue.popleft() for _ in range(len(self._queue))]
            if not jobs:
                conn.close()
                return
            conn.execute("BEGIN IMMEDIATE")
            conn.executemany("INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?)", [row for row, _, _ in jobs])
            conn.executemany(
                "INSERT INTO outbox (id, type, at, data) VALUES (?, ?, ?, ?)", [event for _, events, _ in jobs for event in events]
            )
            conn.execute("COMMIT")
            self._loop.call_soon_threadsafe(_answer, [future for _, _, future in jobs])


def _answer(futures: "list[asyncio.Future[None]]") -> None:
    for future in futures:
        future.set_result(None)
