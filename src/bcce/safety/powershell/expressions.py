"""Expressions: operators, casts, members, literals."""

import re
from abc import abstractmethod
from typing import Final

from bcce.safety.powershell.cursor import BadSyntax, Cursor
from bcce.safety.powershell.nodes import Assign, Binary, Block, Cast, Group, Index, Member, Node, Number, Table, Text, TypeName, Unary

_COMPARE = "eq|ne|ge|gt|le|lt|like|notlike|match|notmatch|contains|notcontains|in|notin|split|join|replace|is|isnot|as"
_OPERATOR = re.compile(
    rf"-(?:(and|or|xor|band|bor|bxor|shl|shr|f)|[ci]?({_COMPARE}))(?![\w-])|(\.\.)|(\?\?)(?!=)|([+\-*/%])(?!=|\+|-(?=[^\d\s$(]))",
    re.IGNORECASE,
)
_LEVELS: Final = {
    "??": 1,
    "and": 2,
    "or": 2,
    "xor": 2,
    "band": 3,
    "bor": 3,
    "bxor": 3,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "%": 6,
    "shl": 3,
    "shr": 3,
}
_LEVELS_LATE: Final = {"f": 7, "..": 8}
_COMPARISON: Final = 4
_COMMA: Final = 9
_UNARY = re.compile(r"-(not|bnot|csplit|isplit|split|join)(?![\w-])|(\+\+|--|!|\+|-)", re.IGNORECASE)
_NUMBER = re.compile(r"(?:0x[0-9a-f]+|(?:\d+(?:\.(?!\.)\d*)?|\.\d+)(?:e[+-]?\d+)?)(?:u?[ysl]|[dn])?(?:[kmgtp]b)?(?![\w])", re.IGNORECASE)
_TYPE = re.compile(r"\[[ \t]*([A-Za-z_][\w.+`]*[ \t]*(?:\[[\w.+`,\[\] \t]*\])*)[ \t]*\]")
_ATTRIBUTE = re.compile(r"\[[ \t]*[A-Za-z_][\w.]*[ \t]*\(")
_NAME = re.compile(r"[\w]+")
_PRIMARY_START = re.compile(r"[$@('\"{\[\d]|\.\d|[+-]?[$(\d]|[!,]")
_KEY = re.compile(r"[\w.-]+")
_ARGUMENT_NAME = re.compile(r"([A-Za-z_]\w*)[ \t]*(=(?!=))?")
_ASSIGN = re.compile(r"(\?\?=|[+\-*/%]?=)(?!=)")


