"""What variables may turn out to be: every value that the script itself gives them, holes for the rest.

The order of statements is ignored: a variable may be any value that is assigned to it anywhere.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import Protocol

from bcce.safety.bash.expansion import MAX_FIELDS, MAX_TEXT, MAX_WAYS, Expansion, Fields
from bcce.safety.bash.paths import names_secret
from bcce.safety.bash.script import Assigned, Command, Script
from bcce.safety.bash.values import ANY, NUM, OUT
from bcce.safety.bash.words import Part, Word

#: Variables made of variables.
_MAX_CHAIN = 40
_ASSIGNERS = frozenset({"eval", "read", "mapfile", "readarray", "printf", "getopts", "let"})
_SET_IN_TEXT = re.compile(r"(?<!\w)([A-Za-z_]\w*)\+?=")
_NUMBERS = frozenset(
    {"RANDOM", "UID", "EUID", "PPID", "SECONDS", "LINENO", "BASHPID", "EPOCHSECONDS", "COLUMNS", "LINES", "OPTIND", "SHLVL"}
)


class Outputs(Protocol):
    """What commands print, as far as it is known."""

    def output(self, number: int) -> Sequence[str]:
        """What the substitution with this number may give."""
        ...

    def texts(self, commands: Sequence[Command]) -> list[str]:
        """The texts that commands print, one for each way; none if they cannot be told."""
        ...

    def kind(self, commands: Sequence[Command]) -> str:
        """The hole for what they print."""
        ...


class Environment(Expansion):
    """The variables of a script."""

    def __init__(self, script: Script, parameters: Collection[str], outputs: Outputs) -> None:
        super().__init__(splits="IFS" not in script.assigned)
        self._script = script
        self._parameters = frozenset(parameters)
        self._outputs = outputs
        self._known: dict[str, tuple[str, ...]] = {}
        self._arguments: dict[tuple[int, str], tuple[str, ...]] = {}
        self._lists: dict[str, list[Fields]] = {}
        #: The variables that are being looked at, the last one innermost.
        self._open: list[str] = []
        #: The functions in which arguments are moved or replaced.
        self._moved: set[str | None] = set()
        self._calls: dict[str, list[Command]] = {}
        for command in script.commands:
            name = command.argv[0].literal if command.argv else None
            if name in _ASSIGNERS:
                self._read(command, str(name))
            if name in ("shift", "set"):
                self._moved.add(command.function)
            if name in script.functions:
                self._calls.setdefault(str(name), []).append(command)

    def _read(self, command: Command, name: str) -> None:
        """Records what `read` and its like assign."""
        words = [word.literal for word in command.argv[1:]]
        if name == "eval":
            for target in _SET_IN_TEXT.findall(" ".join(word.raw for word in command.argv[1:])):
                self._script.assigned.setdefault(target, []).append(Assigned("outside"))
            return
        if name == "printf":
            words = words[1:2] if words[:1] == ["-v"] else []
        elif name == "getopts":
            words = words[1:2]
        names = [word for word in words if word is not None and re.fullmatch(r"[A-Za-z_]\w*", word)]
        if name in ("read", "mapfile", "readarray") and not names:
            names = ["REPLY" if name == "read" else "MAPFILE"]
        for target in names:
            kind = "number" if name == "let" else "read" if name in ("read", "mapfile", "readarray") else "unknown"
            self._script.assigned.setdefault(target, []).append(Assigned(kind, command=command))

    def values(self, name: str, function: str | None = None) -> tuple[str, ...]:
        """Every value that the variable may have; one hole if that cannot be told."""
        if name in self._parameters:
            return (ANY,)
        if name.isdigit():
            return self._argument(int(name), function)
        found = self._known.get(name)
        if found is None:
            if (again := self._again(name)) is not None:
                return (again,)
            self._open.append(name)
            found = self._known[name] = self._assigned(name)
            self._open.pop()
        return found

    def _again(self, name: str) -> str | None:
        """The hole for a variable that is being looked at already, or too far away; None for any other.

        What adds to itself is told by what it adds to. Two that are made of each other are not followed.
        """
        if self._open[-1:] == [name]:
            return self.lost()
        return ANY if name in self._open or len(self._open) > _MAX_CHAIN else None

    @cached_property
    def _speaks_of_secrets(self) -> bool:
        return names_secret(self._script.text)

    def lost(self, texts: Iterable[str] = ()) -> str:
        """The hole for a value that is not followed: it may be outside text if `texts` are, or a secret's name that the script holds."""
        return ANY if self._speaks_of_secrets or any(ANY in text for text in texts) else OUT

    def _few(self, texts: Iterable[str]) -> tuple[str, ...]:
        """The different ones; a hole for those that are too many."""
        found = tuple(dict.fromkeys(texts))
        if sum(map(len, found)) > MAX_TEXT:
            return (self.lost(found),)
        return found if len(found) <= MAX_WAYS else (*found[: MAX_WAYS - 1], self.lost(found))

    def _assigned(self, name: str) -> tuple[str, ...]:
        places = self._script.assigned.get(name)
        if places is None:
            return (NUM,) if name in _NUMBERS else ("~",) if name == "HOME" else (OUT,)
        found: list[str] = []
        current: tuple[str, ...] = ("",)
        for place in places:
            ways = self._few(self._place(place))
            if place.kind == "append":
                ways = (self.lost(ways),) if place.in_loop else self._few(old + new for old in current for new in ways)
            current = ways
            found += current
        return self._few(found)

    def _place(self, place: Assigned) -> tuple[str, ...]:
        if place.kind == "number":
            return (NUM,)
        if place.kind == "unknown":
            return (self.lost(),)
        if place.kind == "outside":
            return (ANY,)
        if place.kind == "read":
            return self._given(place.command)
        if place.kind in ("set", "append"):
            return tuple(" ".join(fields) for fields in self.expand(place.words[0], splits=False))
        return tuple(field for word in place.words for fields in self.expand(word) for field in fields) or ("",)

    def _given(self, command: Command | None) -> tuple[str, ...]:
        """What `read` may put into a variable: what it is given, cut anywhere."""
        if command is None or not command.inputs:
            words = [redirect.target for redirect in command.redirects if redirect.target is not None] if command is not None else []
            return (self.lost(field for word in words for fields in self.expand(word) for field in fields),)
        lines = self.printed(command.inputs)
        return (*lines, self.lost(lines)) if self._speaks_of_secrets else lines

    def printed(self, commands: Sequence[Command]) -> tuple[str, ...]:
        """What a command that reads their output is given: lines that are known, or a hole."""
        texts = self._outputs.texts(commands)
        lines = [line for text in texts for line in text.splitlines()]
        return tuple(dict.fromkeys(lines))[:MAX_WAYS] if 0 < len(lines) <= MAX_WAYS else (self._outputs.kind(commands),)

    def output(self, number: int) -> Sequence[str]:
        """What the substitution with this number may give."""
        return self._outputs.output(number)

    def texts(self, commands: Sequence[Command]) -> list[str]:
        """The texts that commands print, one for each way; none if they cannot be told."""
        return self._outputs.texts(commands)

    def origins(self, command: Command) -> list[Command]:
        """The commands whose output is in the variables that a command uses."""
        words = [*command.argv, *(redirect.target for redirect in command.redirects if redirect.target is not None)]
        found: list[Command] = []
        seen: set[str] = set()
        parts = [part for word in words for part in word.parts]
        while parts:
            part = parts.pop()
            if part.kind == "output":
                found.extend(self._script.substitutions[int(part.text)])
            if part.otherwise:
                parts.extend(part.otherwise)
            if part.kind not in ("variable", "derived", "elements") or part.text in seen:
                continue
            seen.add(part.text)
            for place in self._script.assigned.get(part.text, ()):
                parts.extend(inner for word in place.words for inner in word.parts)
                if place.command is not None:
                    found.extend(place.command.inputs)
        return found

    def _argument(self, number: int, function: str | None) -> tuple[str, ...]:
        """What a positional parameter may be: in a function what its calls give."""
        calls = self._calls.get(function or "", [])
        if function is None or number == 0 or not calls:
            return (self.lost(),)
        key = (number, function)
        found = self._arguments.get(key)
        if found is None:
            self._arguments[key] = (ANY,)  # what is made of itself is not followed
            found = self._arguments[key] = self._few(self._given_by(calls, number, is_moved=function in self._moved))
        return found

    def _given_by(self, calls: Sequence[Command], number: int, *, is_moved: bool) -> Iterable[str]:
        for call in calls:
            words = call.argv[1:]
            ways = self.nested_line(words)
            if is_moved or any(part.kind == "elements" for word in words for part in word.parts):
                yield self.lost(field for fields in ways for field in fields)
            else:
                yield from (fields[number - 1] if number <= len(fields) else "" for fields in ways)

    def elements(self, name: str, function: str | None) -> list[Fields]:
        """What `"${name[@]}"` or `"$@"` may expand to."""
        if name in self._parameters:
            return [(ANY,)]
        key = f"{name} {function}" if name in ("@", "*") else f"{name}[@]"
        found = self._lists.get(key)
        if found is None:
            if (again := self._again(key)) is not None:
                return [(again,)]
            self._open.append(key)
            found = self._all_arguments(function) if name in ("@", "*") else self._array(name)
            self._open.pop()
            fields = [field for way in found for field in way]
            if len(fields) > MAX_FIELDS or sum(map(len, fields)) > MAX_TEXT:
                found = [(self.lost(fields),)]
            elif len(found) > MAX_WAYS:
                found = [*found[: MAX_WAYS - 1], (self.lost(fields),)]
            self._lists[key] = found
        return found

    def _all_arguments(self, function: str | None) -> list[Fields]:
        calls = self._calls.get(function or "", []) if function else []
        if not calls:
            return [(self.lost(),)]
        found = [fields for call in calls for fields in self.nested_line(call.argv[1:])]
        return [*found, (self.lost(field for fields in found for field in fields),)] if function in self._moved else found

    def _array(self, name: str) -> list[Fields]:
        places = self._script.assigned.get(name, [])
        if len(places) == 1 and places[0].kind == "array" and not places[0].in_loop:
            return self.nested_line(places[0].words)
        return [*((value,) for place in places for value in self._place(place)), (self.lost(),)]

    def variable(self, part: Part, function: str | None) -> Sequence[str]:
        """What a variable, perhaps with a default, may stand for."""
        is_set = part.text in self._script.assigned or part.text in self._parameters
        is_argument = part.text.isdigit()
        if part.otherwise is None:
            return self.values(part.text, function)
        default = tuple(" ".join(fields) for fields in self.expand(Word(part.otherwise, "", function), splits=False))
        if is_argument and function is None:
            return default  # a repair gets no arguments
        return tuple(dict.fromkeys((*(self.values(part.text, function) if is_set or is_argument else (OUT,)), *default)))
