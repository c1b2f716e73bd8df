"""The second opinion: the grammar of tree-sitter must see the same commands before a script is allowed.

That grammar stumbles over bare words in lists and over options of programs, over ranges and over numbers with a unit, so every
argument that is plain text is quoted, and every number is put into parentheses, before it reads.
"""

import re
from collections import Counter

import tree_sitter_powershell
from tree_sitter import Language
from tree_sitter import Parser as TreeParser

from bcce.safety.powershell.grammar import Parser
from bcce.safety.powershell.nodes import Command, Group, Node, Number, Parameter, Text, Variable

_LANGUAGE = Language(tree_sitter_powershell.language())


def disagreement(text: str) -> str | None:
    """What the two readers do not agree on; None when both see the same commands. `text` is one that the first reader understands."""
    edits: list[tuple[int, int, str]] = []
    ours: Counter[str] = Counter()
    stack: list[Node] = list(Parser(text).script())
    while stack:
        node = stack.pop()
        if isinstance(node, Command):
            ours[_name(node)] += 1
            _quote(node, edits)
        elif isinstance(node, Number):
            edits.append((node.start, node.end, "(1)"))
        stack.extend(node.children())
    at, pieces = 0, []
    for start, end, quoted in sorted(edits):
        pieces += [text[at:start], quoted]
        at = end
    # Characters outside ASCII are letters to it; its scanner asks the C library about their class, which is not safe for all of them.
    coded = re.sub(r"[^\x00-\x7f]", "x", "".join([*pieces, text[at:]]))
    tree = TreeParser(_LANGUAGE).parse(coded.encode("ascii"))
    if tree.root_node.has_error:
        return "the second parser does not understand it"
    theirs: Counter[str] = Counter()
    nodes = [tree.root_node]
    while nodes:
        current = nodes.pop()
        if current.type == "command":
            name = current.child_by_field_name("command_name")
            literal = name is not None and name.type == "command_name"
            theirs[(name.text or b"").decode("utf-8", "replace").lower() if name is not None and literal else "&"] += 1
        nodes.extend(current.children)
    if ours == theirs:
        return None
    return f"the parsers do not agree on the command {next(iter((ours - theirs) + (theirs - ours)))[:60]!r}"


def _name(node: Command) -> str:
    return (
        re.sub(r"[^\x00-\x7f]", "x", node.name.literal.lower())
        if isinstance(node.name, Text) and node.name.is_bare and node.name.literal is not None
        else "&"
    )


def _quote(node: Command, edits: list[tuple[int, int, str]]) -> None:
    """Quotes the plain words among the arguments, and takes backticks out of the name."""
    if isinstance(node.name, Text) and node.name.is_bare and node.name.literal is not None and not node.operator:
        edits.append((node.name.start, node.name.end, node.name.literal))
    words = list(node.words)
    while words:
        word = words.pop()
        if isinstance(word, Group) and word.kind == "list":
            words.extend(word.items)
        elif isinstance(word, Text) and word.is_bare:
            literal = word.literal
            edits.append((word.start, word.end, '"x"' if literal is None else "'" + literal.replace("'", "''") + "'"))
        elif isinstance(word, Variable) and word.is_splatted:
            edits.append((word.start, word.end, "'x'"))
        elif isinstance(word, Parameter) and isinstance(word.value, Text) and word.value.is_bare:
            edits.append((word.start, word.end, f"-{word.name}"))
