"""`python -m tools.lint SOURCE`: print what breaks a rule of the house; exit status 1 when anything does."""

import sys
from pathlib import Path

from tools.lint.check import check_tree
from tools.lint.exemptions import EXEMPTIONS


def main(arguments: list[str]) -> int:
    """Check the folder that `arguments` names, `src` when there is none."""
    root = Path(arguments[0] if arguments else "src")
    problems = check_tree(root, EXEMPTIONS)
    for problem in problems:
        sys.stdout.write(f"{root / 'bcce'}/{problem}\n")
    sys.stdout.write(f"house rules: {len(problems)} problems\n" if problems else "house rules: clean\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
