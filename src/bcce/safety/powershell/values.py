"""What expressions are worth when the script alone says it: constants, joined, formatted and decoded text."""

import binascii
import re
from collections.abc import Mapping, Sequence

from bcce.safety.powershell.computed import MAX_LENGTH, METHODS, Value, as_text, bounded, formatted, item_of, number, static, text_of
from bcce.safety.powershell.nodes import (
    Assign,
    Binary,
    Block,
    Cast,
    Command,
    Group,
    Index,
    Member,
    Node,
    Number,
    Pipeline,
    Text,
    TypeName,
    Unary,
    Variable,
)

_MAX_DEPTH = 25
_TEXT_TYPES = {"string", "system.string", "object", "psobject"}
_ENCODINGS = {
    "unicode": "utf-16-le",
    "ascii": "ascii",
    "utf8": "utf-8",
    "bigendianunicode": "utf-16-be",
    "default": "latin-1",
    "utf7": "utf-7",
}
#: Variables whose value every machine has. Source: about_Automatic_Variables.
_KNOWN: Mapping[str, str] = {
    "true": "True",
    "false": "False",
    "null": "",
    "shellid": "Microsoft.PowerShell",
    "pshome": "C:\\Windows\\System32\\WindowsPowerShell\\v1.0",
    "env:comspec": "C:\\Windows\\system32\\cmd.exe",
    "env:public": "C:\\Users\\Public",
    "env:systemroot": "C:\\Windows",
    "env:windir": "C:\\Windows",
    "env:systemdrive": "C:",
    "env:programdata": "C:\\ProgramData",
    "verbosepreference": "SilentlyContinue",
}


