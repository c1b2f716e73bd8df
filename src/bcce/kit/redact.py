"""Secrets that cannot be printed by accident, and the last line of defence where text leaves the process."""

import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache

MASK = "[redacted]"

#: Keys whose values never reach a log, whatever they hold.
_SECRET_KEY = re.compile(
    r"(?i)(pass(word|wd|phrase)|(?<![a-z])pass(?![a-z])|secret|token|api[_-]?key|authorization|cookie|credential|private[_-]?key|session[_-]?key)"
)
#: The keys among them whose numbers are secrets too (a numeric password from a YAML file); numbers elsewhere are counts and limits.
_SECRET_NUMBER_KEY = re.compile(r"(?i)(pass(word|wd|phrase)|(?<![a-z])pass(?![a-z])|secret|credential)")
#: Shapes of credentials that may stand inside free text, each with what a text must hold (of each group one, in small letters) to have it:
#: our own tokens, bearer headers, AWS keys, private key blocks, passwords in URLs.
_SHAPES: tuple[tuple[tuple[tuple[str, ...], ...], str], ...] = (
    ((("bcce_",),), r"bcce_[a-z]{2,4}_[A-Za-z0-9_-]{16,}"),
    ((("bearer", "basic"),), r"(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"),
    ((("akia", "asia"),), r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ((("-----begin ",),), r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
    ((("://",), ("@",)), r"(?<=://)[^/\s:@]*:[^/\s]+(?=@)"),
)
#: A shorter text cannot have any of these shapes.
_SHORTEST = 6
#: Keys up to this length are remembered, so that hostile ones cannot fill the memory.
_REMEMBERED = 64


class Secret:
    """A value that shows only as a mask; `reveal` is the one way to it, and easy to search for in review."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the place that sends or compares it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __format__(self, format_spec: str) -> str:
        return format(MASK, format_spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret is never pickled")


def mask_text(text: str, secrets: Iterable[Secret] = ()) -> str:
    """`text` with every known secret and everything shaped like a credential replaced by the mask.

    Secrets shorter than four characters are not searched for: masking them would shred the text and hide nothing.
    """
    for secret in sorted((item.reveal() for item in secrets), key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, MASK)
    if len(text) < _SHORTEST:
        return text
    # The shapes are looked for in every text that is stored, most of which have none: to find a word is a hundred times quicker.
    small = text.casefold()
    shapes = tuple(pattern for groups, pattern in _SHAPES if all(any(word in small for word in words) for words in groups))
    return _any_of(shapes).sub(MASK, text) if shapes else text


@cache
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


def redact(value: object, secrets: Iterable[Secret] = ()) -> object:
    """A copy of a JSON-like `value` in which nothing secret is left; other objects become their masked text."""
    known = tuple(secrets)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, str):
        return mask_text(value, known)
    if isinstance(value, bytes):
        return mask_text(value.decode(errors="replace"), known)
    if isinstance(value, Mapping):
        return dict(_redacted_entry(key, item, known) for key, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, known) for item in value]
    return mask_text(str(value), known)


def _redacted_entry(key: object, item: object, known: tuple[Secret, ...]) -> tuple[str, object]:
    name = str(key)
    masked, hides_text, hides_number = _remembered(name) if len(name) <= _REMEMBERED else _judged(name)
    if known:
        masked = mask_text(name, known)
    if item is None or isinstance(item, bool):
        return masked, item  # whether there is a password is no secret
    is_hidden = hides_number if isinstance(item, int | float) else hides_text
    return masked, MASK if is_hidden else redact(item, known)


def _judged(key: str) -> tuple[str, bool, bool]:
    """The key without what is shaped like a credential, and whether texts and numbers under it are secrets."""
    return mask_text(key), bool(_SECRET_KEY.search(key)), bool(_SECRET_NUMBER_KEY.search(key))


#: Outputs have few keys and have them again and again.
_remembered = lru_cache(maxsize=4096)(_judged)
