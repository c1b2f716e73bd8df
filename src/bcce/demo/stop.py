"""Stopping the demonstration by a signal: once, and never in the middle of its cleaning up."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Inside `with`, the first SIGINT, SIGTERM or SIGHUP cancels what `guard` runs, and every further one does nothing.

    `is_asked` says that one came. Under nohup SIGHUP stays ignored. Only for the main thread.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self._cancel: Callable[[], object] = lambda: None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Stop":
        for number in _SIGNALS:
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        # After a stop the process is about to end, and an impatient second signal must not change how.
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if self.is_asked else handler)

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns.

        Raises:
            CancelledError: a signal came, before or meanwhile.
        """
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if self.is_asked:
            task.cancel()
        try:
            return await task
        finally:
            self._cancel = lambda: None

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if not self.is_asked:
            self.is_asked = True
            self._cancel()
