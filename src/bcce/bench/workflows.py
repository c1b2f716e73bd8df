"""How fast the engine is, beside a bare loop that does the same writes without an engine.

- `chain`: one run of ten steps, one after the other; each is durable before the next begins.
- `many`: so many runs of ten steps at once.
- `fan-out`: one run of fifty steps at once.
- `outputs`: a hundred runs of ten steps at once, with outputs of 20 bytes, 2 kB and 16 kB.
- `parked`: runs that wait for an event: what one more costs in memory, and how long one takes from its signal to its end.
- `recovery`: unfinished runs of a process that is gone, from the start of the next process to the last run's end.

`bcce` is the whole engine with events and fences. `bare` is asyncio and one SQLite writer thread with group commit, with the same rows.
`dbos` is DBOS Transact with one durable step for each step, where it is installed. All write to SQLite with WAL and synchronous=FULL; the
engine is also measured on a server's database if one is given.
"""

import asyncio
import functools
import gc
import importlib.util
import logging
import os
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection

from bcce.bench.bare import FAN, STEPS, Bare
from bcce.bench.repository import count_completed, count_unparked, last_end
from bcce.kit.clock import Clock
from bcce.kit.ids import RunId
from bcce.runtime import Runtime, Settings, open_runtime
from bcce.security.actor import system_actor
from bcce.workflows.model import RunState

ACTOR = system_actor("bench")
_SIZES = {"20 B": 20, "2 kB": 2_000, "16 kB": 16_000}
_SIZED_RUNS = 100
_WAKES = 100
_PAGE = 2_000
_HEAD = 'version: "1.0"\nname: {}\nsteps:\n'
_TEXTS = {
    "chain": _HEAD.format("chain") + "".join(f"  - {{id: s{n}, type: set, x: {n}}}\n" for n in range(STEPS)),
    "fan": _HEAD.format("fan") + "".join(f"  - {{id: s{n}, type: set, x: {n}, depends_on: []}}\n" for n in range(FAN)),
    "sized": 'version: "1.0"\nname: sized\ninputs: {text: string}\nsteps:\n'
    + "".join(f"  - {{id: s{n}, type: set, x: '{{{{ inputs.text }}}}'}}\n" for n in range(STEPS)),
    "gate": _HEAD.format("gate") + "  - {id: g, type: wait, event: go}\n",
}

Result = dict[str, Any]


