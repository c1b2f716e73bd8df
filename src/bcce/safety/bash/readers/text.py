"""Tools with a language of their own for text and files: find, sed, and archives."""

import re
from dataclasses import replace
from itertools import takewhile

from bcce.safety.bash.readers.files import secret_in
from bcce.safety.bash.values import ANY, OUT
from bcce.safety.bash.view import Call

_MOST_TEXT = 4000
_FIND_DENIED = frozenset({"-delete", "-fprint", "-fprintf", "-fls", "-fprint0"})


_SED_SUBSTITUTES = re.compile(r"[sy](.)(?:\\.|(?!\1).)*\1(?:\\.|(?!\1).)*\1([a-zA-Z0-9]*)", re.DOTALL)
#: The same where brackets keep what ends a pattern, as in the seds of BSD and busybox.
_SED_BRACKETS = re.compile(r"[sy](.)(?>\\.|\[\^?\]?[^]\n]*\]|(?!\1).)*+\1(?:\\.|(?!\1).)*\1([a-zA-Z0-9]*)", re.DOTALL)
_SED_ADDRESSES = (r"(?<!\\)/(\\.|[^/])*/", r"(?<!\\)/(?>\\.|\[\^?\]?[^]\n]*\]|[^/])*+/")
_SED_DOES = re.compile(r"(^|[;{}\n!]|[0-9$,+~IM])\s*[eEwWrR]|(^|[;,{}\n])\s*\\[^\s]")


def find(call: Call) -> str | None:
    """find without actions that write; what it runs is judged on its own."""
    for value in call.args:
        if value == "-files0-from":
            return "find shows what a file says"
        if value in _FIND_DENIED:
            return f"find {value} writes or deletes"
        if value == ANY:
            return "find could be given an action"
    if any(value in ("-ok", "-okdir") for value in call.args):
        return "find asks before it runs something"
    return None


def sed(call: Call) -> str | None:
    """sed that prints: no editing in place, no writing, no running."""
    if call.has("-i", "--in-place") or any(re.match(r"-[nErsuz]*i", value) for value in call.args):
        return "sed -i changes files"
    if call.has("-l", "--line-length"):
        return "this option of sed takes a word that could be taken for its script"
    if call.has("-f", "--file"):
        return "sed reads its script from a file"
    scripts, files = _scripts(
        call,
        ("-e", "--expression"),
        (
            "-E",
            "-r",
            "-n",
            "-s",
            "-u",
            "-z",
            "--quiet",
            "--silent",
            "--regexp-extended",
            "--separate",
            "--unbuffered",
            "--null-data",
            "--posix",
            "--debug",
            "--sandbox",
            "--follow-symlinks",
            "--binary",
            "-b",
        ),
    )
    if not scripts or any(value.startswith("-") for value in files if value != "-"):
        return "sed's script is not known"
    for script in scripts:
        if len(script) > _MOST_TEXT:
            return "sed's script is too long to be judged"
        if OUT in script or ANY in script:
            text = script.replace(ANY, "x")
            if ANY in script or not re.match(r"\d|s(.)|/|\\?\$|\^", text):
                return "sed's script is not known"
        if _sed_does_more(script):
            return "sed's script may write a file, read another one or run a command"
    return secret_in(call, files)


def _sed_does_more(script: str) -> bool:
    """A command of the script writes, reads or runs something, in one of the two ways in which its patterns can end."""
    for substitutes, address in zip((_SED_SUBSTITUTES, _SED_BRACKETS), _SED_ADDRESSES, strict=True):
        rest = substitutes.sub(lambda match: "\0" if set(match[2]) & set("ewWE") else "", script)
        rest = re.sub(address, "1", rest)
        if "\0" in rest or _SED_DOES.search(rest):
            return True
    return False


def _scripts(call: Call, valued: tuple[str, ...], flags: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The scripts and the files of sed's arguments."""
    scripts: list[str] = []
    rest: list[str] = []
    args = list(call.args)
    while args:
        value = args.pop(0)
        if value in valued and args:
            scripts.append(args.pop(0))
        elif value.startswith("--expression="):
            scripts.append(value.partition("=")[2])
        elif re.fullmatch(r"-[nErsuz]+e", value) and args:
            scripts.append(args.pop(0))
        elif value in flags or re.fullmatch(r"-[nErsuz]+|-l\d*", value):
            continue
        elif value == "--":
            rest.extend(args)
            break
        elif value.startswith("-") and value != "-":
            return [], []  # an option that is not known may take the script for its value
        else:
            rest.append(value)
    if not scripts and rest:
        scripts.append(rest.pop(0))
    return scripts, rest


def _has(call: Call, *options: str) -> bool:
    """As Call.has; `--list` is an option of its own and not a short form of a longer one."""
    return any(value != "--list" and replace(call, args=(value,)).has(*options) for value in call.args)


def tar(call: Call) -> str | None:
    """tar that only lists."""
    first = call.args[0] if call.args else ""
    lists = re.fullmatch(r"-?[tvzjJaf]*t[tvzjJaf]*", first) or call.has("--list")
    runs = any(re.match(r"--(?:rm|remove)", value) for value in call.args) or _has(
        call,
        "-I",
        "--use-compress-program",
        "--to-command",
        "--checkpoint-action",
        "--rsh-command",
        "-F",
        "--info-script",
        "--new-volume-script",
        "--delete",
        "--index-file",
        "--volno-file",
        "-g",
        "--listed-incremental",
    )
    given = (
        *call.operands,
        *(re.sub(r"-[A-Za-z]*f|--fi?l?e?=", "", value, count=1) for value in call.args if re.match(r"-[A-Za-z]*f.|--f[ile]*=", value)),
    )
    if any(re.match(r"[^/]*:", value) for value in given) and "--force-local" not in call.args:
        return "tar asks another machine for the archive"
    if lists and not runs:
        return None
    shows = re.fullmatch(r"-?[vzjJf]*x[vzjJf]*O[vzjJf]*|-?[vzjJf]*O[vzjJf]*x[vzjJf]*", first) or (
        call.has("-x") and call.has("--to-stdout", "-O")
    )
    compares = re.fullmatch(r"-?[vzjJf]*d[vzjJf]*", first) or call.has("--diff", "--compare")
    return None if (shows or compares) and not runs else "tar writes files"


def unzip(call: Call) -> str | None:
    """unzip that lists, tests or prints."""
    return (
        None
        if any(re.fullmatch(r"-q*[lvtzpZ][lvtzpqZ1]*", value) for value in takewhile(lambda word: word.startswith("-"), call.args))
        and not call.has("-d", "-o")
        else "unzip writes files"
    )


def compressor(call: Call) -> str | None:
    """gzip, xz, bzip2, zstd and lz4 that list, test or print."""
    if call.has("-o", "--output-dir-flat") or any(re.match(r"-o|--output", value) for value in call.args):
        return "the output goes to a file"
    if any(re.match(r"--(?:rm|remove|files|filel|tra|sp)", value) for value in call.args):
        return f"this option of {call.name} changes or removes files"
    if call.name == "lz4" and (len(call.operands) > 1 or any(re.match(r"-\w*l", value) for value in call.args)):
        return "lz4 writes its second operand, or the older format"
    reads = any(re.fullmatch(r"-[dkvqf]*[ltc][dkvqltcf]*|--(list|test|stdout|to-stdout)", value) for value in call.args)
    piped = not [value for value in call.operands if value != "-"]
    return secret_in(call, call.operands) if reads or piped else f"{call.name} replaces files"
