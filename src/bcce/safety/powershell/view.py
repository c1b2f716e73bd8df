"""What rules see of a script: its calls by their real names, and everything else that can do something."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bcce.safety.bash.values import ANY
from bcce.safety.powershell.names import FILLS, SWITCHES, real_name
from bcce.safety.powershell.nodes import (
    Assign,
    Block,
    Cast,
    Command,
    Function,
    Group,
    Member,
    Node,
    Parameter,
    Pipeline,
    Redirect,
    Table,
    Text,
    TypeName,
    Unary,
    Variable,
)
from bcce.safety.powershell.values import Values, plain

MAX_CALLS = 2000
_MAX_NODES = 20_000
_MAX_STAGES = 60
_MOST_SAID = 2000
_LOOP = re.compile(r"(?i)\b(for|foreach|while|do|function|filter)\b|%")


@dataclass(slots=True, eq=False)
class Call:
    """One command. `name` is in lower case with aliases resolved, None when it is computed; `written` is what stands there."""

    name: str | None
    written: str
    command: Command
    parameters: list[tuple[str, Node | None]] = field(default_factory=list)
    args: list[Node] = field(default_factory=list)
    #: The call before this one in the pipeline, or the expression.
    inputs: tuple[Node, ...] = ()

    def has(self, *names: str) -> bool:
        """One of the parameters is given, perhaps shortened; the names are in lower case."""
        return any(name == given or (len(given) > 0 and name.startswith(given)) for given, _ in self.parameters for name in names)

    def value(self, *names: str) -> Node | None:
        """The value of the first of the parameters that is given."""
        for given, node in self.parameters:
            if node is not None and any(name == given or name.startswith(given) for name in names):
                return node
        return None

    @property
    def everything(self) -> Iterator[Node]:
        """Every value that is given, by name or by place."""
        for _, node in self.parameters:
            if node is not None:
                yield node
        yield from self.args


@dataclass(slots=True, eq=False)
class View:
    """A script for rules."""

    text: str
    values: Values
    calls: list[Call] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    types: list[TypeName] = field(default_factory=list)
    assigns: list[Assign] = field(default_factory=list)
    counts: list[Unary] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)
    functions: dict[str, Function] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    pipelines: list[Pipeline] = field(default_factory=list)
    attributes: list[Group] = field(default_factory=list)
    assigned: dict[str, list[Assign]] = field(default_factory=dict)
    is_too_much: bool = False
    by_command: dict[int, Call] = field(default_factory=dict)
    #: What each variable holds, as `members.kind_of` found out.
    kinds: dict[str, str | None] = field(default_factory=dict)
    _said: dict[int, str] = field(default_factory=dict)
    _starts: list[int] | None = None

    def word(self, node: Node | None) -> str:
        """The text of `node`; what is not constant in it is a hole."""
        if node is None:
            return ""
        known = self.values.text(node)
        if known is not None:
            return known
        if isinstance(node, Text):
            return "".join(part if isinstance(part, str) else self.values.text(part) or ANY for part in node.parts)
        if isinstance(node, Group) and node.kind == "list":
            return ",".join(self.word(item) for item in node.items)
        return ANY

    def words(self, node: Node | None) -> list[str]:
        """The texts of a list, or the one text."""
        if isinstance(node, Group) and node.kind in ("list", "array"):
            return [word for item in node.items for word in self.words(item)]
        if isinstance(node, Variable):
            assigned = self.assigned.get(plain(node.name), ())
            if len(assigned) == 1 and isinstance(assigned[0].value, Group):
                return [self.word(item) for item in assigned[0].value.items] or [self.word(node)]
        return [self.word(node)]

    def argv(self, call: Call) -> tuple[str, ...]:
        """The arguments as a program gets them."""
        found: list[str] = []
        for item in call.command.words:
            if isinstance(item, Parameter):
                given = self.text[item.start : item.end]
                found.append(given if item.value is None else given.partition(":")[0] + ":" + self.word(item.value))
            else:
                found.append(self.word(item))
        if call.command.verbatim:
            found.extend(call.command.verbatim.split())
        return tuple(found)

    def names_in(self, node: Node) -> set[str]:
        """The variables that are spoken of inside `node`."""
        if self._starts is None:
            self.variables.sort(key=lambda item: item.start)
            self._starts = [item.start for item in self.variables]
        first, last = bisect_left(self._starts, node.start), bisect_left(self._starts, node.end)
        return {item.name for item in self.variables[first:last]}

    def call_of(self, node: Node) -> Call | None:
        """The call that `node` is; None when it is no command."""
        return self.by_command.get(id(node))

    def said(self, call: Call) -> str:
        """The command and its arguments in one line, as far as patterns look at it."""
        known = self._said.get(id(call))
        if known is None:
            known = self._said[id(call)] = " ".join((call.written[:_MOST_SAID], *self.argv(call)))[:_MOST_SAID]
        return known

    def everything(self, call: Call) -> list[str]:
        """The texts of every value that is given."""
        return [word for node in call.everything for word in self.words(node)]

    def raw(self, node: Node) -> str:
        """The text of a node as written."""
        return self.text[node.start : node.end]


def make_view(text: str, statements: Sequence[Node]) -> View:
    """The script's parts, found once."""
    assigned: dict[str, list[Assign]] = {}
    view = View(text=text, values=Values(assigned, has_loops=_LOOP.search(text) is not None), assigned=assigned)
    stack: list[tuple[Node, tuple[Node, ...]]] = [(node, ()) for node in reversed(statements)]
    commands: list[tuple[Command, tuple[Node, ...]]] = []
    count = 0
    while stack:
        node, inputs = stack.pop()
        count += 1
        if count > _MAX_NODES:
            view.is_too_much = True
            break
        if isinstance(node, Command):
            commands.append((node, inputs))
            view.redirects.extend(node.redirects)
            if _is_directory_query(node):
                # The block is a filter that the directory reads as text; nothing in it runs.
                stack.extend((child, ()) for child in node.words if not isinstance(child, Block))
                continue
            if len(commands) > MAX_CALLS:
                view.is_too_much = True
                break
        elif isinstance(node, Pipeline):
            view.pipelines.append(node)
            view.is_too_much = view.is_too_much or len(node.items) > _MAX_STAGES
            stack.extend((item, tuple(node.items[max(0, at - _MAX_STAGES) : at])) for at, item in reversed(list(enumerate(node.items))))
            continue
        else:
            _note(view, node)
        stack.extend((child, ()) for child in reversed(list(node.children())))
    view.calls = [_call(view, command, inputs) for command, inputs in commands]
    view.by_command = {id(call.command): call for call in view.calls}
    return view


