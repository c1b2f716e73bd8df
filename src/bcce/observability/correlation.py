"""The one id that ties a webhook to its steps, its script and its log lines."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from bcce.kit.ids import Ids

HEADER = "X-Correlation-Id"
_GIVEN = re.compile(r"[A-Za-z0-9_.:-]{8,64}")
_current: ContextVar[str | None] = ContextVar("bcce_correlation", default=None)


def new_correlation(ids: Ids) -> str:
    """A fresh correlation id; it is not bound to anything yet."""
    return ids.new("cor")


def bind_correlation(correlation_id: str) -> None:
    """Makes this the id of everything that the current task, and tasks it starts from now on, does and logs."""
    _current.set(correlation_id)


@contextmanager
def correlated(correlation_id: str) -> Iterator[None]:
    """Binds the id inside the `with`, and the one before it again afterwards."""
    token = _current.set(correlation_id)
    try:
        yield
    finally:
        _current.reset(token)


def current_correlation() -> str | None:
    """The current task's id; None outside any request, run or event."""
    return _current.get()


def accepted(given: str | None) -> str | None:
    """An id from outside if it is harmless to keep and log, else None."""
    return given if given is not None and _GIVEN.fullmatch(given) else None
