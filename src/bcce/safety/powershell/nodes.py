"""The syntax tree. Offsets count characters of the prepared text.

Source of the grammar: the PowerShell language specification 3.0, and about_Parsing, about_Operators, about_Redirection.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Node:
    """A part of the script, from `start` up to and without `end`."""

    start: int
    end: int

    def children(self) -> "Iterable[Node]":
        """The nodes directly below."""
        return ()


@dataclass(slots=True, eq=False)
class Text(Node):
    """A string or a bare word: literal pieces and the expressions that are put between them."""

    parts: "tuple[str | Node, ...]"
    is_bare: bool = False

    def children(self) -> "Iterable[Node]":
        """The nodes directly below."""
        return [part for part in self.parts if not isinstance(part, str)]

    @property
    def literal(self) -> str | None:
        """The text when nothing is put into it."""
        return "".join(part for part in self.parts if isinstance(part, str)) if not self.children() else None


@dataclass(slots=True, eq=False)
class Number(Node):
    """A number, as written."""

    text: str


@dataclass(slots=True, eq=False)
class Variable(Node):
    """`$name`, with its scope or drive, in lower case; `@name` when it is splatted."""

    name: str
    is_splatted: bool = False


@dataclass(slots=True, eq=False)
class TypeName(Node):
    """`[name]`, in lower case and without spaces."""

    name: str


@dataclass(slots=True, eq=False)
class Member(Node):
    """`target.name` or `target::name`; a method call when `args` is not None."""

    target: Node
    name: Node
    is_static: bool
    args: tuple[Node, ...] | None = None

    def children(self) -> Iterable[Node]:
        """The nodes directly below."""
        return (self.target, self.name, *(self.args or ()))


@dataclass(slots=True, eq=False)
class Index(Node):
    """`target[index]`."""

    target: Node
    index: Node

    def children(self) -> Iterable[Node]:
        """The nodes directly below."""
        return (self.target, self.index)


@dataclass(slots=True, eq=False)
class Cast(Node):
    """`[type]value`."""

    type: Node
    value: Node

    def children(self) -> Iterable[Node]:
        """The nodes directly below."""
        return (self.type, self.value)


@dataclass(slots=True, eq=False)
class Unary(Node):
    """An operator before or after its operand."""

    operator: str
    value: Node

    def children(self) -> Iterable[Node]:
        """The nodes directly below."""
        return (self.value,)


@dataclass(slots=True, eq=False)
class Binary(Node):
    """An operator between two operands; the name is in lower case and without `c` or `i` in front."""

    operator: str
    left: Node
    right: Node

    def children(self) -> Iterable[Node]:
        """The nodes directly below."""
        return (self.left, self.right)


@dataclass(slots=True, eq=False)
class Group(Node):
    """Things side by side: `kind` is `list` (a, b), `array` @( ), `sub` $( ), `paren` ( ), or the keyword of a statement."""

    kind: str
    items: list[Node] = field(default_factory=list)

    def children(self) -> Iterable[Node]:
        """The nodes directly below."""
        return self.items


@dataclass(slots=True, eq=False)
class Table(Node):
    """`@{ }`."""

    pairs: list[tuple[Node, Node]]

    def children(self) -> Iterable[Node]:
        """The nodes directly below."""
        return [item for pair in self.pairs for item in pair]


@dataclass(slots=True, eq=False)
class Block(Node):
    """`{ }` with its parameters' defaults and attributes before its statements."""

    items: list[Node]
    parameters: tuple[str, ...] = ()

    def children(self) -> Iterable[Node]:
        """The nodes directly below."""
        return self.items


@dataclass(slots=True, eq=False)
class Parameter(Node):
    """`-name` or `-name:value`; the name is in lower case."""

    name: str
    value: Node | None = None

    def children(self) -> Iterable[Node]:
        """The nodes directly below."""
        return () if self.value is None else (self.value,)


@dataclass(slots=True, eq=False)
class Redirect(Node):
    """`>`, `>>`, `2>&1`, …; the target is None when it is another stream."""

    operator: str
    target: Node | None

    def children(self) -> Iterable[Node]:
        """The nodes directly below."""
        return () if self.target is None else (self.target,)


@dataclass(slots=True, eq=False)
class Command(Node):
    """A command: `operator` is `&`, `.` or empty, `verbatim` what follows `--%`."""

    operator: str
    name: Node
    words: list[Node]
    redirects: list[Redirect]
    verbatim: str = ""

    def children(self) -> Iterable[Node]:
        """The nodes directly below."""
        return (self.name, *self.words, *self.redirects)


@dataclass(slots=True, eq=False)
class Pipeline(Node):
    """Elements whose output flows from one to the next."""

    items: list[Node]
    is_background: bool = False

    def children(self) -> Iterable[Node]:
        """The nodes directly below."""
        return self.items


@dataclass(slots=True, eq=False)
class Assign(Node):
    """`target = value`; the operator is `in` for the variable of a foreach loop."""

    target: Node
    operator: str
    value: Node

    def children(self) -> Iterable[Node]:
        """The nodes directly below."""
        return (self.target, self.value)


@dataclass(slots=True, eq=False)
class Function(Node):
    """A named function or filter; the name is in lower case."""

    name: str
    body: Block

    def children(self) -> Iterable[Node]:
        """The nodes directly below."""
        return (self.body,)
