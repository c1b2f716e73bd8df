"""How long the bash validator takes for a script, beside the grammar alone and one process of the second parser.

    python benchmarks/safety_bash.py [--rounds 3]

The scripts are the tables of tests/unit/safety/corpora, one after the other in one process:

- `floor`: the tree-sitter grammar parses the script, nothing is judged.
- `second-parser`: one shfmt process reads it and writes its tree; nothing is done with the tree.
- `bcce`, name `judge`: the whole judgement; the second parser is asked for what would be allowed.
- `bcce`, name `judge-hostile`: the slowest of a table of texts that were made to be slow, each at the size limit.

Prints the form of all benchmarks: `{"results": [{"name", "variant", "store", "metric", "value", "unit"}]}`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from bcce.safety.bash.opinion import program
from bcce.safety.bash.parse import MAX_BYTES, TooHard, parse
from bcce.safety.validators.bash import BashValidator

CORPORA = Path(__file__).parents[1] / "tests" / "unit" / "safety" / "corpora"
HOSTILE = (
    *("a|", "a)", "x=(", "`>a ", "$(", "((", "{ ", "'\"", "<<a ", "a;", "${a:-", "[[ ", "case a in ", "))", "a&", ">a ", "<(a ", "$a"),
    *("a=$a;", "{a,b}", "f(){ f;};", "sed s/a/", "cat /etc/pki/"),
)


def read(name: str) -> list[str]:
    """The scripts of one table."""
    return [line.replace("⏎", "\n") for line in (CORPORA / f"bash-{name}.txt").read_text("utf-8").splitlines() if line]


def timed(work: Callable[[str], object], scripts: Iterable[str]) -> list[float]:
    """Milliseconds for each script."""
    taken = []
    for script in scripts:
        began = time.perf_counter()
        work(script)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def floor(script: str) -> None:
    """Parses and judges nothing."""
    try:
        parse(script)
    except TooHard:
        return


def second(script: str) -> None:
    """One process of the second parser."""
    subprocess.run([str(program()), "--to-json", "-ln", "bash"], input=script.encode(), capture_output=True, check=False, env={})  # noqa: S603 - our own program


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    validator = BashValidator()
    results: list[dict[str, object]] = []
    hostile = [(mark * MAX_BYTES)[: MAX_BYTES - 1] for mark in HOSTILE]
    kinds = {"harmless": read("harmless") + read("twins"), "admin": read("admin"), "dangerous": read("dangerous")}
    for kind, scripts in kinds.items():
        for name, work in (("floor", floor), ("second-parser", second), ("bcce", validator.judge)):
            taken = [value for _ in range(rounds) for value in timed(work, scripts)]
            ordered = sorted(taken)
            figures = {"mean": statistics.mean(taken), "p50": ordered[len(ordered) // 2], "p95": ordered[int(len(ordered) * 0.95)]}
            results += [
                {"name": f"judge-{kind}", "variant": name, "store": "none", "metric": metric, "value": round(value, 3), "unit": "ms"}
                for metric, value in figures.items()
            ]
    slowest = max(timed(validator.judge, hostile))
    results.append({"name": "judge-hostile", "variant": "bcce", "store": "none", "metric": "max", "value": round(slowest, 1), "unit": "ms"})
    json.dump({"results": results}, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
