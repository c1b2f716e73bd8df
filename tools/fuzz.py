"""`python -m tools.fuzz [--minutes 60] [--seed N]`: throws broken scripts at the validators.

Fails on an exception, a crash of the process, or a judgement that takes over a second.

Scripts of the corpora are cut, joined, repeated and sprinkled with what the languages are made of. The work is done in a process of its
own, so that even a crash of a parser is a result: the script is in the file that is named. What was slowest is told at the end.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bcce.safety.validators.bash import BashValidator
from bcce.safety.validators.powershell import PowerShellValidator

CORPORA = Path(__file__).parents[1] / "tests" / "unit" / "safety" / "corpora"
SLOW_MS = 1000.0
#: What the languages are made of, with blanks between; the last pieces hold blanks or line ends themselves.
PIECES = {
    "bash": [
        "\n",
        " ",
        "eval ",
        "if ",
        "do ",
        "case ",
        *["|", "&", ";", "<", ">", "(", ")", "{", "}", "$(", "`", "${", "'", '"', "\\", "<<E", "[[", "((", "#", "$'", "=", "*"],
    ],
    "powershell": [
        "\n",
        " ",
        "@'\n",
        "iex ",
        *[
            "|",
            "&",
            ";",
            "$(",
            "@(",
            "@{",
            "{",
            "}",
            ")",
            "[",
            "]",
            "::",
            ".",
            "`",
            "'",
            '"',
            "-",
            "--%",
            ",",
            "#",
            "<#",
            "$x",
            "if(",
            "%{",
        ],
    ],
}


def scripts(shell: str) -> list[str]:
    """Every script of a shell's tables."""
    files = sorted(CORPORA.glob(f"{shell}-*.txt"))
    return [line.replace("⏎", "\n") for file in files for line in file.read_text("utf-8").splitlines() if line]


def mutated(chance: random.Random, shell: str, known: list[str]) -> str:
    """A script that nobody would write."""
    text = chance.choice(known)
    for _ in range(chance.randint(1, 6)):
        kind, at = chance.randrange(7), chance.randrange(len(text) + 1)
        if kind == 0:
            text = text[:at] + chance.choice(PIECES[shell]) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + chance.randint(1, 8) :]
        elif kind == 2:
            text = text[:at] + chance.choice(known)[: chance.randint(1, 200)] + text[at:]
        elif kind == 3:
            text = (text + chance.choice(PIECES[shell])) * chance.randint(2, 60)
        elif kind == 4:
            text = text[:at] + chance.choice(PIECES[shell]) * chance.randint(2, 3000) + text[at:]
        elif kind == 5:
            text = (
                text[:at]
                + chr(chance.choice([0, 27, 127, 0x85, 0x202E, 0xFFFD, 0x1F600, 0xE9, chance.randrange(0x10FFFF) & ~0x800]))
                + text[at:]
            )
        else:
            text = text[at:] + text[:at]
    return text[:70_000]


def work(shell: str, seed: int, seconds: float, note: Path) -> None:
    """Judges mutated scripts until the time is over; `note` always holds the one that is being judged."""
    validator = BashValidator() if shell == "bash" else PowerShellValidator()
    chance, known = random.Random(seed), scripts(shell)  # noqa: S311 - nothing secret comes of it
    end, count, slowest = time.monotonic() + seconds, 0, 0.0
    while time.monotonic() < end:
        text = mutated(chance, shell, known)
        note.write_text(text, encoding="utf-8", errors="surrogatepass")
        began = time.perf_counter()
        validator.judge(text)
        taken = (time.perf_counter() - began) * 1000
        count += 1
        if taken > slowest:
            slowest = taken
            note.with_suffix(".slowest").write_text(text, encoding="utf-8", errors="surrogatepass")
        if taken > SLOW_MS:
            sys.stdout.write(f"slow: {taken:.0f} ms for {len(text)} characters: {text[:80]!r}\n")
    sys.stdout.write(f"{shell}: {count} scripts, the slowest took {slowest:.0f} ms ({note.with_suffix('.slowest')})\n")


def main() -> int:
    """Runs a worker for each shell in turn, anew every half minute; 1 when something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--work", nargs=4, metavar=("SHELL", "SEED", "SECONDS", "NOTE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        shell, seed, seconds, note = given.work
        work(shell, int(seed), float(seconds), Path(note))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="bcce-fuzz-"))
    end, seed, bad = time.monotonic() + given.minutes * 60, given.seed, 0
    while time.monotonic() < end:
        for shell in PIECES:
            note = folder / f"{shell}-{seed}.txt"
            argv = [sys.executable, "-m", "tools.fuzz", "--work", shell, str(seed), "30", str(note)]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
            sys.stdout.write(done.stdout)
            if done.returncode != 0:
                sys.stdout.write(f"CRASH: status {done.returncode}, seed {seed}, script in {note}\n{done.stderr[-600:]}\n")
            bad += done.returncode != 0 or "slow:" in done.stdout
            sys.stdout.flush()
        seed += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
