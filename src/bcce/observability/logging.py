"""Structured logs on standard error: JSON for machines or plain lines for a terminal, never with a secret.

There is one way out: our own lines and those of Uvicorn, SQLAlchemy, Alembic and whatever else uses the standard library's logging pass the
same processors and end at the same handler.
"""

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, Literal, TextIO

import structlog

from bcce.kit.redact import Secret
from bcce.observability.correlation import current_correlation
from bcce.observability.redaction import Redactor

LogFormat = Literal["json", "console"]

#: Loggers that write a line for each request or statement; what they say is in our own lines and metrics.
_NOISY = ("uvicorn.access", "httpx", "httpcore", "sqlalchemy.engine", "sqlalchemy.pool", "alembic", "asyncio")
#: Loggers that come with handlers of their own, which would print past ours.
_WITH_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "sqlalchemy", "alembic")


def add_correlation(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Adds the current task's correlation id, unless the line has one or there is none."""
    current = current_correlation()
    if current is not None:
        event.setdefault("correlation_id", current)
    return event


def configure_logging(
    format: LogFormat = "json", level: str = "INFO", stream: TextIO | None = None, *, secrets: Iterable[Secret] = ()
) -> None:
    """Sets up this process's logging; a second call replaces the first.

    Args:
        format: one JSON object a line, or lines for people.
        level: the least important level that is written, in any case.
        stream: where lines go; None means standard error.
        secrets: values that are masked wherever they turn up.

    Raises:
        ValueError: there is no such level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"there is no log level {level!r}")
    out = stream if stream is not None else sys.stderr
    handler = _Handler(out)
    handler.setFormatter(_formatter(format, out, secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in _WITH_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, number))
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _shared() -> list[Any]:
    """What happens to our own lines and to those of other libraries alike."""
    return [
        structlog.contextvars.merge_contextvars,
        add_correlation,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]


def _formatter(format: LogFormat, out: TextIO, secrets: Iterable[Secret]) -> logging.Formatter:
    is_console = format == "console"
    renderer: Any = structlog.processors.JSONRenderer()
    if is_console:
        # The default formatter would show local variables, secrets among them.
        renderer = structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, Redactor(secrets, is_printed=is_console), renderer],
    )


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines; one that cannot be formatted is reported without its arguments, which the standard handler would print."""

    def handleError(self, record: logging.LogRecord) -> None:
        reason = type(sys.exc_info()[1]).__name__
        try:
            self.stream.write(f'{{"event": "log.failed", "level": "error", "logger": "{record.name}", "reason": "{reason}"}}\n')
        except (OSError, ValueError):
            # The stream is closed or its disk is full: there is nowhere left to say it.
            return
