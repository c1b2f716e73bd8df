"""A process that does nothing but advance runs, to be killed: its step types leave traces outside of the database.

Traces are lines in one file, each written with one `write` to a file opened with O_APPEND, so that none is lost with its process and none
is mixed with another's.
"""

import asyncio
import multiprocessing
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sqlalchemy import select
from tests.contract.executor_support import SIGNER, clearance_for, signed
from tests.integration.workflow_support import ACTOR, Watch, Work, WorkParams

from bcce.execution.executors.local import LocalExecutor
from bcce.execution.model import JobPhase, Script, Target
from bcce.execution.settings import ExecutionSettings
from bcce.kit.clock import SystemClock
from bcce.kit.errors import BcceError
from bcce.observability.logging import configure_logging
from bcce.runtime.runtime import Overrides, Runtime, open_runtime
from bcce.runtime.settings import Settings
from bcce.workflows.model import Effect, completed
from bcce.workflows.step_type import Done, Park, StepContext, StepOutcome
from bcce.workflows.tables import gates

#: Processes are forked from one that has only imported the program, which saves each of them that second.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.integration.worker_process"])
#: What `bcce serve` would be given; the sweep and the polls are quick so that the tests are.
QUICK: Mapping[str, Any] = {"sweep_s": 0.1, "max_concurrent_workflows": 200}


def leave(path: Path, *words: object) -> None:
    """Adds a line to the traces."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, (" ".join(map(str, words)) + "\n").encode())
    finally:
        os.close(handle)


def traces(path: Path) -> list[list[str]]:
    """The words of each line that was left."""
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


class Poison(Work):
    """Kills its process."""

    name = "poison"

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        assert isinstance(params, WorkParams)
        await asyncio.sleep(params.seconds)
        leave(Path(str(params.value)), "poison", context.run_id)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


class Keyed(Work):
    """Tells the witness under its idempotency key, and takes a moment before the engine hears of it."""

    name = "keyed"
    effect = Effect.KEYED

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        assert isinstance(params, WorkParams)
        leave(Path(str(params.value)), "keyed", context.run_id, context.key, context.idempotency_key)
        await asyncio.sleep(params.seconds)
        return Done(result=completed({}))


class Act(Work):
    """Runs a script on this machine, at most once, through the local executor; the script itself leaves the trace."""

    name = "act"
    effect = Effect.MARKED

    def __init__(self, home: Path) -> None:
        super().__init__()
        self._clock = SystemClock()
        self._executor = LocalExecutor(clock=self._clock, verifier=SIGNER.verifier(), settings=ExecutionSettings())
        self._target = Target(name="here", executor="local", base_dir=str(home / "jobs"))

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        assert isinstance(params, WorkParams)
        key = "-".join((context.run_id, *(word for word in context.key.replace("]", "").split("["))))
        if not context.is_waiting:
            text = f'printf "act {context.run_id} {context.key}\\n" >>"$TRACE"\nsleep 0.05\n'
            script = Script(text=text, parameters={"TRACE": str(params.value)})
            await self._executor.probe(self._target)
            await self._executor.start(key, signed(clearance_for(self._clock, self._target, key, script)), script)
            return Park(waiting_for="the script", kind="job", name=key, wake_after=timedelta(seconds=0.03))
        status = await self._executor.status(key, self._target)
        if status.phase is JobPhase.RUNNING:
            return Park(waiting_for="the script", kind="job", name=key, wake_after=timedelta(seconds=0.03))
        if status.phase is not JobPhase.EXITED or status.exit_code != 0:
            raise BcceError(f"the script ended as {status.phase}")
        return Done(result=completed({}))


def step_types(home: Path) -> dict[str, Any]:
    """The types that the tests' workflows use beside the engine's own."""
    return {"work": Work(), "watch": Watch(), "poison": Poison(), "keyed": Keyed(), "act": Act(home)}


async def _signal_all(runtime: Runtime, seed: int) -> None:
    """Sends each run the events that it waits for, sooner or later."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    asked = select(gates.c.run_id, gates.c.name).where(gates.c.kind == "event", gates.c.state == "open")
    while True:
        for run_id, name in await runtime.db.read(lambda conn: [tuple(row) for row in conn.execute(asked)]):
            if chance.random() < 0.5:
                try:
                    await runtime.workflows.signal(ACTOR, run_id, name, {})
                except BcceError:
                    continue
                runtime.ring(run_id)
        await asyncio.sleep(0.05)


async def _main(home: Path, url: str | None, settings: Mapping[str, Any], seed: int, ready: Path) -> None:
    configure_logging("json", "INFO")
    database = {"database": {"url": url}} if url is not None else {}
    chosen = Settings.model_validate({"workflows": {**QUICK, **settings}, **database})
    async with open_runtime(chosen, home=home, overrides=Overrides(step_types=step_types(home))) as runtime:
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        ready.write_text(str(os.getpid()), encoding="ascii")  # noqa: ASYNC240 - once, at the start
        task = asyncio.create_task(_signal_all(runtime, seed))
        await ended.wait()
        task.cancel()


def live(home: Path, url: str | None, settings: Mapping[str, Any], seed: int, log: Path) -> None:
    """The whole life of one process; what it prints goes to `log`."""
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    asyncio.run(_main(home, url, settings, seed, _ready(log)))


def _ready(log: Path) -> Path:
    """Where a process says its number once it can be stopped in order."""
    return log.with_suffix(".ready")


class Worker:
    """One such process after the other, at one place."""

    def __init__(self, home: Path, *, url: str | None = None, **settings: Any) -> None:
        self._home = home
        self._url = url
        self._settings = settings
        self._born = 0
        self.log = home.parent / f"{home.name}-{id(self)}.log"
        self.process: ForkServerProcess | None = None

    @property
    def is_alive(self) -> bool:
        """Whether there is a process now."""
        return self.process is not None and self.process.exitcode is None

    def start(self) -> None:
        """A new process."""
        self._born += 1
        self.process = PROCESSES.Process(target=live, args=(self._home, self._url, self._settings, self._born, self.log))
        self.process.start()

    def kill(self) -> None:
        """SIGKILL, at once."""
        if self.process is not None:
            self.process.kill()
            self.process.join()

    def stop(self) -> None:
        """SIGTERM, and its end."""
        if self.process is not None and self.is_alive:
            deadline, ready = time.monotonic() + 30, _ready(self.log)
            while time.monotonic() < deadline and not (ready.exists() and ready.read_text(encoding="ascii") == str(self.process.pid)):
                time.sleep(0.01)
            self.process.terminate()
            self.process.join(30)
            assert self.process.exitcode == 0, self.log.read_text()[-4000:]


def wait_until(is_true: Callable[[], bool], workers: list[Worker], *, seconds: float = 120.0) -> int:
    """Returns when the condition holds, how many processes it took; one that died is replaced."""
    began, born = time.monotonic(), 0
    while not is_true():
        for worker in workers:
            if not worker.is_alive:
                worker.start()
                born += 1
        assert time.monotonic() - began < seconds, workers[0].log.read_text()[-4000:]
        time.sleep(0.02)
    return born


def states(home: Path) -> Counter[str]:
    """How many runs are in which state, read past the process that has the database."""
    with closing(sqlite3.connect(f"file:{home / 'bcce.db'}?mode=ro", uri=True, timeout=10)) as conn:
        return Counter(dict(conn.execute("SELECT state, count(*) FROM runs GROUP BY state").fetchall()))
