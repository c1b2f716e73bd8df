"""The engine's benchmark on DBOS Transact, for comparison: one durable DBOS step for each step.

On SQLite it gets what our own engine gives itself: WAL, synchronous=FULL, and time to wait for the lock; without them it is slower.
"""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event

from bcce.bench.bare import FAN, STEPS
from bcce.kit.clock import Clock


async def measure(folder: Path, clock: Clock, count: int) -> tuple[float, float, float]:
    """Milliseconds of one chain and of one fan-out, and steps per second of `count` chains at once."""
    # In an event loop of its own, because DBOS takes the default executor of the one that it finds along when it ends.
    return await asyncio.to_thread(lambda: asyncio.run(_measure(folder, clock, count)))


async def _measure(folder: Path, clock: Clock, count: int) -> tuple[float, float, float]:
    from dbos import DBOS  # noqa: PLC0415 - only whoever compares has it

    @DBOS.step()
    async def nothing(number: int) -> int:
        return number

    @DBOS.workflow()
    async def chained(steps: int) -> int:
        for number in range(steps):
            await nothing(number)
        return steps

    @DBOS.workflow()
    async def fanned(steps: int) -> int:
        await asyncio.gather(*(nothing(number) for number in range(steps)))
        return steps

    async def once(workflow: Any, steps: int) -> None:
        handle: Any = await DBOS.start_workflow_async(workflow, steps)
        await handle.get_result()

    path = folder / "dbos.sqlite"
    url = f"sqlite:///{path}"
    config: Any = {"name": "bench", "system_database_url": url, "system_database_engine": _engine(url), "run_admin_server": False}
    DBOS(config={**config, "log_level": "ERROR"})
    DBOS.launch()
    try:
        await once(chained, STEPS)
        chain = [await _seconds(clock, lambda: once(chained, STEPS)) for _ in range(9)]
        fan = [await _seconds(clock, lambda: once(fanned, FAN)) for _ in range(5)]

        async def all_at_once() -> None:
            await asyncio.gather(*(once(chained, STEPS) for _ in range(count)))

        many = count * STEPS / await _seconds(clock, all_at_once)
    finally:
        DBOS.destroy()
    return statistics.median(chain) * 1000, statistics.median(fan) * 1000, many


def _engine(url: str) -> Engine:
    engine = create_engine(url)

    def connected(connection: Any, _: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=60000"):
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", connected)
    return engine


async def _seconds(clock: Clock, work: Callable[[], Awaitable[None]]) -> float:
    began = clock.monotonic()
    await work()
    return clock.monotonic() - began
