"""Commands that are hidden: encoded, put together or taken apart so that nobody can read what runs."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.powershell.nodes import Binary, Cast, Index, Member, Node, Text, TypeName, Unary
from bcce.safety.powershell.view import View
from bcce.safety.rules.powershell import Place

RULE = Rule(
    id="powershell.obfuscated",
    title="A command is hidden",
    severity=Severity.HIGH,
    verdict=Verdict.BLOCK,
    why="whoever approves cannot see what they approve",
    instead="write the command out",
    tags=("T1027.010", "T1140"),
    examples_match=(
        "iex ([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($x)))",
        "powershell -enc SQBFAFgAIAAkAHgA",
        "& ('i'+'ex') $code",
        "& (\"{1}{0}\" -f 'ex','i') $code",
        "& $env:ComSpec[4,15,25] -join ''",
        "&([char]105+[char]101+[char]120) $code",
        "iex ([IO.StreamReader]::new([IO.Compression.DeflateStream]::new($m, 'Decompress')).ReadToEnd())",
        "iex (-join ($s[-1..-($s.Length)]))",
    ),
    examples_pass=(
        "[Convert]::ToBase64String($bytes)",
        "'a' + 'b'",
        "Invoke-Command -ScriptBlock { Get-Date }",
        "& 'C:\\Program Files\\app\\app.exe'",
        "iex $known",
    ),
)
_PIECES = re.compile(
    r"(?i)frombase64string|frombase64|deflatestream|gzipstream|convertto-securestring.*-key|ptrtostring(?:auto|bstr)|-bxor|\[char\]|"
    r"::reverse|tochararray|-split|-replace|\[\s?-1\s?\.\.|fromhexstring|\.getstring\("
)


def find(view: View) -> Iterable[Place]:
    """Encoded commands, names that are put together, and what decodes in front of what runs."""
    for call in view.calls:
        if call.name in ("powershell", "powershell.exe", "pwsh", "pwsh.exe", "cmd", "cmd.exe"):
            words = [word.lower() for word in view.argv(call)]
            if any(re.fullmatch(r"[-/](?:e|ec|en|enc\w*)", word) for word in words):
                yield Place(call.command, "the command is encoded")
            elif call.name.startswith("cmd") and sum(word.count("^") for word in words) > 3:
                yield Place(call.command)
        if call.command.operator and _is_made(view, call.command.name):
            yield Place(call.command, "the name of the command is put together")
        elif "`" in view.raw(call.command.name) and not view.raw(call.command.name).startswith("`"):
            yield Place(call.command, "the name of the command is broken up")
        elif call.name == "invoke-expression" and _decodes(view, [*call.everything, *call.inputs]):
            yield Place(call.command, "what is decoded runs")
    for member in view.members:
        name = (view.values.text(member.name) or "").lower()
        if (
            name in ("create", "invoke", "invokescript", "invokecommand", "newscriptblock")
            and member.args
            and _decodes(view, list(member.args))
        ):
            yield Place(member, "what is decoded runs")


def _is_made(view: View, node: Node) -> bool:
    """The name is not written as one word: joined, formatted, converted from numbers, or cut out of another text."""
    stack: list[Node] = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, Binary | Unary | Index) or (
            isinstance(current, Cast) and isinstance(current.type, TypeName) and current.type.name.startswith(("char", "string"))
        ):
            return True
        if (
            isinstance(current, Member)
            and current.args is not None
            and (view.values.text(current.name) or "").lower()
            in ("replace", "substring", "remove", "insert", "getstring", "join", "format", "concat", "reverse", "tochararray")
        ):
            return True
        if isinstance(current, Text) and not current.is_bare and len([part for part in current.parts if isinstance(part, str)]) > 1:
            return True
        stack.extend(current.children())
    return False


def _decodes(view: View, nodes: list[Node]) -> bool:
    texts = [view.raw(node) for node in nodes]
    for node in nodes:
        for item in view.variables:
            if node.start <= item.start < node.end:
                texts.extend(
                    view.raw(made.value) for made in view.assigned.get(item.name.rpartition(":")[2], ()) if made.operator in ("=", "+=")
                )
    return any(_PIECES.search(text) for text in texts)
