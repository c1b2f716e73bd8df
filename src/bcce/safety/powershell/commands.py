"""Commands: their names, arguments and redirects."""

import re

from bcce.safety.powershell.cursor import BadSyntax
from bcce.safety.powershell.expressions import Expressions
from bcce.safety.powershell.nodes import Command, Group, Node, Parameter, Redirect, Text, Variable

#: A piece of a bare word, and a parameter such as `-Name:`.
CHUNK = re.compile(r"[^\s;|&(){},'\"$`<>]+")
PARAMETER = re.compile(r"-[A-Za-z_?][\w-]*:?")
_REDIRECT = re.compile(r"([1-6*]?>>?&[12]|[1-6*]?>>?|<)")
_WORD_END = re.compile(r"[\s;|&(){},<>]|$")


class Commands(Expressions):
    """Reads commands."""

    def redirects(self) -> list[Redirect]:
        """The redirects that follow."""
        found: list[Redirect] = []
        while (match := self.match(_REDIRECT)) is not None:
            found.append(self._redirect(match[1]))
            self.blank()
        return found

    def command(self) -> Command:
        """A command with its arguments, up to what ends it."""
        start, operator = self.at, ""
        char, following = self.peek(), self.text[self.at + 1 : self.at + 2]
        if char == "&" and following != "&":
            operator = "&"
        elif char == "." and (following in " \t'\"$({" or following == ""):
            operator = "."
        if operator:
            self.at += 1
            self.blank()
            name = self.primary() if self.peek() in ("$", "(", "{", "'", '"', "@", "[") else self._word()
        else:
            name = self._word()
        command = Command(start, self.at, operator, name, [], [])
        while True:
            self.blank()
            if re.compile(r"[\r\n;|)}&]|$").match(self.text, self.at):
                break
            found = self.match(_REDIRECT)
            if found is not None:
                command.redirects.append(self._redirect(found[1]))
                continue
            if self.text.startswith("--%", self.at) and _WORD_END.match(self.text, self.at + 3):
                line = re.compile(r"[^\n|]*").match(self.text, self.at + 3)
                command.verbatim = line[0] if line else ""
                self.at += 3 + len(command.verbatim)
                continue
            command.words.append(self._argument())
        command.end = self.at
        return command

    def _redirect(self, operator: str) -> Redirect:
        start = self.at - len(operator)
        if "&" in operator:
            return Redirect(start, self.at, operator, None)
        self.blank()
        target = self.primary() if self.peek() in ("$", "(", "'", '"') else self._word()
        return Redirect(start, self.at, operator, target)

    def _argument(self) -> Node:
        start = self.at
        if self.peek() == "-":
            found = PARAMETER.match(self.text, start)
            if found is not None and (found[0].endswith(":") or _WORD_END.match(self.text, found.end())):
                self.at = found.end()
                value: Node | None = None
                if found[0].endswith(":"):
                    self.blank()
                    value = self._values()
                return Parameter(start, self.at, found[0][1:].rstrip(":").lower(), value)
            word = self._word()
            if isinstance(word, Text) and isinstance(word.parts[0], str) and PARAMETER.fullmatch(word.parts[0]):
                name = word.parts[0]
                if len(word.parts) == 1 or name.endswith(":"):
                    rest = word.parts[1:]
                    return Parameter(start, self.at, name[1:].rstrip(":").lower(), Text(start, self.at, rest) if rest else None)
            return word
        return self._values()

    def _values(self) -> Node:
        """One argument: a value, or several with commas between them."""
        start = self.at
        items = [self._value()]
        while True:
            before = self.at
            self.blank()
            if not self.take(","):
                self.at = before
                break
            self.breaks()
            items.append(self._value())
        return items[0] if len(items) == 1 else Group(start, self.at, "list", items)

    def _value(self) -> Node:
        char, following = self.peek(), self.text[self.at + 1 : self.at + 2]
        if char == "@" and (following.isalpha() or following == "_"):
            self.at += 1
            found = re.compile(r"(?:\w+:)?\w+").match(self.text, self.at)
            assert found is not None  # noqa: S101 - a letter follows
            self.at = found.end()
            return Variable(found.start() - 1, self.at, found[0].lower(), True)
        if char in ("'", '"', "(", "{") or (char == "@" and following in ("(", "{", "'", '"')):
            return self.primary()
        if char == "$" and (following == "(" or self.is_variable()):
            start = self.at
            node = self.primary()
            if _WORD_END.match(self.text, self.at):
                return node
            self.at = start
        return self._word()

    def _word(self) -> Text:
        """A bare word with whatever is put into it."""
        start = self.at
        parts: list[str | Node] = []
        while True:
            found = self.match(CHUNK)
            char = self.peek()
            if found is not None:
                piece = found[0]
            elif char == "`" and self.text[self.at + 1 : self.at + 2] not in ("\n", "\r", ""):
                piece = self.escape()
            elif char in ("'", '"') and char:
                inner = self.string()
                for part in inner.parts:
                    _joined(parts, part)
                continue
            elif char == "$":
                if self.text.startswith("$(", self.at):
                    parts.append(self.sub("$(", "sub"))
                elif self.is_variable():
                    parts.append(self.variable())
                else:
                    self.at += 1
                    _joined(parts, "$")
                continue
            else:
                break
            _joined(parts, piece)
        if self.at == start:
            raise BadSyntax("a command or a value is missing", start)
        return Text(start, self.at, tuple(parts) or ("",), True)


def _joined(parts: list[str | Node], piece: str | Node) -> None:
    """Adds a piece; literal pieces become one."""
    if isinstance(piece, str) and parts and isinstance(parts[-1], str):
        parts[-1] += piece
    else:
        parts.append(piece)
