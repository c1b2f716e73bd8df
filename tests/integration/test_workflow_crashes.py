"""Random workflows whose worker dies at any write, and that people interfere with: nothing is lost, doubled or stuck.

A death is played by a database that, from one write on, stores nothing and answers nobody; then everything is opened again on the same
file. `BCCE_SOAK_ROUNDS` multiplies how many workflows are tried: 200 at first.
"""

import asyncio
import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import structlog
from sqlalchemy import Connection, func, select
from tests.integration.random_workflows import CHILD, Maker, counting, settings_for, signal_waiting
from tests.integration.workflow_support import ACTOR, OVER, events, look, open_gates, runtime_at, start

from bcce.kit.errors import BcceError
from bcce.kit.ids import RunId
from bcce.runtime.runtime import Runtime
from bcce.storage.doors import Append, Database
from bcce.storage.errors import DatabaseUnavailable
from bcce.workflows.model import Run, RunState, StepRecord, StepState
from bcce.workflows.sandbox import why_not
from bcce.workflows.tables import runs, steps

pytestmark = pytest.mark.soak
T = TypeVar("T")
#: `make soak` asks for 20 rounds, and gets ten times as many workflows.
ROUNDS = max(1, int(os.environ.get("BCCE_SOAK_ROUNDS", "1")) // 2)
#: So many workflows run at once in one process, and share its deaths.
TOGETHER = 5
GROUPS = 30 * ROUNDS
DISTURBED_GROUPS = 10 * ROUNDS
DEATHS = 10
PATIENCE_S = 90.0
_LIVE = {"started", "waiting"}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Each death is logged with everything that was in progress; nobody reads that here, and it took most of the time."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


class Mortal:
    """A database that dies at a given write: before it (the write is lost) or after it (only the answer is lost)."""

    def __init__(self, real: Database, dies_at: int, is_after: bool = False) -> None:
        self._real = real
        self._left = dies_at
        self._is_after = is_after
        self.is_dead = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def die_after(self, writes: int) -> None:
        """Dies at the given write from now on."""
        self._left = writes

    async def append(self, op: Append) -> None:
        await self._guarded(lambda: self._real.append(op))

    async def write(self, fn: Callable[[Connection], T]) -> T:
        return await self._guarded(lambda: self._real.write(fn))  # type: ignore[no-any-return]

    async def read(self, fn: Callable[[Connection], T]) -> T:
        if self.is_dead:
            raise DatabaseUnavailable("the process is dead")
        return await self._real.read(fn)

    async def _guarded(self, call: Callable[[], Any]) -> Any:
        if self.is_dead:
            raise DatabaseUnavailable("the process is dead")
        self._left -= 1
        if self._left == 0 and not self._is_after:
            self.is_dead = True
            raise DatabaseUnavailable("the process is dead")
        result = await call()
        if self._left <= 0:
            self.is_dead = True
            raise DatabaseUnavailable("the process is dead")
        return result


class Life:
    """One home, and the processes that live and die in it."""

    def __init__(self, home: Path, deaths: list[tuple[int, bool]], settings: dict[str, Any]) -> None:
        home.mkdir(mode=0o700)
        self._home = home
        self._deaths = deaths
        self._settings = settings
        self._mortal: Mortal | None = None
        self._is_begun = False

    async def begin(self, texts: list[str]) -> list[RunId]:
        """A run of each text; nobody dies yet."""
        async with self._opened() as runtime:
            await runtime.workflows.register(ACTOR, CHILD, "child.yaml")
            found = [await start(runtime, text) for text in texts]
        self._is_begun = True
        return found

    async def until_over(self, run_ids: list[RunId], disturb: Callable[[Runtime], Any], check: Callable[[Runtime], Any]) -> Any:
        """What `check` says when all runs are over; `disturb` is called again and again until then."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    async with self._opened() as runtime:
                        assert self._mortal is not None
                        while not self._mortal.is_dead:
                            await disturb(runtime)
                            await signal_waiting(runtime)
                            states = {(await runtime.workflows.state(ACTOR, run_id)) for run_id in run_ids}
                            if states <= OVER:
                                return await check(runtime)
                            await asyncio.sleep(0.01)
                except (DatabaseUnavailable, ExceptionGroup):
                    continue

    @asynccontextmanager
    async def _opened(self) -> Any:
        async with runtime_at(self._home, wrap=self._wrap, **self._settings) as (runtime, _):
            yield runtime

    def _wrap(self, real: Database) -> Database:
        self._mortal = Mortal(real, *self._deaths.pop(0)) if self._deaths and self._is_begun else Mortal(real, 1 << 60)
        return self._mortal  # type: ignore[return-value]


async def nothing(runtime: Runtime) -> None:
    """No disturbance."""


async def outcome(runtime: Runtime, run_id: RunId) -> tuple[RunState, dict[str, str], list[str]]:
    """The run's state, its steps' states, and its own events; nothing of it may be left open."""
    run, records = await look(runtime, run_id)
    rows = await runtime.db.read(lambda conn: conn.execute(select(steps.c.state).where(steps.c.run_id == run_id)).scalars().all())
    assert not _LIVE & set(rows), {key: str(record.state) for key, record in records.items()}
    assert await open_gates(runtime, run_id) == 0
    own = [str(data["event"]) for kind, data in await events(runtime, run_id) if kind == "workflow.event"]
    return run.state, {key: str(record.state) for key, record in records.items()}, sorted(own)


@pytest.mark.parametrize("seed", range(GROUPS))
async def test_a_death_at_any_write_changes_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    has_script = seed % 10 == 0 and why_not() is None
    async with counting() as server:
        texts = [Maker(chance, port=server.port, script=has_script).text(f"random{number}") for number in range(TOGETHER)]
        found, keys = [], []
        for name, count in (("calm", 0), ("rough", DEATHS)):
            server.keys.clear()
            deaths = [(chance.randint(1, 40), chance.random() < 0.5) for _ in range(count)]
            life = Life(tmp_path / name, deaths, settings_for(server))
            run_ids = await life.begin(texts)

            async def all_of(runtime: Runtime, run_ids: list[RunId] = run_ids) -> Any:
                return [await outcome(runtime, run_id) for run_id in run_ids]

            found.append(await life.until_over(run_ids, nothing, all_of))
            numbers = {run_id: number for number, run_id in enumerate(run_ids)}
            keys.append([(numbers.get(RunId(key.split("/")[0])), key.split("/", 1)[1]) for key in server.keys])

    for text, calm, rough in zip(texts, *found, strict=True):
        assert rough == calm, text
    # What is asked of another host is asked once without a death, and otherwise again under the same key only.
    assert len(keys[0]) == len(set(keys[0]))
    assert set(keys[1]) == set(keys[0])


@pytest.mark.parametrize("seed", range(DISTURBED_GROUPS))
async def test_whatever_people_do_while_processes_die_every_run_comes_to_an_allowed_end(tmp_path: Path, seed: int) -> None:
    chance = random.Random(10_000 + seed)  # noqa: S311 - no secret
    async with counting() as server:
        texts = [Maker(chance, port=server.port, is_racy=True).text(f"random{number}") for number in range(TOGETHER)]
        deaths = [(chance.randint(5, 60), chance.random() < 0.5) for _ in range(DEATHS // 2)]
        life = Life(tmp_path / "home", deaths, settings_for(server))
        run_ids = await life.begin(texts)
        cancelled: set[RunId] = set()
        turns = 0

        async def disturb(runtime: Runtime) -> None:
            nonlocal turns
            turns += 1
            run_id = chance.choice(run_ids)
            # At the end everything is let go.
            what = chance.choice(["pause", "resume", "resume", "cancel", "nothing"]) if turns < 40 else "resume"
            targets = [run_id] if turns < 40 else run_ids
            for target in targets:
                try:
                    if what == "cancel":
                        cancelled.add(target)
                        await runtime.runs.cancel(ACTOR, target)
                    elif what == "pause":
                        await runtime.runs.pause(ACTOR, target)
                    elif what == "resume":
                        await runtime.runs.resume(ACTOR, target)
                except DatabaseUnavailable:
                    raise
                except BcceError:
                    # It is over, or being cancelled.
                    continue
                runtime.ring(target)

        async def all_of(runtime: Runtime) -> None:
            await _no_run_is_left(runtime)
            for run_id, text in zip(run_ids, texts, strict=True):
                await _is_allowed(runtime, run_id, text, may_be_cancelled=run_id in cancelled)

        await life.until_over(run_ids, disturb, all_of)


async def _no_run_is_left(runtime: Runtime) -> None:
    """Runs that steps started are over before those of the steps, or soon after those that ended without waiting for them."""
    left = select(func.count()).where(runs.c.state.not_in(sorted(OVER)))
    async with asyncio.timeout(20):
        while await runtime.db.read(lambda conn: conn.execute(left).scalar()):  # noqa: ASYNC110 - the state is in a database
            await asyncio.sleep(0.02)


async def _is_allowed(runtime: Runtime, run_id: RunId, text: str, *, may_be_cancelled: bool) -> None:
    state, states, own = await outcome(runtime, run_id)
    run, records = await look(runtime, run_id)
    assert state in ({RunState.COMPLETED, RunState.FAILED} | ({RunState.CANCELLED} if may_be_cancelled else set())), text
    assert "retrying" not in states.values(), text
    told = await events(runtime, run_id)
    assert sum(kind in ("workflow.completed", "workflow.failed", "workflow.cancelled") for kind, _ in told) == 1, text
    ended = Counter(str(data["stepId"]) for kind, data in told if kind == "step.completed")
    assert dict(ended) == {key: 1 for key, record in records.items() if record.state is StepState.COMPLETED}, text
    _was_undone_once(run, records, own, text)


def _was_undone_once(run: Run, records: dict[str, StepRecord], own: list[str], text: str) -> None:
    """All that completed and can be undone was undone once, or nothing was; everything was if the run was cancelled."""
    undoable = {line.split("undo-")[1].rstrip("}") for line in text.splitlines() if "undo-" in line}
    done = Counter(key.partition("[")[0] for key, record in records.items() if record.state is StepState.COMPLETED)
    owed = {f"undo-{name}": done[name] for name in undoable if done[name]}
    undone = dict(Counter(event for event in own if event.startswith("undo-")))
    if run.state is RunState.CANCELLED:
        assert undone == owed, text
    elif run.state is RunState.COMPLETED:
        assert undone == {}, text
    else:
        assert undone in ({}, owed), text
