"""Logging belongs to the whole process, so each test puts it back."""

import logging
from collections.abc import Iterator

import pytest
import structlog

LOGGERS = (
    "",
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "sqlalchemy",
    "sqlalchemy.engine",
    "alembic",
    "httpx",
    "httpcore",
    "asyncio",
)


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Handlers, levels and structlog's configuration are as before when the test ends."""
    before = {name: (list(logging.getLogger(name).handlers), logging.getLogger(name).level) for name in LOGGERS}
    yield
    structlog.reset_defaults()
    for name, (handlers, level) in before.items():
        logging.getLogger(name).handlers[:] = handlers
        logging.getLogger(name).setLevel(level)
