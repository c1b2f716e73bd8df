"""What variables and words may turn out to be: every value that the script itself gives them, holes for the rest.

The order of statements is ignored: a variable may be any value that is assigned to it anywhere.
"""

import itertools
import re
from collections.abc import Collection, Sequence
from typing import Protocol

from bcce.safety.bash.braces import braces
from bcce.safety.bash.script import Assigned, Command, Script
from bcce.safety.bash.values import ANY, NUM, ONE, OUT, STAR
from bcce.safety.bash.words import Part, Word, unescaped

#: Fields of one command line: one tuple for each way it can turn out.
Fields = tuple[str, ...]
MAX_WAYS = 24
_MAX_DEPTH = 12
_ASSIGNERS = frozenset({"eval", "read", "mapfile", "readarray", "printf", "getopts", "let"})
_SET_IN_TEXT = re.compile(r"(?<!\w)([A-Za-z_]\w*)\+?=")
_NUMBERS = frozenset(
    {"RANDOM", "UID", "EUID", "PPID", "SECONDS", "LINENO", "BASHPID", "EPOCHSECONDS", "COLUMNS", "LINES", "OPTIND", "SHLVL"}
)
#: Quoted characters that would otherwise be expanded, kept apart while a word is being expanded.
_KEPT = {char: chr(0xE100 + index) for index, char in enumerate("{},*?[]~ \t\n")}
_KEEP = str.maketrans(_KEPT)
_FREE = str.maketrans({kept: char for char, kept in _KEPT.items()})
#: White space of an unquoted variable's value: there the shell splits.
_SPLIT = "\ue0ff"


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