class Values:
    """The constants of one script. `assigned` are all assignments by the variable's name."""

    def __init__(self, assigned: Mapping[str, Sequence[Assign]], *, has_loops: bool = True) -> None:
        self._assigned = assigned
        self._has_loops = has_loops
        self._known: dict[str, Value | None] = {}
        self._depth = 0

    def text(self, node: Node) -> str | None:
        """The constant text of `node`; None when it is not constant."""
        return as_text(self.of(node))

    def of(self, node: Node) -> Value | None:
        """The constant value of `node`; None when it is not constant."""
        if self._depth > _MAX_DEPTH:
            return None
        self._depth += 1
        try:
            value = self._of(node)
        except (ValueError, LookupError, TypeError, binascii.Error, OverflowError, re.error):
            value = None
        self._depth -= 1
        if isinstance(value, str | bytes | list) and len(value) > MAX_LENGTH:
            return None
        return value

    def _of(self, node: Node) -> Value | None:
        if isinstance(node, Text):
            return self._joined(node.parts)
        if isinstance(node, Number):
            return number(node.text)
        if isinstance(node, Variable):
            return self._variable(node)
        if isinstance(node, Binary):
            return self._binary(node)
        if isinstance(node, Group):
            return self._group(node)
        if isinstance(node, Cast) and isinstance(node.type, TypeName):
            return self._cast(node.type.name, self.of(node.value))
        if isinstance(node, Index):
            return self._index(self.of(node.target), self.of(node.index))
        if isinstance(node, Unary):
            return self._unary(node)
        if isinstance(node, Member):
            return self._member(node)
        if isinstance(node, Pipeline):
            return self._pipeline(node)
        return None

    def _joined(self, parts: Sequence[str | Node]) -> str | None:
        found: list[str] = []
        for part in parts:
            text = part if isinstance(part, str) else self.text(part)
            if text is None:
                return None
            found.append(text)
        return "".join(found)

    def _variable(self, node: Variable) -> Value | None:
        name = plain(node.name)
        if name in self._known:
            return self._known[name]
        assigned = self._assigned.get(name, ())
        if not assigned:
            return _KNOWN.get(name)
        self._known[name] = None  # while it is computed, for a variable that is made of itself
        value: Value | None = None
        if len(assigned) == 1 and assigned[0].operator == "=":
            value = self.of(assigned[0].value)
        elif not self._has_loops and assigned[0].operator == "=" and all(item.operator == "+=" for item in assigned[1:]):
            parts = [self.of(item.value) for item in assigned]
            if all(isinstance(part, str) for part in parts):
                value = "".join(str(part) for part in parts)
        self._known[name] = value
        return value

    def _group(self, node: Group) -> Value | None:
        if node.kind in ("paren", "sub") and len(node.items) == 1:
            return self.of(node.items[0])
        if node.kind in ("list", "array"):
            found: list[Value] = []
            for item in node.items:
                value = self.of(item)
                if value is None:
                    return None
                found.extend(value if isinstance(value, list) and node.kind == "array" else [value])
            return found
        return None

    def _binary(self, node: Binary) -> Value | None:
        left, right = self.of(node.left), self.of(node.right)
        if left is None or right is None:
            return None
        name = node.operator
        if name == "+":
            if isinstance(left, int) and isinstance(right, int):
                return left + right
            if isinstance(left, list):
                return left + (right if isinstance(right, list) else [right])
            return text_of(left) + text_of(right)
        if name in ("-", "bxor") and isinstance(left, int) and isinstance(right, int):
            return left - right if name == "-" else left ^ right
        if name == "*" and isinstance(left, str) and isinstance(right, int) and len(left) * right < MAX_LENGTH:
            return left * right
        if name == "f":
            return formatted(text_of(left), right if isinstance(right, list) else [right])
        if name == "join":
            return text_of(right).join(text_of(item) for item in (left if isinstance(left, list) else [left]))
        if name == "split" and isinstance(left, str):
            parts: list[Value] = list(re.split(bounded(right), left, flags=re.IGNORECASE))
            return parts
        if name == "replace":
            pair = right if isinstance(right, list) else [right, ""]
            return re.sub(bounded(pair[0]), re.sub(r"\$(\d)", r"\\\1", text_of(pair[1])), text_of(left), flags=re.IGNORECASE)
        if name == ".." and isinstance(left, int) and isinstance(right, int) and abs(left - right) < MAX_LENGTH:
            step = 1 if right >= left else -1
            return list(range(left, right + step, step))
        return None

    def _cast(self, kind: str, value: Value | None) -> Value | None:
        if value is None:
            return None
        if kind == "char":
            return chr(value) if isinstance(value, int) else text_of(value)
        if kind == "char[]":
            items = value if isinstance(value, list) else list(text_of(value))
            return [chr(item) if isinstance(item, int) else item for item in items]
        if kind in ("int", "byte", "int32") and not isinstance(value, list | bytes):
            return int(value, 0) if isinstance(value, str) else value
        if kind in _TEXT_TYPES:
            return " ".join(text_of(item) for item in value) if isinstance(value, list) else text_of(value)
        return value if kind in ("string[]", "object[]", "array", "byte[]", "regex") else None

    def _index(self, target: Value | None, index: Value | None) -> Value | None:
        if target is None or index is None or isinstance(target, int):
            return None
        if isinstance(index, list):
            return [item_of(target, item) for item in index if isinstance(item, int)]
        return item_of(target, index) if isinstance(index, int) else None

    def _unary(self, node: Unary) -> Value | None:
        value = self.of(node.value)
        if value is None:
            return None
        if node.operator == "join":
            return "".join(text_of(item) for item in (value if isinstance(value, list) else [value]))
        if node.operator == "-" and isinstance(value, int):
            return -value
        return None

    def _member(self, node: Member) -> Value | None:
        name = (self.text(node.name) or "").lower()
        if node.args is None:
            value = self.of(node.target)
            return len(value) if name == "length" and isinstance(value, str | list) else None
        args = [self.of(item) for item in node.args]
        if any(item is None for item in args):
            return None
        known = [item for item in args if item is not None]
        if isinstance(node.target, TypeName):
            return static(node.target.name.removeprefix("system."), name, known)
        if name == "getstring" and isinstance(node.target, Member) and known and isinstance(known[0], bytes):
            encoding = _ENCODINGS.get((self.text(node.target.name) or "").lower())
            return known[0].decode(encoding, "replace") if encoding else None
        value = self.of(node.target)
        method = METHODS.get(name)
        return method(text_of(value), known) if method is not None and isinstance(value, str | int) else None

    def _pipeline(self, node: Pipeline) -> Value | None:
        """`list | % { [char]$_ }` and what leaves text as it is."""
        value = self.of(node.items[0])
        for item in node.items[1:]:
            if not isinstance(item, Command) or value is None:
                return None
            name = (self.text(item.name) or "").lower()
            if name in ("out-string", "write-output"):
                continue
            blocks = [word for word in item.words if isinstance(word, Block)]
            if name not in ("%", "foreach-object", "foreach") or len(blocks) != 1 or len(blocks[0].items) != 1:
                return None
            results: list[Value] = []
            for each in value if isinstance(value, list) else [value]:
                self._known["_"] = each
                result = self.of(blocks[0].items[0])
                if result is None:
                    self._known.pop("_", None)
                    return None
                results.append(result)
            self._known.pop("_", None)
            value = results
        return value


def plain(name: str) -> str:
    """A variable's name without the scope in front."""
    scope, separator, rest = name.partition(":")
    return rest if separator and scope in ("global", "script", "local", "private", "using", "variable") else name