def _is_directory_query(node: Command) -> bool:
    name = node.name.literal if isinstance(node.name, Text) else None
    if name is None or not name.lower().startswith(("get-ad", "search-ad")):
        return False
    return any(isinstance(word, Parameter) and "filter".startswith(word.name) for word in node.words)


def _note(view: View, node: Node) -> None:
    if isinstance(node, Variable):
        view.variables.append(node)
    elif isinstance(node, Assign):
        view.assigns.append(node)
        target = node.target
        if isinstance(target, Variable):
            view.assigned.setdefault(plain(target.name), []).append(node)
        else:
            for name in _targets(target):
                view.assigned.setdefault(name, []).extend((node, node))
    elif isinstance(node, Unary) and node.operator in ("++", "--", "post+", "post-"):
        view.counts.append(node)
        for name in _targets(node.value):
            view.assigned.setdefault(name, []).extend((Assign(node.start, node.end, node.value, "++", node.value),) * 2)
    elif isinstance(node, Member):
        view.members.append(node)
    elif isinstance(node, TypeName):
        view.types.append(node)
    elif isinstance(node, Function):
        view.functions[node.name] = node
        _given(view, node.body)
    elif isinstance(node, Block):
        _given(view, node)
    elif isinstance(node, Redirect):
        view.redirects.append(node)
    elif isinstance(node, Group) and node.kind == "attribute":
        view.attributes.append(node)


def _given(view: View, block: Block) -> None:
    """Parameters are not constant, whatever else is assigned to them."""
    for name in block.parameters:
        unknown = Assign(block.start, block.start, block, "given", Group(block.start, block.start, "given"))
        view.assigned.setdefault(plain(name), []).append(unknown)


def _targets(node: Node) -> list[str]:
    """The variables that an assignment to `node` changes: several in a list, one behind a cast or a member."""
    stack, found = [node], []
    while stack:
        current = stack.pop()
        if isinstance(current, Variable):
            found.append(plain(current.name))
        else:
            stack.extend(current.children())
    return found


def _call(view: View, command: Command, inputs: tuple[Node, ...]) -> Call:
    written = None if isinstance(command.name, Block) else view.values.text(command.name)
    call = Call(None if written is None else real_name(written), written or "", command, inputs=inputs)
    if isinstance(command.name, Block):
        call.name = "{}"
    words = list(command.words)
    while words:
        item = words.pop(0)
        if not isinstance(item, Parameter):
            table = _splatted(view, item)
            if table is None:
                call.args.append(item)
            else:
                call.parameters.extend(table)
            continue
        value = item.value
        if value is None and words and not isinstance(words[0], Parameter) and item.name not in SWITCHES:
            value = words.pop(0)
        call.parameters.append((item.name, value))
        if value is not None and (item.name in FILLS or (item.name == "variable" and call.name == "tee-object")):
            name = view.values.text(value)
            unknown = Assign(item.start, item.end, value, "given", value)
            view.assigned.setdefault(plain((name or "").lstrip("+").lower()), []).append(unknown)
    return call


def _splatted(view: View, node: Node) -> list[tuple[str, Node | None]] | None:
    """The parameters in a splatted table that is written out once and never changed; None for anything else."""
    if not (isinstance(node, Variable) and node.is_splatted):
        return None
    made = view.assigned.get(plain(node.name), ())
    value = made[0].value if len(made) == 1 and made[0].operator == "=" else None
    while isinstance(value, Cast):
        value = value.value
    if not isinstance(value, Table):
        return None
    keys = [view.values.text(key) for key, _ in value.pairs]
    if any(key is None for key in keys):
        return None
    return [(str(key).lower(), item) for key, (_, item) in zip(keys, value.pairs, strict=True)]