class Expressions(Cursor):
    """Reads expressions."""

    def expression(self, level: int = 0, *, lists: bool = True) -> Node:
        """An expression; operators that bind less than `level` end it, and a comma does when it makes no list here."""
        self.deeper()
        left = self._unary(level)
        while True:
            before = self.at
            self.blank()
            if lists and level <= _COMMA and self.peek() == ",":
                left = self._list(left)
                continue
            if level == 0 and self.peek() == "?" and not self.text.startswith("??", self.at) and isinstance(left, Group | Binary):
                left = self._ternary(left)
                continue
            found = _OPERATOR.match(self.text, self.at)
            if found is None:
                break
            name = next(group for group in found.groups() if group).lower()
            bound = _LEVELS.get(name) or _LEVELS_LATE.get(name) or _COMPARISON
            if bound < level:
                break
            self.at = found.end()
            self.breaks()
            right = self.expression(bound + 1, lists=lists)
            left = Binary(left.start, right.end, name, left, right)
        self.at = before
        self.depth -= 1
        return left

    def _list(self, first: Node) -> Group:
        items = [first]
        while self.take(","):
            self.breaks()
            items.append(self.expression(_COMMA + 1))
            before = self.at
            self.blank()
        self.at = before
        return Group(first.start, self.at, "list", items)

    def _ternary(self, condition: Node) -> Group:
        self.need("?")
        self.breaks()
        items = [condition, self.expression(1)]
        self.breaks()
        self.need(":")
        self.breaks()
        items.append(self.expression(1))
        return Group(condition.start, self.at, "ternary", items)

    def _unary(self, level: int) -> Node:
        start = self.at
        if self.peek() == "," and level <= _COMMA:
            self.at += 1
            self.breaks()
            item = self.expression(_COMMA + 1)
            return Group(start, self.at, "list", [item])
        number = self.match(_NUMBER)
        if number is not None:
            return self._postfix(Number(start, self.at, number[0].lower()))
        found = self.match(_UNARY)
        if found is not None:
            self.blank()
            # `-not $a -eq 1` is `(-not $a) -eq 1`, `-join $a, $b` joins the list.
            inner = self.expression(_COMMA if found[1] and found[1].lower() in ("join", "split") else _COMMA + 1)
            return Unary(start, self.at, (found[1] or found[2]).lower(), inner)
        return self.primary()

    def primary(self) -> Node:
        """A literal, variable, type, group or block with its members."""
        start, char = self.at, self.peek()
        node: Node
        if char == "$":
            node = self.sub("$(", "sub") if self.text.startswith("$(", start) else self.variable()
        elif char in "'\"" and char:
            node = self.string()
        elif char == "(":
            node = self.sub("(", "paren")
        elif char == "{":
            node = self.block()
        elif char == "@":
            following = self.text[start + 1 : start + 2]
            node = self.sub("@(", "array") if following == "(" else self._table() if following == "{" else self.string()
        elif char == "[":
            return self._type()
        else:
            raise BadSyntax("an expression is missing", start)
        return self._postfix(node)

    @abstractmethod
    def block(self) -> Block:
        """`{ }`."""

    def _type(self) -> Node:
        start = self.at
        if _ATTRIBUTE.match(self.text, start):
            return self.attribute()
        node = self.type_name()
        if self.text.startswith("::", self.at):
            return self._postfix(node)
        before = self.at
        self.blank()
        if _PRIMARY_START.match(self.text, self.at) or _UNARY.match(self.text, self.at):
            value = self._unary(_COMMA + 1)
            return Cast(start, value.end, node, value)
        self.at = before
        return self._postfix(node)

    def type_name(self) -> TypeName:
        """`[name]`."""
        start = self.at
        found = self.match(_TYPE)
        if found is None:
            raise BadSyntax("a type that cannot be read", start)
        return TypeName(start, self.at, re.sub(r"[ \t]", "", found[1]).lower())

    def attribute(self) -> Group:
        """`[Name(argument, name = argument)]`, and what stands behind it."""
        start = self.at
        found = self.match(_ATTRIBUTE)
        assert found is not None  # noqa: S101 - the callers looked
        group = Group(start, start, "attribute")
        self.breaks()
        while not self.take(")"):
            name = self.match(_ARGUMENT_NAME)
            self.breaks()
            if name is None or name[2]:
                group.items.append(self.expression(lists=False))
            self.breaks()
            self.take(",")
            self.breaks()
        self.blank()
        self.need("]")
        self.breaks()
        if self.peek() in ("[", "$"):
            group.items.append(self._unary(_COMMA + 1))
        group.end = self.at
        return group

    def _table(self) -> Table:
        start = self.at
        self.need("@{")
        self.deeper()
        pairs: list[tuple[Node, Node]] = []
        self.lines()
        while not self.take("}"):
            at = self.at
            word = self.match(_KEY)
            key: Node = Text(at, self.at, (word[0],), True) if word else self.primary()
            self.blank()
            self.need("=")
            self.breaks()
            pairs.append((key, self.statement()))
            self.lines()
        self.depth -= 1
        return Table(start, self.at, pairs)

    @abstractmethod
    def statement(self) -> Node:
        """One statement."""

    def _postfix(self, node: Node) -> Node:
        while True:
            char = self.peek()
            if char == "[" and not isinstance(node, Number):
                self.at += 1
                self.breaks()
                index = self.expression()
                self.breaks()
                self.need("]")
                node = Index(node.start, self.at, node, index)
            elif self.text.startswith("::", self.at):
                self.at += 2
                node = self._member(node, is_static=True)
            elif char == "." and self.text[self.at + 1 : self.at + 2] not in (".", "", " ", "\n", "\t"):
                self.at += 1
                node = self._member(node, is_static=False)
            elif self.text.startswith(("++", "--"), self.at):
                node = Unary(node.start, self.at + 2, f"post{char}", node)
                self.at += 2
            elif self.text.startswith("?.", self.at) or self.text.startswith("?[", self.at):
                self.at += 1
            elif char == "\n" or char == "\r":
                # A line that begins with a member goes on with what stands before it.
                before = self.at
                self.breaks()
                if not re.compile(r"\.[A-Za-z]").match(self.text, self.at):
                    self.at = before
                    return node
            else:
                return node

    def _member(self, target: Node, *, is_static: bool) -> Member:
        at = self.at
        word = self.match(_NAME)
        name: Node
        if word is not None:
            name = Text(at, self.at, (word[0],), True)
        elif self.peek() in ("'", '"'):
            name = self.string()
        elif self.peek() == "$":
            name = self.sub("$(", "sub") if self.text.startswith("$(", at) else self.variable()
        elif self.peek() == "(":
            name = self.sub("(", "paren")
        elif self.peek() == "{":
            name = Text(at, at, ("",), True)
        else:
            raise BadSyntax("the name of a member is missing", at)
        args: tuple[Node, ...] | None = None
        if self.peek() == "(":
            args = self._arguments()
        elif self.peek() == "{":
            args = (self.block(),)
        return Member(target.start, self.at, target, name, is_static, args)

    def _arguments(self) -> tuple[Node, ...]:
        self.need("(")
        self.deeper()
        self.breaks()
        found: list[Node] = []
        while not self.take(")"):
            found.append(self.expression(lists=False))
            self.breaks()
            if not self.take(",") and self.peek() != ")":
                raise BadSyntax("the arguments of a method do not end", self.at)
            self.breaks()
        self.depth -= 1
        return tuple(found)

    def assigned(self, target: Node) -> Node:
        """`target = …` if an assignment follows, else `target`."""
        before = self.at
        self.blank()
        found = self.match(_ASSIGN)
        if found is None:
            self.at = before
            return target
        self.breaks()
        value = self.statement()
        return Assign(target.start, value.end, target, found[1], value)
