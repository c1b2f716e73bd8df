"""The dispatcher door: who is told that a run may be ready.

A dispatcher only rings. Whether a run is ready, and who owns it, is decided by rows in `runs`; so a ring may be lost, doubled or late.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from bcce.kit.ids import RunId
from bcce.workflows.engine import Parked

Advance = Callable[[RunId], Awaitable[Parked | None]]


class Dispatcher(Protocol):
    """Hands runs to workers.

    `ring` may be called from anywhere in the event loop, before `start` and after `stop`; it never blocks and never fails. After
    `start(advance)`
    each ring leads to a call of `advance(run_id)` in some worker, at most `concurrency` at a time in this process. `stop` lets calls that
    run end, up to a grace time, then cancels them; the journal makes
    cancelling harmless.
    """

    def ring(self, run_id: RunId, wake_seq: int, queue: str, priority: int) -> None:
        """Says that the run may be ready. `(run_id, wake_seq)` names the ring for whoever wants to drop doubles."""
        ...

    async def start(self, advance: Advance) -> None:
        """Begins to hand out."""
        ...

    async def stop(self) -> None:
        """Ends handing out."""
        ...
