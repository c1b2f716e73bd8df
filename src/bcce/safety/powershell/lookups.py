"""Names that are asked for on the network."""

import re

from bcce.safety.powershell.nodes import Group, Number, Text, Variable
from bcce.safety.powershell.values import plain
from bcce.safety.powershell.view import Call, View


def carried_away(view: View, call: Call) -> str | None:
    """A name is asked for on the network: one that is put together from output carries it away."""
    for node in call.everything:
        for item in node.items if isinstance(node, Group) and node.kind == "list" else [node]:
            if isinstance(item, Text) and any(not isinstance(part, str | Variable) for part in item.parts):
                return "the name is put together from output, which it would carry away"
            if isinstance(item, Text) and len(item.parts) > 1 and _is_output(view, item):
                return "the name is put together from output, which it would carry away"
    return None


def _is_output(view: View, text: Text) -> bool:
    """What a command printed stands in front of a domain."""
    if re.search(r"\.[a-z]{2,}$", view.word(text), re.IGNORECASE) is None:
        return False
    for part in text.parts[:-1]:
        if isinstance(part, Variable) and (part.name in ("_", "psitem") or part.name.startswith("env:")):
            return True
        made = view.assigned.get(plain(part.name), ()) if isinstance(part, Variable) else ()
        if any(item.operator == "=" and not isinstance(item.value, Text | Number) for item in made):
            return True
    return False
