"""How much may run at the same time in one process."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext


class Limits:
    """At most `per_run` calls at a time in one run, and at most `per_type[type]` of one step type in the process."""

    def __init__(self, *, per_run: int, per_type: Mapping[str, int] | None = None) -> None:
        self.per_run = per_run
        self._slots = {name: asyncio.Semaphore(number) for name, number in (per_type or {}).items()}

    def slot(self, step_type: str) -> AbstractAsyncContextManager[None]:
        """Held while a call of the type runs; waits for its turn."""
        return self._slots.get(step_type) or nullcontext()
