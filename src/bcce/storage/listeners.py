"""Who wants to hear that new events have their positions."""

from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)


class Listeners:
    """Callbacks of the event loop; one that fails keeps neither the database nor the others from working."""

    def __init__(self, first: Callable[[], None] | None = None) -> None:
        self._callbacks = [first] if first is not None else []

    def add(self, callback: Callable[[], None]) -> None:
        """Call `callback` from now on."""
        self._callbacks.append(callback)

    def notify(self) -> None:
        """Call them all."""
        for callback in self._callbacks:
            try:
                callback()
            except Exception:  # a listener's fault is its own; the commit has happened
                log.exception("database.listener_failed")
