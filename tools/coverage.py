"""`python -m tools.coverage REPORT`: fail when a part of the package is covered less than it has to be.

REPORT is what `coverage json` wrote. Branches count like lines.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Part of the package -> the least percentage. What decides whether a script may run is covered completely; the rest nearly.
LEAST: dict[str, float] = {
    "": 90,
    "approvals": 100,
    "kit": 100,
    "safety": 100,
    "security/authz": 100,
    "workflows/planner": 100,
}


def percentages(report: Mapping[str, Any], parts: Mapping[str, float] = LEAST) -> dict[str, float]:
    """How much of each part is covered, in percent; a part without a single line is covered completely."""
    found: dict[str, float] = {}
    for part in parts:
        whole = covered = 0
        for file, facts in report["files"].items():
            if _is_in(file, part):
                summary = facts["summary"]
                whole += summary["num_statements"] + summary.get("num_branches", 0)
                covered += summary["covered_lines"] + summary.get("covered_branches", 0)
        found[part] = 100.0 * covered / whole if whole else 100.0
    return found


def main(arguments: list[str]) -> int:
    """Print each part's percentage; the exit status is 1 when one is too low."""
    report = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    status = 0
    for part, percent in percentages(report).items():
        too_low = percent < LEAST[part]
        status |= too_low
        sys.stdout.write(f"{percent:6.2f} % of {part or 'everything'}{f', and it must be {LEAST[part]:g} %' if too_low else ''}\n")
    return int(status)


def _is_in(file: str, part: str) -> bool:
    inside = file.partition("src/bcce/")[2]
    return bool(inside) and (not part or inside == f"{part}.py" or inside.startswith(f"{part}/"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
