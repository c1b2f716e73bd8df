"""What words may turn out to be, in every way: braces, variables, splitting, patterns. Source: bash(1), EXPANSION."""

import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from bcce.safety.bash.braces import braces
from bcce.safety.bash.values import ANY, NUM, ONE, STAR
from bcce.safety.bash.words import Part, Word, unescaped

#: Fields of one command line: one tuple for each way it can turn out.
Fields = tuple[str, ...]
MAX_WAYS = 24
#: More fields than any honest line has, and a longer value.
MAX_FIELDS = 2000
MAX_TEXT = 64 * 1024
_MAX_DEPTH = 12
#: Quoted characters that would otherwise be expanded, kept apart while a word is being expanded.
_KEPT = {char: chr(0xE100 + index) for index, char in enumerate("{},*?[]~ \t\n")}
_KEEP = str.maketrans(_KEPT)
_FREE = str.maketrans({kept: char for char, kept in _KEPT.items()})
#: White space of an unquoted variable's value: there the shell splits.
_SPLIT = "\ue0ff"


class Expansion(ABC):
    """Expands words; what variables hold is told by its subclass."""

    def __init__(self, *, splits: bool) -> None:
        self._splits = splits
        self._depth = 0

    @abstractmethod
    def values(self, name: str, function: str | None = None) -> tuple[str, ...]:
        """Every value that the variable may have; one hole if that cannot be told."""

    @abstractmethod
    def variable(self, part: Part, function: str | None) -> Sequence[str]:
        """What a variable, perhaps with a default, may stand for."""

    @abstractmethod
    def elements(self, name: str, function: str | None) -> list[Fields]:
        """What `"${name[@]}"` or `"$@"` may expand to."""

    @abstractmethod
    def output(self, number: int) -> Sequence[str]:
        """What the substitution with this number may give."""

    @abstractmethod
    def lost(self, texts: Iterable[str] = ()) -> str:
        """The hole for a value that is not followed."""

    def nested_line(self, words: Sequence[Word]) -> list[Fields]:
        """`line`, for the arguments of a function: those of functions in functions are not followed for ever."""
        if self._depth > _MAX_DEPTH:
            return [(ANY,)]
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
            count = sum(map(len, options))
            if len(ways) * len(options) > MAX_WAYS or (count > 1 and sum(map(len, ways)) + count > MAX_FIELDS):
                options = [(self.lost(field for fields in options for field in fields),)]
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
                choices[index] = [self.lost(text for texts in choice for text in texts)]
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
            return [fields if fields else ("",) for fields in self.elements(part.text, function)]
        if kind == "output":
            values: Sequence[str] = self.output(int(part.text))
        elif kind == "variable":
            values = self.variable(part, function)
        elif kind == "derived" and part.text:
            values = self.values(part.text, function)
            values = values if values == (NUM,) else (self.lost(values),)
        else:
            values = (self.lost(),)
        return [self._quoted(value, part.is_quoted or not splits) for value in values]

    def _quoted(self, value: str, is_quoted: bool) -> str:
        if is_quoted:
            return value.translate(_KEEP)
        if not self._splits and (re.search(r"\s", value) or self.lost() == ANY):
            return self.lost((value,))
        # Braces and tildes are not expanded in what a variable held; patterns are, and white space splits.
        kept = value.translate({ord(char): _KEPT[char] for char in "{},~"})
        return re.sub(r"\s+", _SPLIT, kept)

    def _fields(self, parts: list[str | Fields], splits: bool) -> Fields:
        """The fields of a word whose parts are chosen: joins, braces, splitting, patterns."""
        lists = [part for part in parts if isinstance(part, tuple)]
        if lists:
            if len(parts) == 1:
                return lists[0]
            hole = self.lost(text for part in parts for text in part)
            return tuple(hole for _ in lists[0]) if len(lists) == 1 else (hole,)
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
