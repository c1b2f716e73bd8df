"""Which files may be shown."""

from collections.abc import Iterable, Sequence

from bcce.safety.bash.paths import covers_secret, is_secret
from bcce.safety.bash.values import is_literal
from bcce.safety.bash.view import Call


def secret_in(call: Call, files: Iterable[str]) -> str | None:
    """Why these files must not be shown; None if they may."""
    for value in files:
        if any(is_secret(path) for path in _places(call, value)):
            return "it shows a place where secrets are kept"
    return None


def recursive(call: Call, folders: Sequence[str]) -> str | None:
    """Why a search through whole folders shows secrets; None if it does not."""
    roots = folders or (".",)
    if any(covers_secret(path) for root in roots for path in _places(call, root)):
        return "it searches through places where secrets are kept"
    return None


def _places(call: Call, value: str) -> list[str]:
    """Where a path may lie: what is relative in every folder that the script goes to."""
    if value.startswith(("/", "~")) or not call.folders or not value:
        return [value]
    found = [value if folder == "" else f"{folder.rstrip('/')}/{value}" for folder in call.folders]
    return [*found, value] if is_literal(value) else found
