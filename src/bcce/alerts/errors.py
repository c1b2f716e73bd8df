"""What can go wrong with alerts.

InvalidInput
├── UnparsableDelivery      a webhook body that its provider does not understand
└── InvalidSource           a name that no source can have
NotFound
├── UnknownProvider
├── UnknownAlert
└── UnknownDeadLetter
Conflict
└── AlreadyReplayed         the dead letter became alerts before
"""

from bcce.kit.errors import Conflict, InvalidInput, NotFound


class UnparsableDelivery(InvalidInput):
    """The body is not what this provider sends.

    `path` is the JSON path of what is wrong, `$` when it is the body as a whole. Once the body is kept, `details` has its `deadLetterId`.
    """

    code = "unparsable-delivery"

    def __init__(self, reason: str, *, path: str = "$", hint: str | None = None) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}", hint=hint, details={"path": path})


class InvalidSource(InvalidInput):
    """A source's name has 1 to 64 visible characters."""

    code = "invalid-source"


class UnknownProvider(NotFound):
    """No provider of that name is installed."""

    code = "unknown-provider"


class UnknownAlert(NotFound):
    """There is no such alert."""

    code = "unknown-alert"


class UnknownDeadLetter(NotFound):
    """There is no such dead letter."""

    code = "unknown-dead-letter"


class AlreadyReplayed(Conflict):
    """This dead letter was replayed before; its alerts are stored."""

    code = "already-replayed"
