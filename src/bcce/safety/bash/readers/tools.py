"""Tools that only read, whatever their operands are, once the options that make them write or run something are ruled out.

The table stands in tools.txt. A line is `names | kind | options with a value | options that are not reading | most operands`.
Kinds: `say` prints its arguments, `free`
takes names and numbers, `list` takes paths but shows no content, `read` shows the content of its operands, `match` too but its first
operand is a pattern. Sources: the manual pages of the tools, GTFOBins for the options that run or write.
"""

from dataclasses import dataclass
from functools import cache

from bcce.safety.bash.table import table_lines


@dataclass(frozen=True, slots=True)
class Tool:
    """How a tool's arguments are read."""

    kind: str
    valued: frozenset[str]
    denied: tuple[str, ...]
    most: int | None


@cache
def tools() -> dict[str, Tool]:
    """The tools by name."""
    found: dict[str, Tool] = {}
    for line in table_lines("tools.txt"):
        names, kind, valued, denied, most = (*(part.strip() for part in line.split("|")), "", "", "")[:5]
        tool = Tool(kind, frozenset(valued.split()), tuple(denied.split()), int(most) if most else None)
        found.update({name: tool for name in names.split()})
    return found
