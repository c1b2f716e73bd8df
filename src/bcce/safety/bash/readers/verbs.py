"""Tools that are told what to do by a word: those words that only read, and the options that may stand with them.

The table stands in verbs.txt. A line is `names | options anywhere | words that read | options behind these words | words that are never
reading`; options.py says how options are written. A tool may have several lines. A word may end in `*`; words that belong together are
joined by `+`, one that begins with `+` has names in front. Behind a word that ends in `!` no other may stand. `-` says that none is
needed. Sources: the tools' manual pages and `--help`.
"""

from dataclasses import dataclass
from functools import cache

from bcce.safety.bash.readers.options import Options, options
from bcce.safety.bash.table import table_lines


@dataclass(frozen=True, slots=True)
class Verbs:
    """Reading words of a tool; `is_bare` says that it may stand without any."""

    #: The options that may stand in front of the words, and those that may stand behind them.
    front: Options
    behind: Options
    reading: tuple[tuple[str, ...], ...]
    denied: tuple[str, ...]
    is_bare: bool


@cache
def verbs() -> dict[str, tuple[Verbs, ...]]:
    """The tools by name, each with the lines about it."""
    found: dict[str, tuple[Verbs, ...]] = {}
    for line in table_lines("verbs.txt"):
        names, front, reading, behind, denied = (*(part.strip() for part in line.split("|")), "", "")[:5]
        words = reading.split()
        entry = Verbs(
            options(front),
            options(f"{front} {behind}"),
            tuple(tuple(word.split("+")) for word in words if word != "-"),
            tuple(denied.split()),
            "-" in words,
        )
        for name in names.split():
            found[name] = (*found.get(name, ()), entry)
    return found
