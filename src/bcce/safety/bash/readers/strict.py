"""Tools that change things by default and read with some options: only exactly these arguments read.

The table stands in strict.txt. A line is `names | pattern of all arguments, joined by blanks`. The
patterns are matched as a whole. Sources: the tools' manual pages.
"""

import re
from functools import cache

from bcce.safety.bash.table import table_lines


@cache
def strict() -> dict[str, re.Pattern[str]]:
    """What the arguments of each tool must match as a whole to read only."""
    found: dict[str, list[str]] = {}
    for line in table_lines("strict.txt"):
        names, _, pattern = line.partition("||")
        for name in names.split():
            found.setdefault(name, []).append(pattern.strip())
    # Every word ends in one blank, so that a pattern can be matched in one way only.
    return {name: re.compile("|".join(f"(?:{pattern.replace(' ?', ' ')}) ?" for pattern in patterns)) for name, patterns in found.items()}
