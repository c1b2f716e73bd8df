"""What is known of a text before anything runs: literal characters with holes where only running would tell.

A value is an ordinary string in which a hole is one private-use character. Scripts that hold such characters themselves are never
allowed, so the two cannot be mistaken for each other.
"""

import re

#: Anything at all, chosen outside: a parameter, or something that may come from a secret place.
ANY = "\ue000"
#: Whatever a command on this machine printed, or its environment holds.
OUT = "\ue001"
#: A number.
NUM = "\ue002"
#: The patterns `*` and `?` or `[…]`, which the shell replaces by names of files.
STAR = "\ue003"
ONE = "\ue004"

_HOLES = re.compile("[\ue000-\ue004]")
_PRIVATE = re.compile("[\ue000-\uf8ff]")
_SHOWN = {ANY: "…", OUT: "…", NUM: "…", STAR: "*", ONE: "?"}
_REGEX = {ANY: ".*", OUT: ".*", NUM: "[0-9]*", STAR: "[^/]*", ONE: "[^/]"}


def is_literal(value: str) -> bool:
    """It has no hole."""
    return _HOLES.search(value) is None


def holes(value: str) -> set[str]:
    """The kinds of holes in it."""
    return set(_HOLES.findall(value))


def prefix(value: str) -> str:
    """The literal text in front of the first hole."""
    return _HOLES.split(value, maxsplit=1)[0]


def literal_parts(value: str) -> list[str]:
    """The literal texts between the holes."""
    return [part for part in _HOLES.split(value) if part]


def shown(value: str) -> str:
    """The value for people."""
    return _HOLES.sub(lambda match: _SHOWN[match[0]], value)


def has_private(text: str) -> bool:
    """The text holds characters that stand for holes here, or for nothing at all."""
    return _PRIVATE.search(text) is not None


def could_be(value: str) -> re.Pattern[str]:
    """Matches every text that the value may turn out to be."""
    parts = _HOLES.split(value)
    found = _HOLES.findall(value)
    pattern = re.escape(parts[0]) + "".join(_REGEX[hole] + re.escape(part) for hole, part in zip(found, parts[1:], strict=True))
    return re.compile(re.sub(r"(\.\*)+", ".*", pattern), re.DOTALL)
