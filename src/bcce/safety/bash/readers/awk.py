"""awk that only prints: no commands, no files written, none read by the program itself. Source: POSIX awk, gawk(1)."""

import re

from bcce.safety.bash.readers.files import secret_in
from bcce.safety.bash.values import ANY, OUT
from bcce.safety.bash.view import Call

_MOST_TEXT = 4000
#: Looked for in the whole program, strings and patterns included: a quote in a pattern can hide where they end.
_NEVER = re.compile(r"\bsystem\s*\(|@\s*\w+\s*\(|@(?:load|include)|\bgetline\b[^;}\n|]*<|/inet[46]?/|-i\s+inplace")
_SPECIAL = re.compile(r"\bARGV\b|\bENVIRON\b|\bsystem\b|\b(?:fflush|close)\s*\(\s*\"|[|]\s*&?\s*getline|\bgetline\s+\w*\s*<")
_PRINTS = re.compile(r"\bprintf?\b([^;}\n]*)")
_STANDARD = re.compile(r'>>?\s*"/dev/std(?:err|out)"\s*(?=[;}\n]|\Z)')
#: What stands in front of a pattern between slashes; behind anything else a slash divides.
_BEFORE_PATTERN = re.compile(r"(?:^|[(,{};\n!~&|=<>?:+\-*%^])\s*\Z")
#: Words behind which a slash could be either; what follows is looked at without telling patterns apart.
_UNCLEAR = re.compile(r"(?:\b(?:print|printf|return|in|getline|else|do|exit|case|delete)|[)\]]|\+\+|--)\s*\Z")


def awk(call: Call) -> str | None:
    """Why this call of awk may do more than print; None if it only prints."""
    args, program, files, index = list(call.args), None, [], 0
    while index < len(args):
        value = args[index]
        if program is None and value in ("-F", "-v", "--field-separator", "--assign"):
            index += 2
            continue
        if program is None and (value.startswith(("-F", "-v")) or value in ("--", "--posix", "--re-interval", "-P")):
            index += 1
            continue
        if program is None and value.startswith("-") and value != "-":
            return f"awk {value} is not known to read only"
        if program is None:
            program = value
        elif not re.match(r"[A-Za-z_]\w*=", value):
            files.append(value)
        index += 1
    if program is None:
        return "awk's program is not known"
    if len(program) > _MOST_TEXT:
        return "awk's program is too long to be judged"
    if ANY in program or _NEVER.search(program) or _does_more(program):
        return "awk's program may run a command or write a file"
    if OUT in re.sub(r'"(\\.|[^"\\])*"', '""', program):
        return "awk's program is put together while running"
    return secret_in(call, files)


def _does_more(program: str) -> bool:
    # Lines that go on: a joined one could make a division of what looks like a pattern.
    code = None if "\\\n" in program else _code(program)
    if code is None:  # a slash that could be either: everything counts as code, what stands in patterns and strings too
        code = _STANDARD.sub("", program.replace("\\\n", " "))
    code = re.sub(r"(,|&&|\|\|)[ \t]*\n", r"\1 ", code)
    if _SPECIAL.search(code) or "|" in code.replace("||", "  "):
        return True
    return any(">" in _outside(found[1]) for found in _PRINTS.finditer(code))


def _code(program: str) -> str | None:
    """The program without comments, and with patterns and the insides of strings left out; None where that cannot be told."""
    kept: list[str] = []
    at = 0
    while at < len(program):
        char = program[at]
        if char == "#":
            end = program.find("\n", at)
            at = len(program) if end < 0 else end
        elif char == '"':
            found = re.compile(r'"(?:\\.|[^"\\\n])*"').match(program, at)
            if found is None:
                return None
            kept.append(_string(found))
            at = found.end()
        elif char == "/":
            before = "".join(kept[-40:])
            if _UNCLEAR.search(before):
                return None
            if not _BEFORE_PATTERN.search(before):
                kept.append(char)
                at += 1
                continue
            found = re.compile(r"/(?:\\.|\[\^?\]?(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/").match(program, at)
            if found is None:
                return None
            kept.append("0")
            at = found.end()
        else:
            kept.append(char)
            at += 1
    return _STANDARD.sub("", "".join(kept))


def _string(found: re.Match[str]) -> str:
    """A string without its inside, except for the names of the standard streams."""
    return found[0] if found[0] in ('"/dev/stderr"', '"/dev/stdout"') else '""'


def _outside(text: str) -> str:
    """What stands in no parentheses: an arrow inside compares."""
    while (shorter := re.sub(r"\([^()]*\)", "", text)) != text:
        text = shorter
    return text
