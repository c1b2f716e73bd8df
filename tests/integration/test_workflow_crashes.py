"""Random workflows whose worker dies at any write: nothing is lost, doubled or stuck.

A death is played by a database that, from one write on, stores nothing and answers nobody; then everything is opened again on the same
file. `BCCE_SOAK_ROUNDS` multiplies how many workflows are tried.
"""

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, select
from tests.integration.workflow_support import ACTOR, OVER, Work, events, look, open_gates, runtime_at, start

from bcce.kit.ids import RunId
from bcce.storage.doors import Append, Database
from bcce.storage.errors import DatabaseUnavailable
from bcce.workflows.model import RunState
from bcce.workflows.tables import steps

T = TypeVar("T")
WORKFLOWS = 20 * int(os.environ.get("BCCE_SOAK_ROUNDS", "1"))
CRASHES = 10
PATIENCE_S = 60.0


class Mortal:
    """A database that dies at a given write: before it (the write is lost) or after it (only the answer is lost)."""

    def __init__(self, real: Database, dies_at: int, is_after: bool = False) -> None:
        self._real = real
        self._left = dies_at
        self._is_after = is_after
        self.is_dead = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

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


class Maker:
    """Makes workflows of every kind of step, all of which end by themselves."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._number = 0
        self.emitted: set[str] = set()

    def text(self) -> str:
        return 'version: "1.0"\nname: random\nsteps:\n' + self._list(2, depth=0)

    def _list(self, indent: int, *, depth: int) -> str:
        return "".join(self._step(indent, depth) for _ in range(self._chance.randint(1, 4)))

    def _step(self, indent: int, depth: int) -> str:
        self._number += 1
        name, pad = f"s{self._number}", " " * indent
        head = f"{pad}- id: {name}\n"
        pad += "  "
        if self._chance.random() < 0.2:
            head += f"{pad}depends_on: []\n"
        kind = self._chance.choice(
            ["work", "work", "retry", "fallback", "compensate", "emit", "watch", "wait", "set", "left", "workflow"]
            + ([] if depth > 2 else ["parallel", "foreach", "group", "condition"])
        )
        below = self._list(indent + 4, depth=depth + 1) if kind in ("parallel", "foreach", "group", "condition") else ""
        return (
            head
            + {
                "work": f"{pad}type: work\n{pad}value: {name}\n",
                "retry": f"{pad}type: work\n{pad}fails: 2\n{pad}retry: {{attempts: 3, base: 1ms}}\n",
                "fallback": f"{pad}type: work\n{pad}fails: -1\n{pad}retryable: false\n{pad}fallback: {{type: emit, event: f-{name}}}\n",
                "compensate": f"{pad}type: work\n{pad}compensate: {{type: emit, event: undo-{name}}}\n",
                "emit": f"{pad}type: emit\n{pad}event: {name}\n",
                "watch": f"{pad}type: watch\n{pad}seconds: 0.01\n",
                "wait": f"{pad}type: wait\n{pad}duration: 5ms\n",
                "set": f"{pad}type: set\n{pad}x: 1\n",
                "left": f"{pad}type: work\n{pad}fails: -1\n{pad}retryable: false\n{pad}on_failure: continue\n",
                "workflow": f"{pad}type: workflow\n{pad}workflow: child\n",
                "parallel": f"{pad}type: parallel\n{pad}failure_strategy: wait-all\n{pad}steps:\n{below}",
                "foreach": f"{pad}type: foreach\n{pad}items: [a, b]\n{pad}concurrency: {self._chance.randint(1, 2)}\n{pad}steps:\n{below}",
                "group": f"{pad}type: group\n{pad}steps:\n{below}",
                "condition": f"{pad}type: condition\n{pad}condition: '{{{{ inputs.yes }}}}'\n{pad}then:\n{below}",
            }[kind]
        )


CHILD = 'version: "1.0"\nname: child\nsteps:\n  - {id: c, type: emit, event: child}\n'


async def outcome(home: Path, text: str, deaths: list[tuple[int, bool]], *, cancel: bool) -> tuple[RunState, dict[str, str], list[str]]:
    """Runs the text while the process dies as told; the run's state, its steps' states, and its own events."""
    run_id: RunId | None = None
    mortal: Mortal | None = None

    def wrap(real: Database) -> Database:
        nonlocal mortal
        mortal = Mortal(real, *deaths.pop(0)) if deaths and run_id is not None else Mortal(real, 1 << 60)
        return mortal  # type: ignore[return-value]

    async with runtime_at(home, work=Work(), max_concurrent_workflows=4) as (runtime, _):
        await runtime.workflows.register(ACTOR, CHILD, "child.yaml")
        await runtime.pipeline.stop()
    async with runtime_at(home, wrap=wrap) as (runtime, _):
        run_id = await start(runtime, text.replace("steps:", "inputs: {yes: {type: boolean, default: true}}\nsteps:", 1))
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with runtime_at(home, wrap=wrap) as (runtime, _):
                    assert mortal is not None
                    if cancel:
                        await runtime.runs.cancel(ACTOR, run_id)
                    while not mortal.is_dead:
                        run, records = await look(runtime, run_id)
                        if run.state in OVER:
                            own = [str(data["event"]) for kind, data in await events(runtime, run_id) if kind == "workflow.event"]
                            assert await open_gates(runtime, run_id) == 0
                            rows = await runtime.db.read(
                                lambda conn: conn.execute(select(steps.c.state).where(steps.c.run_id == run_id)).scalars().all()
                            )
                            assert not {"started", "waiting"} & set(rows)
                            return run.state, {key: str(record.state) for key, record in records.items()}, sorted(own)
                        await asyncio.sleep(0.01)
            except (DatabaseUnavailable, ExceptionGroup):
                continue


@pytest.mark.parametrize("seed", range(WORKFLOWS))
async def test_a_death_at_any_write_changes_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    text = Maker(chance).text()
    (tmp_path / "calm").mkdir(mode=0o700)
    calm = await outcome(tmp_path / "calm", text, [], cancel=False)
    (tmp_path / "rough").mkdir(mode=0o700)
    deaths = [(chance.randint(1, 25), chance.random() < 0.5) for _ in range(CRASHES)]

    rough = await outcome(tmp_path / "rough", text, deaths, cancel=False)

    assert rough == calm, text
