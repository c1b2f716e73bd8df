"""Tools that are told what to do by a word: those words that only read.

The table stands in verbs.txt. A line is `names | options with a value | words that read | options and words that are never reading`.
A word may end in `*`; words that
belong together are joined by `+`. Sources: the tools' manual pages and `--help`.
"""

from dataclasses import dataclass
from functools import cache

from bcce.safety.bash.table import table_lines


@dataclass(frozen=True, slots=True)
class Verbs:
    """The reading words of a tool; `is_bare` says that it may stand without any."""

    valued: frozenset[str]
    reading: tuple[tuple[str, ...], ...]
    denied: tuple[str, ...]
    is_bare: bool


@cache
def verbs() -> dict[str, Verbs]:
    """The tools by name."""
    found: dict[str, Verbs] = {}
    for line in table_lines("verbs.txt"):
        names, valued, reading, denied = (*(part.strip() for part in line.split("|")), "", "")[:4]
        words = reading.split()
        entry = Verbs(
            frozenset(valued.split()),
            tuple(tuple(word.split("+")) for word in words if word != "-"),
            tuple(denied.split()),
            "-" in words,
        )
        found.update({name: entry for name in names.split()})
    return found
