"""What can go wrong with judging a script."""

from bcce.kit.errors import InvalidInput


class UnknownShell(InvalidInput):
    """No validator knows this shell, so its scripts cannot be judged and never run."""

    code = "unknown-shell"
