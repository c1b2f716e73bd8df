"""Statements, pipelines and commands: the whole script."""

import re
from typing import Final

from bcce.safety.powershell.commands import CHUNK, PARAMETER, Commands
from bcce.safety.powershell.cursor import BadSyntax
from bcce.safety.powershell.nodes import Assign, Block, Function, Group, Node, Pipeline, Text, Variable

_KEYWORD = re.compile(
    r"(if|while|do|for|foreach|switch|try|function|filter|param|begin|process|end|return|throw|exit|break|continue|trap|class|enum|using"
    r"|configuration|workflow|data|dynamicparam|clean)(?![\w.:\\/-])",
    re.IGNORECASE,
)
#: Statements that define what no repair needs, or run where this reader does not look.
_NOT_READ: Final = frozenset({"class", "enum", "using", "configuration", "workflow", "data", "dynamicparam"})
_EXPRESSION = re.compile(
    r"[$('\"{\[]|@[({'\"]|[+!,]|--|-(?:not|bnot|[ci]?split|join)(?![\w-])|-(?=[$(\d.])"
    r"|(?:0x[0-9a-f]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?|\.\d+)(?:[ulsdny]{0,2})(?:[kmgtp]b)?(?=[\s;|)},.*/%+-]|$)",
    re.IGNORECASE,
)
_FUNCTION_NAME = re.compile(r"[^\s({]+")
_LABEL = re.compile(r":\w+\s+(?=foreach|for|while|do|switch)", re.IGNORECASE)
_CLAUSE = {
    "if": re.compile(r"(elseif|else)(?![\w-])", re.IGNORECASE),
    "try": re.compile(r"(catch|finally)(?![\w-])", re.IGNORECASE),
    "do": re.compile(r"(while|until)(?![\w-])", re.IGNORECASE),
}
_IN = re.compile(r"in(?!\w)", re.IGNORECASE)
_CONTINUED = re.compile(r"(?:[^\S\n]*\n)+[^\S\n]*\|(?!\|)")
_LABEL_NAME = re.compile(r"[A-Za-z_]\w*(?=\s*[;}\n]|\s*$)")


