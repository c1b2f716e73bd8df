"""Words of a script: their parts as the parse tree gives them, before anything is expanded."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from tree_sitter import Node

from bcce.safety.bash.parse import original

_DQUOTE_ESCAPE = re.compile(r'\\([$`"\\])|\\\n')
_ESCAPE = re.compile(r"\\(?:\n|(.))", re.DOTALL)
_PARAMETER = re.compile(r"\$\{([#!]?)([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-])(\[[^\]]*\])?(.*)\}", re.DOTALL)
_SPECIAL_NUMBERS = frozenset("#?$!")
_ANSI = re.compile(r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|[0-7]{1,3}|c.|.)", re.DOTALL)
_ANSI_SIMPLE = {"a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Part(NamedTuple):
    """One part of a word.

    `kind`: `literal`, `escaped` (literal with backslashes that quote), `variable`, `elements` (every element of an array or every
    argument), `number`, `output` (of a command substitution, `text` is its number in the script), `process` (a process substitution,
    likewise), `derived` (from the variable `text`), `unknown`. `otherwise` are the parts that `${name:-…}` falls back to.
    """

    kind: str
    text: str
    is_quoted: bool = False
    otherwise: "tuple[Part, ...] | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """One word: its parts and its source. `function` is the name of the function that it stands in."""

    parts: tuple[Part, ...]
    raw: str
    function: str | None = None

    @property
    def literal(self) -> str | None:
        """Its value if nothing in it is expanded, None otherwise."""
        texts: list[str] = []
        for part in self.parts:
            if part.kind == "literal":
                texts.append(part.text)
            elif part.kind == "escaped":
                texts.extend(text for text, _ in unescaped(part.text))
            else:
                return None
        return "".join(texts)


def read_parts(node: Node, substitution: Callable[[Node], int], *, is_quoted: bool = False) -> tuple[Part, ...]:
    """The parts of the word at `node`; `substitution` records a command or process substitution and gives its number."""
    kind, raw = node.type, source(node)
    if kind in ("word", "number", "test_operator", "regex", "extglob_pattern", "special_variable_name", "variable_name", "file_descriptor"):
        return _gaps(node, substitution, is_quoted) if node.named_child_count else (_bare(raw, is_quoted),)
    if kind == "raw_string":
        return (Part("literal", raw[1:-1], True),)
    if kind == "ansi_c_string":
        return (Part("literal", ansi_c(raw[2:-1]), True),)
    if kind == "translated_string":
        return read_parts(node.named_children[-1], substitution, is_quoted=True)
    if kind == "string":
        return _gaps(node, substitution, True) or (Part("literal", "", True),)
    if kind == "simple_expansion":
        return (_simple(raw[1:], is_quoted),)
    if kind == "expansion":
        return (_parameter(node, raw, substitution, is_quoted),)
    if kind in ("command_substitution", "process_substitution"):
        return (Part("output" if kind == "command_substitution" else "process", str(substitution(node)), is_quoted),)
    if kind == "arithmetic_expansion":
        _visit(node, substitution)
        return (Part("number", raw, is_quoted),)
    if kind == "brace_expression":
        return (Part("literal", raw, is_quoted),)
    if kind in ("concatenation", "command_name"):
        return _gaps(node, substitution, is_quoted)
    if not node.is_named:
        return (Part("literal", raw, is_quoted),)
    _visit(node, substitution)
    return (Part("unknown", raw, is_quoted),)


def _gaps(node: Node, substitution: Callable[[Node], int], is_quoted: bool) -> tuple[Part, ...]:
    """The parts of the children and of the text between them, which the grammar leaves without a node."""
    parts: list[Part] = []
    text = node.text or b""
    at = node.start_byte

    def between(end: int) -> None:
        gap = original(text[at - node.start_byte : end - node.start_byte].decode("ascii"))
        if gap:
            parts.append(_bare(gap, is_quoted))

    for child in node.children:
        if not child.is_named and child.type in ('"', '$"'):
            between(child.start_byte)
            at = child.end_byte
            continue
        if child.type == "string_content" or not child.is_named:
            continue
        between(child.start_byte)
        parts.extend(read_parts(child, substitution, is_quoted=is_quoted))
        at = child.end_byte
    between(node.end_byte)
    return tuple(parts)


def _bare(raw: str, is_quoted: bool) -> Part:
    """Literal text; what a backslash quotes is told apart by the parts it is split into when it matters for patterns."""
    if is_quoted:
        return Part("literal", _DQUOTE_ESCAPE.sub(lambda match: match[1] or "", raw), True)
    if "\\" not in raw:
        return Part("literal", raw, False)
    return Part("escaped", raw, False)


def unescaped(raw: str) -> list[tuple[str, bool]]:
    """The texts of unquoted source with backslashes: (text, whether a backslash quoted it)."""
    pieces: list[tuple[str, bool]] = []
    at = 0
    for match in _ESCAPE.finditer(raw):
        if match.start() > at:
            pieces.append((raw[at : match.start()], False))
        if match[1]:
            pieces.append((match[1], True))
        at = match.end()
    if at < len(raw):
        pieces.append((raw[at:], False))
    return pieces


def _simple(name: str, is_quoted: bool) -> Part:
    if name in _SPECIAL_NUMBERS:
        return Part("number", f"${name}", is_quoted)
    if name in ("@", "*"):
        return Part("elements", name, is_quoted)
    return Part("variable", name, is_quoted)


def _parameter(node: Node, raw: str, substitution: Callable[[Node], int], is_quoted: bool) -> Part:
    """`${…}`: what is plain, has a default or is a number is known as such, everything else is unknown text."""
    match = _PARAMETER.fullmatch(raw)
    if match is None:
        _visit(node, substitution)
        return Part("unknown", raw, is_quoted)
    mark, name, index, rest = match[1], match[2], match[3], match[4]
    if mark == "#" or (name in _SPECIAL_NUMBERS and not rest):
        return Part("number", raw, is_quoted)
    if index in ("[@]", "[*]") and not rest and not mark:
        return Part("elements", name, is_quoted)
    if name in ("@", "*") and not rest and not mark:
        return Part("elements", name, is_quoted)
    if not mark and not index and not rest:
        return Part("variable", name, is_quoted)
    fallback = re.match(r":?[-=]", rest)
    if not mark and not index and fallback:
        parts: list[Part] = []
        whole = (node.text or b"").decode("ascii")
        coded = _PARAMETER.fullmatch(whole)
        at = node.start_byte + (coded.start(4) if coded is not None else len(whole)) + len(fallback[0])
        for child in node.named_children:
            if child.start_byte < at:
                continue
            gap = original(whole[at - node.start_byte : child.start_byte - node.start_byte])
            if gap:
                parts.append(_bare(gap, is_quoted))
            parts.extend(read_parts(child, substitution, is_quoted=is_quoted))
            at = child.end_byte
        gap = original(whole[at - node.start_byte : -1])
        if gap:
            parts.append(_bare(gap, is_quoted))
        return Part("variable", name, is_quoted, tuple(parts))
    _visit(node, substitution)
    return Part("derived", name if not mark and not index else "", is_quoted)


def _visit(node: Node, substitution: Callable[[Node], int]) -> None:
    """Records the substitutions below a node whose own value is not needed."""
    stack = list(node.children)
    while stack:
        current = stack.pop()
        if current.type in ("command_substitution", "process_substitution"):
            substitution(current)
        else:
            stack.extend(current.children)


def ansi_c(text: str) -> str:
    """What `$'…'` stands for. Source: bash(1), QUOTING."""

    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "xuU" and len(code) > 1:
            number = int(code[1:], 16)
            return chr(number) if number < 0x110000 else "\ufffd"
        if code[0] in "01234567":
            return chr(int(code, 8) & 0xFF)
        if code[0] == "c" and len(code) == 2:
            return chr(ord(code[1]) & 0x1F)
        return _ANSI_SIMPLE.get(code, code)

    return _ANSI.sub(one, text)


def source(node: Node) -> str:
    """The text of a node."""
    return original((node.text or b"").decode("ascii"))


def uses(raw: str, names: Collection[str]) -> bool:
    """`raw` expands one of `names`."""
    return any(re.search(rf"\$\{{?{re.escape(name)}\b", raw) for name in names)
