"""Every error that BCCE raises on purpose.

    BcceError
    ├── InvalidInput            what the caller sent cannot be used          (400)
    │   ├── InvalidId
    │   └── InvalidDocument     a file: path, line and column are known
    ├── Unauthenticated         nobody we know                               (401)
    ├── Forbidden               known, but not entitled                      (403)
    ├── NotFound                there is no such thing                       (404)
    ├── Conflict                the thing is no longer in the needed state   (409)
    ├── TooLarge                above a stated limit                         (413)
    ├── Unavailable             try again later                              (503, retryable)
    │   └── DeadlineExceeded    it took longer than it may                   (504, retryable)
    └── Unexpected              a bug or a broken machine                    (500)

Domains add subclasses in their own `errors.py`. A class fixes `code`, `status` and `retryable`; its docstring
is the message when none is given. Each edge translates once: the API to problem+json, the CLI to an exit code,
the workflow engine to a failed step.
"""

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What a command tells the shell; the one table for every command."""

    OK = 0
    FAILED = 1
    NEEDS_APPROVAL = 3
    BLOCKED = 4
    USAGE = 64


class BcceError(Exception):
    """Something went wrong that BCCE foresaw.

    Args:
        message: one sentence for a person; None takes the class docstring's first line. Never a secret.
        hint: what the reader can do next; None when there is nothing to do.
        details: facts as JSON values (ids, limits, fields), shown beside the message; never a secret.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(self, message: str | None = None, *, hint: str | None = None, details: dict[str, object] | None = None) -> None:
        self.message = message or (type(self).__doc__ or type(self).__name__).strip().splitlines()[0]
        self.hint = hint
        self.details: dict[str, object] = dict(details or {})
        super().__init__(self.message)


def known_codes() -> frozenset[str]:
    """The codes of all error classes that this process has loaded, those of plugins among them."""
    found: set[str] = set()
    left: list[type[BcceError]] = [BcceError]
    while left:
        kind = left.pop()
        found.add(kind.code)
        left.extend(kind.__subclasses__())
    return frozenset(found)


class InvalidInput(BcceError):
    """The input cannot be used as it is."""

    code = "invalid-input"
    status = 400
    exit_code = ExitCode.USAGE


class InvalidId(InvalidInput):
    """That is not an id of the expected kind."""

    code = "invalid-id"


class InvalidDocument(InvalidInput):
    """A file cannot be used as it is.

    `path` is None for text that came without a file; `line` and `column` count from 1, None when unknown;
    `field` is the dotted path inside the document.
    """

    code = "invalid-document"

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        line: int | None = None,
        column: int | None = None,
        field: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.path, self.line, self.column, self.field = path, line, column, field
        place = ":".join(str(part) for part in (path, line, column) if part is not None)
        facts: dict[str, object] = {"path": path, "line": line, "column": column, "field": field}
        super().__init__(
            f"{place}: {message}" if place else message,
            hint=hint,
            details={name: value for name, value in facts.items() if value is not None},
        )


class Unauthenticated(BcceError):
    """The request does not say who makes it, or the token is not valid."""

    code = "unauthenticated"
    status = 401


class Forbidden(BcceError):
    """The actor is not allowed to do this."""

    code = "forbidden"
    status = 403


class NotFound(BcceError):
    """There is no such thing."""

    code = "not-found"
    status = 404


class Conflict(BcceError):
    """The thing is no longer in the state that this needs."""

    code = "conflict"
    status = 409


class TooLarge(BcceError):
    """The input is larger than the limit."""

    code = "too-large"
    status = 413


class Unavailable(BcceError):
    """Something that is needed does not answer now."""

    code = "unavailable"
    status = 503
    retryable = True


class DeadlineExceeded(Unavailable):
    """It took longer than it may."""

    code = "deadline-exceeded"
    status = 504


class Unexpected(BcceError):
    """Something broke that should not break; the log has the details under the same correlation id."""

    code = "unexpected"
    status = 500
