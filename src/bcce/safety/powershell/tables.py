"""The tables of this folder: text files, one entry a line, `#` begins a line for people."""

import fnmatch
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files


def table_lines(name: str) -> Iterator[list[str]]:
    """The entries of a table, as words."""
    for line in files("bcce.safety.powershell").joinpath(name).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.split()


def _aliases() -> Mapping[str, str]:
    return {alias.lower(): name.lower() for alias, name in table_lines("aliases.txt")}


#: Alias -> cmdlet, in lower case.
ALIASES = _aliases()


def _kinds() -> tuple[dict[str, list[str]], dict[str, frozenset[str]]]:
    kinds: dict[str, list[str]] = {}
    reads: dict[str, frozenset[str]] = {}
    for kind, *words in table_lines("cmdlets.txt"):
        if kind == "read":
            reads[words[0].lower()] = frozenset(word.lstrip("-").lower() for word in words[1:])
        else:
            kinds.setdefault(kind, []).extend(word.lower() for word in words)
    return kinds, reads


_KINDS, READS = _kinds()


def _pattern(words: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(word) for word in sorted(set(words))))


_GETS = _pattern(_KINDS["get"])
_HIDDEN = _pattern(_KINDS["hide"])
_WHAT_IF = _pattern(_KINDS["what-if"])


@cache
def is_getter(name: str) -> bool:
    """A Get- cmdlet of this name only reads, and what it reads is no secret."""
    noun = name.removeprefix("get-")
    return noun != name and _GETS.match(noun) is not None and _HIDDEN.match(noun) is None


@cache
def knows_what_if(name: str) -> bool:
    """The cmdlet changes nothing when -WhatIf is given."""
    return _WHAT_IF.match(name) is not None


#: Parameters with which a cmdlet that reads writes a file or installs something. Source: Microsoft.Graph, DISM, PackageManagement.
_WRITES = ("outfile", "outputfile", "logpath", "localpath", "destinationpath", "writetopath", "forcebootstrap")
#: Shorter forms stand for other parameters too.
_LEAST_OF_A_NAME = 4


@cache
def writes_always(parameter: str) -> bool:
    """With this parameter, in lower case and perhaps shortened, no cmdlet only reads."""
    return parameter != "force" and len(parameter) >= _LEAST_OF_A_NAME and any(name.startswith(parameter) for name in _WRITES)


@cache
def is_cmdlet(name: str) -> bool:
    """The name, in lower case, is one that the tables know; a script that gives it another meaning cannot be judged by it."""
    return name in ALIASES or name in READS or is_getter(name) or name in ALIASES.values()
