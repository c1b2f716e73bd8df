"""How long `bcce --help` takes beyond a bare interpreter."""

import asyncio
import statistics
import sys
from typing import Any

from bcce.config.environ import clean_environ
from bcce.kit.clock import Clock


async def measure(clock: Clock, rounds: int) -> list[dict[str, Any]]:
    """Medians in milliseconds, the variants in turn so that a drift of the machine meets both."""
    variants = {"bcce": ("-m", "bcce", "--help"), "floor": ("-c", "pass")}
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, arguments in variants.items():
            began = clock.monotonic()
            null = asyncio.subprocess.DEVNULL
            process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=null, env=clean_environ())
            await process.wait()
            taken[name].append((clock.monotonic() - began) * 1000)
    return [
        {
            "name": "startup",
            "variant": name,
            "store": "none",
            "metric": "help-wall-time",
            "value": round(statistics.median(values), 2),
            "unit": "ms",
        }
        for name, values in taken.items()
    ]
