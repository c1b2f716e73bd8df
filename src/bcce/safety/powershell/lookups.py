"""Names that are asked for on the network."""

import re
from collections.abc import Iterable

from bcce.safety.powershell.nodes import Group, Node, Number, Text, Variable
from bcce.safety.powershell.values import plain
from bcce.safety.powershell.view import View

_WHY = "the name is put together from output, which it would carry away"
_DOMAIN = re.compile(r"\.[a-z]{2,}\W*\Z", re.IGNORECASE)


def carried_away(view: View, nodes: Iterable[Node]) -> str | None:
    """Names are asked for on the network: one that is put together from output carries it away."""
    for node in nodes:
        for item in node.items if isinstance(node, Group) and node.kind == "list" else [node]:
            if isinstance(item, Text):
                if any(not isinstance(part, str | Variable) for part in item.parts) or _is_in_front(view, item):
                    return _WHY
            elif not isinstance(item, Variable | Number) and view.values.text(item) is None and _names_a_domain(view, item):
                return _WHY
    return None


def _is_in_front(view: View, text: Text) -> bool:
    """What a command printed stands in front of a domain."""
    if len(text.parts) < 2 or _DOMAIN.search(view.word(text)) is None:
        return False
    return any(isinstance(part, Variable) and _is_output(view, part) for part in text.parts[:-1])


def _is_output(view: View, variable: Variable) -> bool:
    """The variable may hold what a command printed; a parameter holds what the caller chose."""
    if variable.name in ("_", "psitem") or variable.name.startswith("env:"):
        return True
    return any(item.operator != "given" and not _is_written_out(item.value) for item in view.assigned.get(plain(variable.name), ()))


def _is_written_out(node: Node | None) -> bool:
    if isinstance(node, Group) and node.kind in ("list", "array", "paren"):
        return all(_is_written_out(item) for item in node.items)
    return isinstance(node, Number) or (isinstance(node, Text) and all(isinstance(part, str) for part in node.parts))


def _names_a_domain(view: View, node: Node) -> bool:
    """An expression that is put together holds the end of a name, such as `.example.com`."""
    return any(_DOMAIN.search(text) for text in re.findall(r"'([^']*)'|\"([^\"]*)\"", view.raw(node)) for text in text)