class Environment:
    """The variables of a script."""

    def __init__(self, script: Script, parameters: Collection[str], outputs: Outputs) -> None:
        self._script = script
        self._parameters = frozenset(parameters)
        self._outputs = outputs
        self._known: dict[str, tuple[str, ...]] = {}
        self._depth = 0
        self._calls: dict[str, list[Command]] = {}
        self._splits = "IFS" not in script.assigned
        for command in script.commands:
            name = command.argv[0].literal if command.argv else None
            if name in _ASSIGNERS:
                self._read(command, str(name))
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
            kind = "number" if name == "let" else "read" if name == "read" else "unknown"
            self._script.assigned.setdefault(target, []).append(Assigned(kind, command=command))

    def values(self, name: str, function: str | None = None) -> tuple[str, ...]:
        """Every value that the variable may have; one hole if that cannot be told."""
        if name in self._parameters:
            return (ANY,)
        if name.isdigit():
            return self._argument(int(name), function)
        found = self._known.get(name)
        if found is None:
            self._known[name] = (OUT,)  # what refers to itself is not known
            found = self._known[name] = self._assigned(name)
        return found

    def _assigned(self, name: str) -> tuple[str, ...]:
        places = self._script.assigned.get(name)
        if places is None:
            return (NUM,) if name in _NUMBERS else ("~",) if name == "HOME" else (OUT,)
        found: dict[str, None] = {}
        current: tuple[str, ...] = ("",)
        for place in places:
            ways = self._place(place)
            if place.kind == "append":
                ways = (OUT,) if place.in_loop else tuple(old + new for old in current for new in ways)
            current = ways[:MAX_WAYS]
            found.update(dict.fromkeys(current))
        return tuple(found) if len(found) <= MAX_WAYS else (OUT,)

    def _place(self, place: Assigned) -> tuple[str, ...]:
        if place.kind == "number":
            return (NUM,)
        if place.kind == "unknown":
            return (OUT,)
        if place.kind == "outside":
            return (ANY,)
        if place.kind == "read":
            return self.printed(place.command.inputs) if place.command is not None and place.command.inputs else (OUT,)
        if place.kind in ("set", "append"):
            return tuple(" ".join(fields) for fields in self.expand(place.words[0], splits=False))
        return tuple(field for word in place.words for fields in self.expand(word) for field in fields) or ("",)

    def printed(self, commands: Sequence[Command]) -> tuple[str, ...]:
        """What a command that reads their output is given: lines that are known, or a hole."""
        texts = self._outputs.texts(commands)
        lines = [line for text in texts for line in text.splitlines()]
        return tuple(dict.fromkeys(lines))[:MAX_WAYS] if 0 < len(lines) <= MAX_WAYS else (self._outputs.kind(commands),)

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
        if function is None or number == 0 or not calls or self._depth > _MAX_DEPTH:
            return (OUT,)
        found: dict[str, None] = {}
        for call in calls:
            words = call.argv[1:]
            if any(part.kind == "elements" for word in words for part in word.parts):
                return (OUT,)
            for fields in self._line(words):
                found[fields[number - 1] if number <= len(fields) else ""] = None
        return tuple(found) if len(found) <= MAX_WAYS else (OUT,)

    def _elements(self, name: str, function: str | None) -> list[Fields]:
        """What `"${name[@]}"` or `"$@"` may expand to."""
        if name in ("@", "*"):
            calls = self._calls.get(function or "", [])
            return [fields for call in calls for fields in self._line(call.argv[1:])] if function and calls else [(OUT,)]
        places = self._script.assigned.get(name, [])
        if len(places) == 1 and places[0].kind == "array" and not places[0].in_loop:
            return self._line(places[0].words)
        found: list[Fields] = [(value,) for place in places if place.kind == "array" for value in self._place(place)]
        return [*found, (OUT,)]

    def _line(self, words: Sequence[Word]) -> list[Fields]:
        if self._depth > _MAX_DEPTH:
            return [(OUT,)]
        self._depth += 1
        try:
            return self.line(words)
        finally:
            self._depth -= 1

    def line(self, words: Sequence[Word]) -> list[Fields]:
        """Every way in which the words of a command can turn out; over the limit what varies becomes a hole."""
        ways: list[list[str]] = [[]]
        for word in words:
            options = self.expand(word)
            if len(ways) * len(options) > MAX_WAYS:
                options = [(OUT,)]
            if len(options) == 1:
                for way in ways:
                    way.extend(options[0])
            else:
                ways = [[*way, *fields] for way in ways for fields in options]
        return [tuple(way) for way in ways]

    def expand(self, word: Word, *, splits: bool = True) -> list[Fields]:
        """The fields that a word becomes, one tuple for each way. Source: bash(1), EXPANSION."""
        literal = word.literal
        if literal is not None and not any(char in literal for char in "{*?[~"):
            return [(literal,)]
        texts: list[str | Fields] = []
        choices: list[Sequence[str | Fields]] = []
        for part in word.parts:
            choices.append(self._part(part, word.function, splits))
        count = 1
        for index, choice in enumerate(choices):
            count *= max(len(choice), 1)
            if count > MAX_WAYS:
                choices[index] = [OUT]
                count //= max(len(choice), 1)
        found: dict[Fields, None] = {}
        for texts in map(list, itertools.product(*choices)):
            found[self._fields(texts, splits)] = None
        return list(found) or [("",)]

    def _part(self, part: Part, function: str | None, splits: bool) -> Sequence[str | Fields]:
        kind = part.kind
        if kind == "literal":
            return [part.text.translate(_KEEP) if part.is_quoted else part.text]
        if kind == "escaped":
            return ["".join(text.translate(_KEEP) if quoted else text for text, quoted in unescaped(part.text))]
        if kind == "number":
            return [NUM]
        if kind == "elements":
            return [fields if fields else ("",) for fields in self._elements(part.text, function)[:MAX_WAYS]]
        if kind == "output":
            values: Sequence[str] = self._outputs.output(int(part.text))
        elif kind == "variable":
            values = self._variable(part, function)
        elif kind == "derived" and part.text and self.values(part.text, function) in ((NUM,), (ANY,)):
            values = self.values(part.text, function)
        else:
            values = (OUT,)
        return [self._quoted(value, part.is_quoted or not splits) for value in values]

    def _variable(self, part: Part, function: str | None) -> Sequence[str]:
        is_set = part.text in self._script.assigned or part.text in self._parameters
        is_argument = part.text.isdigit()
        if part.otherwise is None:
            return self.values(part.text, function)
        default = tuple(" ".join(fields) for fields in self.expand(Word(part.otherwise, "", function), splits=False))
        if is_argument and function is None:
            return default  # a repair gets no arguments
        return tuple(dict.fromkeys((*(self.values(part.text, function) if is_set or is_argument else (OUT,)), *default)))

    def _quoted(self, value: str, is_quoted: bool) -> str:
        if is_quoted:
            return value.translate(_KEEP)
        if not self._splits and re.search(r"\s", value):
            return OUT
        # Braces and tildes are not expanded in what a variable held; patterns are, and white space splits.
        kept = value.translate({ord(char): _KEPT[char] for char in "{},~"})
        return re.sub(r"\s+", _SPLIT, kept)

    def _fields(self, parts: list[str | Fields], splits: bool) -> Fields:
        """The fields of a word whose parts are chosen: joins, braces, splitting, patterns."""
        lists = [part for part in parts if isinstance(part, tuple)]
        if lists:
            if len(parts) == 1:
                return lists[0]
            return tuple(OUT for _ in lists[0]) if len(lists) == 1 else (OUT,)
        text = "".join(part for part in parts if isinstance(part, str))
        if not splits:
            return (text.replace(_SPLIT, " ").translate(_FREE),)
        fields: list[str] = []
        for piece in braces(text):
            for field in piece.split(_SPLIT) if _SPLIT in piece else [piece]:
                if field or _SPLIT not in piece:
                    fields.append(_patterns(field).translate(_FREE))
        return tuple(fields)


def _patterns(field: str) -> str:
    """Unquoted `*`, `?` and `[…]` as holes. A word with none is taken literally, like `[`."""
    if "*" in field:
        field = field.replace("*", STAR)
    if "?" in field:
        field = field.replace("?", ONE)
    if "[" in field:
        field = re.sub(r"\[[^\]/]{1,64}\]", ONE, field)
    return field