async def measure(clock: Clock, *, rounds: int, count: int, parked: int, server: str | None = None) -> list[Result]:
    """Medians over `rounds`, the variants in turn so that a drift of the machine meets all. `count` runs at once, `parked` that wait.

    `server`: the URL of a database in which the rounds may leave their rows.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    taken: dict[tuple[str, str, str, str, str], list[float]] = {}

    def noting(variant: str, store: str = "sqlite") -> Note:
        def note(name: str, metric: str, unit: str, value: float) -> None:
            taken.setdefault((name, variant, store, metric, unit), []).append(value)

        return note

    with tempfile.TemporaryDirectory(prefix="bcce-bench-") as server_home:
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(prefix="bcce-bench-") as folder:
                async with _opened(Path(folder) / "home", count) as runtime:
                    await _speed(runtime, clock, count, noting("bcce"))
                await _bare_speed(Bare(Path(folder) / "bare.db", clock), clock, count, noting("bare"))
                if server is not None:
                    # The same home in all rounds: a database belongs to the keys of the home that made it.
                    async with _opened(Path(server_home) / "home", count, server=server) as runtime:
                        await _speed(runtime, clock, count, noting("bcce", server.partition(":")[0].partition("+")[0]))
                if importlib.util.find_spec("dbos") is not None:
                    await _dbos_speed(Path(folder), clock, count, noting("dbos"))
    with tempfile.TemporaryDirectory(prefix="bcce-bench-") as folder:
        await _waiting(Path(folder), clock, parked, noting("bcce"))
        await _recovery(Path(folder), clock, noting("bcce"))
    return [
        {"name": name, "variant": variant, "store": store, "metric": metric, "value": round(statistics.median(values), 2), "unit": unit}
        for (name, variant, store, metric, unit), values in taken.items()
    ]


Note = Callable[[str, str, str, float], None]


def _opened(home: Path, count: int, *, works: bool = True, server: str | None = None) -> Any:
    database = {"database": {"url": server}} if server is not None else {}
    settings = Settings.model_validate({"workflows": {"max_concurrent_workflows": count}, **database})
    return open_runtime(settings, home=home, works=works)


async def _dbos_speed(folder: Path, clock: Clock, count: int, note: Note) -> None:
    from bcce.bench import peer_dbos  # noqa: PLC0415 - only whoever compares has it

    # A fifth of the runs, because it takes so long; its speed hardly depends on how many there are.
    chain, fan, many = await peer_dbos.measure(folder, clock, max(1, count // 5))
    note("chain", "run of 10 steps", "ms", chain)
    note("fan-out", "run of 50 steps", "ms", fan)
    note("many", "durable steps", "1/s", many)


async def _speed(runtime: Runtime, clock: Clock, count: int, note: Note) -> None:
    for text in _TEXTS.values():
        await runtime.workflows.register(ACTOR, text, "bench")
    await _timed(runtime, clock, "chain", 3)
    one = [await _timed(runtime, clock, "chain", 1) for _ in range(9)]
    note("chain", "run of 10 steps", "ms", statistics.median(one) * 1000)
    fan = [await _timed(runtime, clock, "fan", 1) for _ in range(5)]
    note("fan-out", "run of 50 steps", "ms", statistics.median(fan) * 1000)
    seconds = await _timed(runtime, clock, "chain", count)
    note("many", "durable steps", "1/s", count * STEPS / seconds)
    for name, size in _SIZES.items():
        seconds = await _timed(runtime, clock, "sized", _SIZED_RUNS, text="x" * size)
        note("outputs", f"durable steps of {name}", "1/s", _SIZED_RUNS * STEPS / seconds)


async def _bare_speed(bare: Bare, clock: Clock, count: int, note: Note) -> None:
    async def timed(work: Callable[[], Awaitable[None]]) -> float:
        began = clock.monotonic()
        await work()
        return clock.monotonic() - began

    async with bare:
        await bare.chains(3, STEPS)
        one = [await timed(lambda: bare.chains(1, STEPS)) for _ in range(9)]
        note("chain", "run of 10 steps", "ms", statistics.median(one) * 1000)
        fan = [await timed(lambda: bare.fan(FAN)) for _ in range(5)]
        note("fan-out", "run of 50 steps", "ms", statistics.median(fan) * 1000)
        note("many", "durable steps", "1/s", count * STEPS / await timed(lambda: bare.chains(count, STEPS)))
        for name, size in _SIZES.items():
            seconds = await timed(functools.partial(bare.chains, _SIZED_RUNS, STEPS, size=size))
            note("outputs", f"durable steps of {name}", "1/s", _SIZED_RUNS * STEPS / seconds)


async def _begin(runtime: Runtime, workflow: str, count: int, **inputs: object) -> list[RunId]:
    def write(conn: Connection) -> list[RunId]:
        return [runtime.workflows.start(ACTOR, conn, workflow=workflow, inputs=inputs, correlation_id="cor_bench") for _ in range(count)]

    return await runtime.db.write(write)


async def _timed(runtime: Runtime, clock: Clock, workflow: str, count: int, **inputs: object) -> float:
    """Seconds from the ring of the first of `count` runs to the end of the last."""
    before = await _ended(runtime, workflow)
    run_ids = await _begin(runtime, workflow, count, **inputs)
    began = clock.now()
    for run_id in run_ids:
        runtime.ring(run_id)
    while await _ended(runtime, workflow) < before + count:
        await clock.sleep(0.03)
    # By the journal's own times: to look more often would take part in what is measured.
    last = await runtime.db.read(lambda conn: last_end(conn, run_ids))
    return (last - began).total_seconds()


async def _ended(runtime: Runtime, workflow: str) -> int:
    return await runtime.db.read(lambda conn: count_completed(conn, workflow))


async def _waiting(folder: Path, clock: Clock, count: int, note: Note) -> None:
    async with _opened(folder / "parked", 500) as runtime:
        for text in _TEXTS.values():
            await runtime.workflows.register(ACTOR, text, "bench")
        await _timed(runtime, clock, "chain", 500)
        gc.collect()
        before = _resident_kib()
        # Not all of them are remembered: their ids alone would take as much memory as the engine may.
        run_ids: list[RunId] = []
        for start in range(0, count, _PAGE):
            page = await _begin(runtime, "gate", min(_PAGE, count - start))
            run_ids += page[: _WAKES - len(run_ids)]
            for run_id in page:
                runtime.ring(run_id)
            await _all_parked(runtime, clock)
        gc.collect()
        note("parked", f"memory for {count} runs", "MiB", (_resident_kib() - before) / 1024)
        used = os.times()
        await clock.sleep(5)
        idle = os.times()
        note("parked", f"processor while {count} runs wait", "%", (idle.user + idle.system - used.user - used.system) / 5 * 100)
        wakes = []
        committed = asyncio.Event()
        runtime.db.on_commit(committed.set)
        for run_id in run_ids:
            began = clock.monotonic()
            await runtime.workflows.signal(ACTOR, run_id, "go", {})
            runtime.ring(run_id)
            # Like a stream of events: it looks when something was committed. To look all the time would take part in what is measured.
            while (await runtime.workflows.state(ACTOR, run_id)) is not RunState.COMPLETED:
                await committed.wait()
                committed.clear()
            wakes.append(clock.monotonic() - began)
        note("parked", "from signal to end", "ms", statistics.median(wakes) * 1000)


async def _all_parked(runtime: Runtime, clock: Clock) -> None:
    while await runtime.db.read(count_unparked):
        await clock.sleep(0.02)


async def _recovery(folder: Path, clock: Clock, note: Note) -> None:
    count = 1_000
    async with _opened(folder / "recovery", 500, works=False) as runtime:
        for text in _TEXTS.values():
            await runtime.workflows.register(ACTOR, text, "bench")
        await _begin(runtime, "chain", count)
    began = clock.monotonic()
    async with _opened(folder / "recovery", 500) as runtime:
        while await _ended(runtime, "chain") < count:
            await clock.sleep(0.02)
    note("recovery", f"{count} unfinished runs of 10 steps", "s", clock.monotonic() - began)


def _resident_kib() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
