"""The second opinion: before a script is allowed, another parser must find the same commands at the same places.

That is shfmt (mvdan/sh), from the first line on that is more than plain words.
"""

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from bcce.safety.bash.parse import coded, parse
from bcce.safety.bash.plain import plain_commands
from bcce.safety.bash.words import source

_TIMEOUT_S = 2.0
#: Its answer is up to a thousand times as long as the script.
_MOST_BYTES = 12_000


@cache
def program() -> str | None:
    """Where shfmt is: beside the interpreter, as its package installs it, else on the PATH."""
    beside = Path(sys.executable).with_name("shfmt")
    return str(beside) if beside.exists() else shutil.which("shfmt")


def disagreement(text: str) -> str | None:
    """What the two parsers do not agree on; None when both find the same commands at the same places."""
    given = coded(text)
    theirs, end = plain_commands(given)
    if end < len(given):
        # Empty lines in place of what is known, so that what it says is about the right line.
        lines = given.count("\n", 0, end)
        rest = by_process("\n" * lines + given[end:])
        if isinstance(rest, str):
            return rest
        theirs |= {end - lines + at for at in rest}
    ours = _ours(text)
    if ours == theirs:
        return None
    at = min(ours ^ theirs)
    line = given[:at].count("\n") + 1
    return f"the parsers do not agree on the command in line {line}"


def by_process(given: str) -> set[int] | str:
    """The byte offsets at which shfmt sees command words, or why it sees none."""
    path = program()
    if path is None:
        return "the second parser, shfmt, is not installed"
    if len(given) > _MOST_BYTES:
        return f"the script is longer than {_MOST_BYTES} bytes, which is too long to be read twice"
    try:
        done = subprocess.run(  # noqa: S603 - our own program; the script is only its input
            [path, "--to-json", "-ln", "bash"],
            input=given.encode("ascii"),
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
            env={"GOGC": "off"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return "the second parser gave no answer"
    if done.returncode != 0:
        return f"the second parser does not understand it: {done.stderr.decode('utf-8', 'replace').strip()[:120]}"
    try:
        return _theirs(json.loads(done.stdout))
    except (ValueError, RecursionError):
        return "the second parser gave no answer"


def _theirs(tree: Any) -> set[int]:
    """The byte offsets at which shfmt sees command words."""
    found: set[int] = set()
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        if node.__class__ is list:
            stack += node
            continue
        if node.get("Type") == "CallExpr" and node.get("Args"):
            first = node["Args"][0]
            if [part.get("Value") for part in first["Parts"]] not in (["["], ["let"]):
                found.add(first["Pos"].get("Offset", 0))
        for value in node.values():
            # Two thirds of the output are places, which have a line and nothing below.
            if value.__class__ is list or (value.__class__ is dict and "Line" not in value):
                stack.append(value)
    return found


def _ours(text: str) -> set[int]:
    """The byte offsets at which the grammar sees command words."""
    found: set[int] = set()
    stack = [parse(text).root_node]
    while stack:
        node = stack.pop()
        if node.type == "command":
            name = node.child_by_field_name("name")
            word = source(name) if name is not None else ""
            if word in ("time", "coproc"):
                # Keywords for shfmt, commands for the grammar.
                name = node.child_by_field_name("argument")
            if name is not None and word != "let":
                found.add(name.start_byte)
        elif node.type == "unset_command":
            found.add(node.start_byte)
        stack.extend(node.children)
    return found
