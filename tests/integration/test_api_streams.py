"""Streams of a run's events from a server that is stopped, killed and started again, with many readers and with one that does not read."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

STEPS = 'version: "1.0"\nname: loop\nsteps:\n' + "".join(
    f"  - {{id: e{n}, type: emit, event: e{n}}}\n  - {{id: g{n}, type: wait, event: go{n}}}\n" for n in range(4)
)
BIG = (
    f'version: "1.0"\nname: big\nsteps:\n  - id: l\n    type: foreach\n    items: {list(range(400))}\n    steps:\n'
    f'      - {{id: e, type: emit, event: big, data: {{text: "{"x" * 12_000}"}}}}\n  - {{id: g, type: wait, event: go}}\n'
)
PATIENCE_S = 60.0


class Served:
    """`bcce serve` on a free port, as an operator starts it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(mode=0o700)
        (home / "workflows").mkdir()
        (home / "workflows" / "loop.yaml").write_text(STEPS)
        (home / "workflows" / "big.yaml").write_text(BIG)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        environment = {"PATH": os.environ["PATH"], "BCCE_HOME": str(self.home), "BCCE_WORKFLOWS__SWEEP_S": "0.1"}
        environment["BCCE_WORKFLOWS__DIRECTORY"] = str(self.home / "workflows")
        command = [str(Path(sys.executable).with_name("bcce")), "serve", "--port", "0"]
        with (self.home / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
        async with asyncio.timeout(PATIENCE_S):
            while not (self.home / "server.json").exists():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)
        self.url = json.loads((self.home / "server.json").read_text())["url"]
        bearer = {"Authorization": f"Bearer {(self.home / 'admin.token').read_text().strip()}"}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self.http = httpx.AsyncClient(base_url=self.url, headers=bearer, trust_env=False, timeout=PATIENCE_S, limits=limits)

    async def end(self, number: int = signal.SIGTERM) -> float:
        """The seconds from the signal to the end of the process."""
        assert self.process is not None
        began = asyncio.get_running_loop().time()
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            await self.process.wait()
        await self.http.aclose()
        (self.home / "server.json").unlink(missing_ok=True)
        return asyncio.get_running_loop().time() - began

    async def begin(self, workflow: str) -> str:
        started = await self.http.post(f"/api/v1/workflows/{workflow}/runs", json={"inputs": {}})
        assert started.status_code == 201, started.text
        return str(started.json()["runId"])

    def memory_mib(self) -> float:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    made = Served(tmp_path / "home")
    await made.start()
    yield made
    assert made.process is not None
    if made.process.returncode is None:
        await made.end(signal.SIGKILL)


class Reader:
    """Follows a run and comes back where it was cut off."""

    def __init__(self, run_id: str) -> None:
        self.path = f"/api/v1/runs/{run_id}/events"
        self.seen: list[tuple[int, str]] = []
        self.ended_well = 0

    async def read(self, served: Served) -> int:
        """Reads until the stream ends; its status."""
        headers = {"Last-Event-ID": str(self.seen[-1][0])} if self.seen else {}
        async with served.http.stream("GET", self.path, headers=headers) as answer:
            position = 0
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    position = int(line[4:])
                elif line.startswith("event: "):
                    self.seen.append((position, line[7:]))
            self.ended_well += 1
            return answer.status_code


async def until(holds: Any, what: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - the state is another process's
            await asyncio.sleep(0.02)


async def test_nothing_is_missed_or_doubled_over_stops_and_kills_of_the_server(served: Served) -> None:
    run_id = await served.begin("loop")
    reader = Reader(run_id)
    for number, how in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGTERM)):
        reading = asyncio.create_task(reader.read(served))
        await until(lambda number=number: sum(kind == "step.waiting" for _, kind in reader.seen) == number + 1, "it waits")
        # It is signalled when nobody reads, too.
        seconds = await served.end(how)
        if how == signal.SIGTERM:
            assert seconds < 4
            assert await reading == 200
        else:
            with pytest.raises(httpx.RemoteProtocolError):
                await reading
        await served.start()
        assert (await served.http.post(f"/api/v1/runs/{run_id}/signals/go{number}", json={})).status_code == 202
    reading = asyncio.create_task(reader.read(served))
    await served.http.post(f"/api/v1/runs/{run_id}/signals/go3", json={})
    assert await reading == 200

    whole = Reader(run_id)
    assert await whole.read(served) == 200
    assert reader.seen == whole.seen
    assert [kind for _, kind in whole.seen].count("workflow.event") == 4
    assert whole.seen[-1][1] == "workflow.completed"
    assert await reader.read(served) == 204
    assert await served.end() < 4


async def test_two_hundred_streams_are_served_and_ended(served: Served) -> None:
    run_ids = [await served.begin("loop") for _ in range(4)]
    readers = [Reader(run_ids[number % 4]) for number in range(200)]
    reading = [asyncio.create_task(reader.read(served)) for reader in readers]
    await until(lambda: all(any(kind == "step.waiting" for _, kind in reader.seen) for reader in readers), "all wait")

    for number in range(4):
        assert (await served.http.post(f"/api/v1/runs/{run_ids[0]}/signals/go{number}", json={})).status_code == 202
    async with asyncio.timeout(PATIENCE_S):
        assert set(await asyncio.gather(*reading[0::4])) == {200}
    assert all(reader.seen == readers[0].seen for reader in readers[0::4])
    assert not any(task.done() for number, task in enumerate(reading) if number % 4)

    assert await served.end() < 5
    assert set(await asyncio.gather(*reading)) == {200}


async def test_who_does_not_read_costs_no_memory_and_does_not_hold_up_the_end(served: Served) -> None:
    run_id = await served.begin("big")
    await until_waiting(served, run_id)
    token = served.http.headers["Authorization"]
    host, port = served.url.removeprefix("http://").split(":")
    before = served.memory_mib()
    stuck = []
    for _ in range(20):
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect((host, int(port)))
        reader.sendall(f"GET /api/v1/runs/{run_id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n".encode())
        stuck.append(reader)
    await asyncio.sleep(3)

    # All of it, for each of them, would be 100 MiB, and a page of 500 events as much.
    assert served.memory_mib() - before < 50
    assert (await served.http.get("/api/v1/runs")).status_code == 200
    assert await served.end() < 8
    for reader in stuck:
        reader.close()


async def until_waiting(served: Served, run_id: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            shown = (await served.http.get(f"/api/v1/runs/{run_id}")).json()
            assert shown["state"] == "active", shown["error"]
            if any(step["state"] == "waiting" for step in shown["steps"]):
                return
            await asyncio.sleep(0.1)
