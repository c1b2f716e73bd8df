"""Scripts within scripts: what Invoke-Expression, other shells and encoded commands would run."""

import base64
import binascii
from dataclasses import dataclass

from bcce.safety.powershell.nodes import Block, Node
from bcce.safety.powershell.view import Call, View

SHELLS = frozenset({"powershell", "powershell.exe", "pwsh", "pwsh.exe"})
_VALUED = (
    "executionpolicy",
    "ep",
    "ex",
    "exec",
    "windowstyle",
    "w",
    "version",
    "v",
    "inputformat",
    "outputformat",
    "configurationname",
    "workingdirectory",
    "wd",
)
_FLAGS = ("noprofile", "nop", "noninteractive", "noni", "nologo", "nol", "sta", "mta", "login", "noexit", "noe")


@dataclass(frozen=True, slots=True)
class Embedded:
    """Text that a call runs; None when it is computed."""

    call: Call
    text: str | None


def embedded_scripts(view: View) -> list[Embedded]:
    """Every script inside the script, by what is constant in it."""
    found: list[Embedded] = []
    for call in view.calls:
        if call.name == "invoke-expression":
            found.append(Embedded(call, _expression(view, call)))
        elif call.name in SHELLS:
            found.append(Embedded(call, inner_text(view, call)))
    return found


def _expression(view: View, call: Call) -> str | None:
    nodes: list[Node] = [*call.everything, *(call.inputs[-1:] if not call.args else ())]
    texts = [view.values.text(node) for node in nodes]
    known = [text for text in texts if text is not None]
    return "\n".join(known) if nodes and len(known) == len(texts) else None


def inner_text(view: View, call: Call) -> str | None:
    """The text that `powershell …` runs; None when it is not understood."""
    words = list(view.argv(call))
    nodes = list(call.command.words)
    if len(words) != len(nodes):
        return None
    while words:
        word, node = words.pop(0), nodes.pop(0)
        if isinstance(node, Block):
            return "\n".join(view.raw(item) for item in node.items) if not words else None
        option = word.lower().lstrip("-/").partition(":")[0]
        if not word.startswith(("-", "/")):
            return " ".join([word, *words])
        if (option and "encodedcommand".startswith(option)) or option in ("ec", "encodedarguments"):
            return decoded(words[0]) if words else None
        if option and "command".startswith(option):
            if nodes and isinstance(nodes[0], Block):
                return "\n".join(view.raw(item) for item in nodes[0].items) if len(nodes) == 1 else None
            return " ".join(words)
        if option in _VALUED or (option and any(name.startswith(option) for name in _VALUED[:1])):
            words, nodes = words[1:], nodes[1:]
        elif option not in _FLAGS and not any(
            name.startswith(option) for name in ("noprofile", "noninteractive", "nologo") if len(option) > 2
        ):
            return None
    return None


def decoded(text: str) -> str | None:
    """The text of -EncodedCommand: UTF-16 in base64; None when it is not. Source: about_PowerShell_exe."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("utf-16-le")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
