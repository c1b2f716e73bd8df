"""Reading the text: blanks, comments, strings, variables."""

import re
from abc import ABC, abstractmethod

from bcce.safety.powershell.nodes import Group, Node, Text, Variable

MAX_DEPTH = 60
_BLANK = re.compile(r"(?:[ \t\f\v\xa0]|`\r?\n|#[^\n]*|<#.*?#>)*", re.DOTALL)
_LINES = re.compile(r"(?:[ \t\f\v\xa0\r\n;]|`\r?\n|#[^\n]*|<#.*?#>)*", re.DOTALL)
_BREAKS = re.compile(r"(?:[ \t\f\v\xa0\r\n]|`\r?\n|#[^\n]*|<#.*?#>)*", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{((?:[^}`]|`.)+)\}|((?:\w+:(?=\w))?\w+|[$?^]))")
_SINGLE = re.compile(r"'((?:[^']|'')*)'")
_PLAIN = re.compile(r'[^"`$]+')
_HERE = re.compile(r"@(['\"])[ \t]*\r?\n(.*?)\r?\n\1@|@(['\"])[ \t]*\r?\n()\3@", re.DOTALL)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b"}


class BadSyntax(Exception):
    """The text cannot be read here; says why, and where."""

    def __init__(self, why: str, at: int) -> None:
        super().__init__(why)
        self.at = at


class Cursor(ABC):
    """A place in the text that moves forward."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    @abstractmethod
    def statements(self, closing: str) -> list[Node]:
        """The statements up to `closing`, which is read too."""

    def blank(self) -> None:
        """Skips blanks and comments of this line."""
        self.at = _BLANK.match(self.text, self.at).end()  # type: ignore[union-attr]  # it matches always, perhaps nothing

    def breaks(self) -> None:
        """Skips blanks, comments and line ends."""
        self.at = _BREAKS.match(self.text, self.at).end()  # type: ignore[union-attr]  # as above

    def lines(self) -> None:
        """Skips blanks, comments, line ends and semicolons."""
        self.at = _LINES.match(self.text, self.at).end()  # type: ignore[union-attr]  # as above

    def peek(self) -> str:
        """The next character; empty at the end."""
        return self.text[self.at : self.at + 1]

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """The pattern here, read if it is there."""
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def take(self, text: str) -> bool:
        """Reads `text` if it is next."""
        if not self.text.startswith(text, self.at):
            return False
        self.at += len(text)
        return True

    def need(self, text: str) -> None:
        """Reads `text`, which has to be next."""
        if not self.take(text):
            raise BadSyntax(f"expected {text!r}", self.at)

    def deeper(self) -> None:
        """One level further in."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise BadSyntax("the script is nested too deeply", self.at)

    def variable(self) -> Variable:
        """`$name` or `${name}`."""
        start = self.at
        found = self.match(_VARIABLE)
        if found is None:
            raise BadSyntax("expected the name of a variable", start)
        return Variable(start, self.at, (found[1] or found[2]).lower())

    def is_variable(self) -> bool:
        """A variable is next."""
        return _VARIABLE.match(self.text, self.at) is not None

    def sub(self, opening: str, kind: str, closing: str = ")") -> Group:
        """`$( )` and `@( )`."""
        start = self.at
        self.need(opening)
        self.deeper()
        items = self.statements(closing)
        self.depth -= 1
        return Group(start, self.at, kind, items)

    def string(self) -> Text:
        """A quoted string or a here-string."""
        start = self.at
        if self.peek() == "@":
            found = self.match(_HERE)
            if found is None:
                raise BadSyntax("a here-string that does not end", start)
            body = found[2] if found[2] is not None else ""
            if found[1] == "'" or found[3] == "'":
                return Text(start, self.at, (body,))
            # The same text up to the end of the body, so that what is found in it has its true place.
            inner = type(self)(self.text[: found.end(2)] if found[2] is not None else "")
            inner.at, inner.depth = (found.start(2) if found[2] is not None else 0), self.depth
            return Text(start, self.at, inner.expandable(None, start))
        if self.peek() == "'":
            found = self.match(_SINGLE)
            if found is None:
                raise BadSyntax("a string that does not end", start)
            return Text(start, self.at, (found[1].replace("''", "'"),))
        self.need('"')
        parts = self.expandable('"', start)
        return Text(start, self.at, parts)

    def expandable(self, closing: str | None, start: int) -> "tuple[str | Node, ...]":
        """The pieces of a string in which variables and expressions are put, up to `closing` or the end of the text."""
        parts: list[str | Node] = []
        while True:
            plain = self.match(_PLAIN)
            if plain is not None:
                parts.append(plain[0])
                continue
            char = self.peek()
            if char == "":
                if closing is None:
                    return tuple(parts)
                raise BadSyntax("a string that does not end", start)
            if char == "`":
                parts.append(self.escape())
            elif char == '"':
                self.at += 1
                if closing is None:
                    parts.append('"')
                elif self.peek() == '"':
                    self.at += 1
                    parts.append('"')
                else:
                    return tuple(parts)
            elif self.text.startswith("$(", self.at):
                parts.append(self.sub("$(", "sub"))
            elif self.is_variable():
                parts.append(self.variable())
            else:
                self.at += 1
                parts.append("$")

    def escape(self) -> str:
        """What a backtick and the character after it stand for."""
        char = self.text[self.at + 1 : self.at + 2]
        self.at += 2
        if char == "u" and (found := self.match(re.compile(r"\{([0-9A-Fa-f]{1,6})\}"))):
            return chr(min(int(found[1], 16), 0x10FFFF))
        return ESCAPES.get(char, char)
