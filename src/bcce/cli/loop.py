"""The event loop of commands that work for long: the server's, and the benchmarks', which measure what the server does."""

import asyncio
import gc
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

#: How long one thread may compute while another one waits, seconds. With Python's own 5 ms, what the database's thread has done in half a
#: millisecond waits five for the chance to say so.
_SWITCH_S = 0.001
#: New objects until a collection. Nearly all objects of a run die by their count alone, so Python's own 700 mostly finds nothing.
_GC_THRESHOLDS = (20_000, 20, 20)


def run_long(main: Coroutine[Any, Any, T]) -> T:
    """What `main` returns, on a compiled event loop where there is one, with a collector that looks less often and quicker threads."""
    gc.set_threshold(*_GC_THRESHOLDS)
    sys.setswitchinterval(_SWITCH_S)
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop  # noqa: PLC0415 - a moment that only long commands have

    return uvloop.run(main)
