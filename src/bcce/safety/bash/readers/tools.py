"""Tools that only read, whatever their operands are, as long as every option is one of those with which they do.

The table stands in tools.txt. A line is `names | kind | options | most operands`; options.py says how options are written.
Kinds: `say` prints its arguments, `free` takes names and numbers, `list` takes paths but shows no content, `read` shows the content of
its operands, `match` too but its first operand is a pattern. Sources: the manual pages of the tools, GTFOBins for what runs or writes.
"""

from dataclasses import dataclass
from functools import cache

from bcce.safety.bash.readers.options import Options, options
from bcce.safety.bash.table import table_lines


@dataclass(frozen=True, slots=True)
class Tool:
    """How a tool's arguments are read."""

    kind: str
    options: Options
    most: int | None


@cache
def tools() -> dict[str, Tool]:
    """The tools by name."""
    found: dict[str, Tool] = {}
    for line in table_lines("tools.txt"):
        names, kind, known, most = (*(part.strip() for part in line.split("|")), "", "")[:4]
        tool = Tool(kind, options(known), int(most) if most else None)
        found.update({name: tool for name in names.split()})
    return found