class Parser(Commands):
    """Reads a script. What cannot be read is a problem and is skipped to the end of its line."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.problems: list[tuple[str, int]] = []

    def script(self) -> list[Node]:
        """Every statement of the text."""
        return self.statements("")

    def statements(self, closing: str) -> list[Node]:
        """The statements up to `closing`, which is read too."""
        found: list[Node] = []
        while True:
            self.lines()
            if closing and self.take(closing):
                return found
            if self.at >= len(self.text):
                if closing:
                    raise BadSyntax(f"{closing!r} is missing at the end", self.at)
                return found
            if not closing:
                # Kept as they come, so that an error later loses none of them.
                try:
                    found.append(self.statement())
                except BadSyntax as error:
                    self.problems.append((str(error), error.at))
                    self.depth = 0
                    line = self.text.find("\n", max(error.at, self.at))
                    self.at = len(self.text) if line < 0 or len(self.problems) > 20 else line + 1
            else:
                found.append(self.statement())

    def statement(self) -> Node:
        """One statement."""
        self.match(_LABEL)
        start = self.at
        found = _KEYWORD.match(self.text, start)
        if found is None:
            return self._pipeline()
        self.at = found.end()
        word = found[1].lower()
        self.deeper()
        node = self._keyword(word, start)
        self.depth -= 1
        return node

    def _keyword(self, word: str, start: int) -> Node:
        if word in ("function", "filter"):
            return self._function(start)
        if word in _NOT_READ:
            return self._unread(word, start)
        group = Group(start, start, word)
        if word in ("return", "throw", "exit", "break", "continue"):
            self.blank()
            if word in ("break", "continue"):
                self.match(_LABEL_NAME)
            elif not re.compile(r"[;}\n)]|$").match(self.text, self.at):
                group.items.append(self._pipeline())
        elif word == "param":
            group.items.extend(self._parameters()[1])
        elif word in ("begin", "process", "end", "clean"):
            self.breaks()
            group.items.append(self.block())
        elif word == "trap":
            self.breaks()
            if self.peek() == "[":
                group.items.append(self.type_name())
                self.breaks()
            group.items.append(self.block())
        elif word == "foreach":
            self._foreach(group)
        elif word == "for":
            self._for(group)
        elif word == "switch":
            self._switch(group)
        else:
            self._clauses(word, group)
        group.end = self.at
        return group

    def _unread(self, word: str, start: int) -> Node:
        self.problems.append((f"{word} is not read", start))
        line = self.text.find("\n", start)
        opening = self.text.find("{", start)
        if word != "using" and opening >= 0:
            self.at = opening
            return Group(start, self.at, word, [self.block()])
        self.at = len(self.text) if line < 0 else line
        return Group(start, self.at, word)

    def _condition(self, group: Group) -> None:
        self.breaks()
        group.items.append(self.sub("(", "paren"))

    def _body(self, group: Group) -> None:
        self.breaks()
        group.items.append(self.block())

    def _clauses(self, word: str, group: Group) -> None:
        """if, while, do and try."""
        if word in ("if", "while"):
            self._condition(group)
        self._body(group)
        clause = _CLAUSE.get(word)
        while clause is not None:
            before = self.at
            self.lines() if word == "do" else self.breaks()
            found = self.match(clause)
            if found is None:
                self.at = before
                return
            kind = found[1].lower()
            if kind in ("elseif", "while", "until"):
                self._condition(group)
                if word == "do":
                    return
            while kind == "catch":
                self.breaks()
                if self.peek() == ",":
                    self.at += 1
                elif self.peek() == "[":
                    group.items.append(self.type_name())
                else:
                    break
            self._body(group)

    def _foreach(self, group: Group) -> None:
        self.breaks()
        while PARAMETER.match(self.text, self.at):
            self.match(PARAMETER)
            self.breaks()
        self.need("(")
        self.breaks()
        target = self.variable()
        self.breaks()
        if self.match(_IN) is None:
            raise BadSyntax("expected 'in'", self.at)
        self.breaks()
        value = self._pipeline()
        self.breaks()
        self.need(")")
        group.items.append(Assign(target.start, value.end, target, "in", value))
        self._body(group)

    def _for(self, group: Group) -> None:
        self.breaks()
        self.need("(")
        group.items.extend(self.statements(")"))
        self._body(group)

    def _switch(self, group: Group) -> None:
        self.breaks()
        while found := self.match(PARAMETER):
            self.blank()
            if found[0].lower().startswith("-f"):
                raise BadSyntax("switch -File reads a file", self.at)
        self._condition(group)
        self.breaks()
        self.need("{")
        self.lines()
        while not self.take("}"):
            if self.peek() in ("'", '"', "$", "(", "{", "@", "["):
                group.items.append(self.primary())
            else:
                at = self.at
                group.items.append(Text(at, self.at, (self._chunk(),), True))
            self._body(group)
            self.lines()

    def _chunk(self) -> str:
        found = self.match(CHUNK)
        if found is None:
            raise BadSyntax("a word is missing", self.at)
        return found[0]

    def _function(self, start: int) -> Function:
        self.blank()
        name = self.match(_FUNCTION_NAME)
        if name is None:
            raise BadSyntax("the function has no name", self.at)
        self.breaks()
        names: tuple[str, ...] = ()
        defaults: list[Node] = []
        if self.peek() == "(":
            names, defaults = self._parameters()
            self.breaks()
        body = self.block()
        body.items[:0] = defaults
        body.parameters += names
        return Function(start, self.at, name[0].lower().rpartition(":")[2], body)

    def block(self) -> Block:
        """`{ }`, with its parameters."""
        start = self.at
        self.need("{")
        self.deeper()
        self.lines()
        names: tuple[str, ...] = ()
        items: list[Node] = []
        while True:
            if self.peek() == "[":
                before = self.at
                items.append(self._type())
                self.lines()
                if not re.compile(r"param\b|\[", re.IGNORECASE).match(self.text, self.at):
                    items.pop()
                    self.at = before
                    break
            else:
                break
        found = re.compile(r"param(?=\s*\()", re.IGNORECASE).match(self.text, self.at)
        if found is not None:
            self.at = found.end()
            names, defaults = self._parameters()
            items.extend(defaults)
        items.extend(self.statements("}"))
        self.depth -= 1
        return Block(start, self.at, items, names)

    def _parameters(self) -> tuple[tuple[str, ...], list[Node]]:
        """The names in a parameter list, and the nodes of attributes, types and defaults."""
        self.breaks()
        self.need("(")
        self.breaks()
        names: list[str] = []
        nodes: list[Node] = []
        while not self.take(")"):
            node = self.primary()
            nodes.append(node)
            names.extend(item.name for item in _variables(node))
            self.breaks()
            if self.take("="):
                self.breaks()
                nodes.append(self.expression(lists=False))
                self.breaks()
            if not self.take(",") and self.peek() != ")":
                raise BadSyntax("the parameters do not end", self.at)
            self.breaks()
        return tuple(names), nodes

    def _pipeline(self) -> Node:
        start = self.at
        items = [self._element(is_first=True)]
        if isinstance(items[0], Assign):
            return items[0]
        is_background = False
        while True:
            self.blank()
            if self.text.startswith(("&&", "||"), self.at):
                self.at += 2
                self.breaks()
                return Group(start, self.at, "chain", [Pipeline(start, self.at, items), self._pipeline()])
            if self.peek() == "&":
                self.at += 1
                is_background = True
                break
            continued = self.match(_CONTINUED)
            if continued is None and not self.take("|"):
                break
            self.breaks()
            items.append(self._element(is_first=False))
        if len(items) == 1 and not is_background:
            return items[0]
        return Pipeline(start, self.at, items, is_background)

    def _element(self, *, is_first: bool) -> Node:
        start = self.at
        if not _EXPRESSION.match(self.text, start):
            return self.command()
        if not is_first:
            raise BadSyntax("an expression stands where a command has to be", start)
        node = self.expression()
        changed = self.assigned(node)
        if changed is not node:
            return changed
        redirects: list[Node] = []
        self.blank()
        redirects.extend(self.redirects())
        return Group(start, self.at, "redirected", [node, *redirects]) if redirects else node


def _variables(node: Node) -> list[Variable]:
    """The variable that a parameter declares, below its types and attributes."""
    stack, found = [node], []
    while stack:
        current = stack.pop()
        if isinstance(current, Variable):
            found.append(current)
        elif not isinstance(current, Block):
            stack.extend(current.children())
    return found[:1]
