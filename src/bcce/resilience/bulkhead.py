"""A bulkhead: what is slow fills its own compartment and no other."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bcce.resilience.errors import BulkheadFull


@dataclass(slots=True)
class _Compartment:
    inside: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Bulkhead:
    """At most `at_once` callers of one name are inside and at most `waiting` wait for them, first come, first served, in one process.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(self, *, at_once: int, waiting: int) -> None:
        if at_once < 1 or waiting < 0:
            raise ValueError("at least one call is inside, and a number of waiting calls is not negative")
        self._at_once = at_once
        self._waiting = waiting
        self._compartments: dict[str, _Compartment] = {}

    @asynccontextmanager
    async def place(self, name: str) -> AsyncIterator[None]:
        """Inside the `async with` the caller has a place; waits for one, without a limit of its own.

        Raises:
            BulkheadFull: too many wait already.
        """
        compartment = self._compartments.setdefault(name, _Compartment())
        if compartment.inside < self._at_once:
            compartment.inside += 1
        else:
            await self._wait(name, compartment)
        try:
            yield
        finally:
            self._release(name, compartment)

    async def _wait(self, name: str, compartment: _Compartment) -> None:
        if len(compartment.waiting) >= self._waiting:
            raise BulkheadFull(
                f"{name}: {self._at_once} calls are under way and {len(compartment.waiting)} wait for them",
                hint="let the step be retried later, or raise the limit if the other side can take more",
                details={"bulkhead": name, "at_once": self._at_once, "waiting": self._waiting},
            )
        turn = asyncio.get_running_loop().create_future()
        compartment.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place was handed over just now
                self._release(name, compartment)
            else:
                compartment.waiting.remove(turn)
            raise

    def _release(self, name: str, compartment: _Compartment) -> None:
        """Hands the place to whoever has waited longest; it is not free in between, so nobody overtakes."""
        while compartment.waiting:
            turn = compartment.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        compartment.inside -= 1
        if compartment.inside == 0:
            self._compartments.pop(name, None)
