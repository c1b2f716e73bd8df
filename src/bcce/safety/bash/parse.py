"""Parsing with limits: a hostile text costs a bounded time and is never half understood."""

import re
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate, pairwise

import tree_sitter_bash
from tree_sitter import Language, Node, Parser, Tree

from bcce.safety.model import MAX_BYTES

#: The grammar's error recovery is quadratic in these; no honest script comes near.
_MOST = {"|": 1000, "`": 200, "(": 2000, "{": 2000, "<<": 200, "$": 8000}
#: How often the text may be read in all.
_READS_PER_BYTE = 4
_READS = 20_000
#: Bytes of text whose worst case is bounded enough by its length.
_SHORT = 2048
_WIDE = re.compile(r"[^\x00-\x7f]")
_STAND_IN = re.compile("\x02([0-9a-f]{2,6})\x03")
_LANGUAGE = Language(tree_sitter_bash.language())
_MOST_REPAIRS = 4
#: A backslash at the end of a line in the middle of a word joins what the grammar reads as two words.
_JOINED = re.compile(r"[^\s\\]\\\r?\n[^\s]")


class TooHard(Exception):
    """The text is over a limit; the message says which."""


def parse(text: str) -> Tree:
    """The parse tree of `text`.

    Raises:
        TooHard: it is too large or takes too long.
    """
    return _parsed(text)[0]


def coded(text: str) -> str:
    """What was parsed in place of `text`: ASCII alone, with the same lines."""
    return _parsed(text)[1]


@lru_cache(maxsize=4)
def _parsed(text: str) -> tuple[Tree, str]:
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise TooHard(f"it is larger than {MAX_BYTES} bytes")
    if "\x02" in text or "\x03" in text:
        raise TooHard("it holds control characters")
    for mark, most in _MOST.items():
        if text.count(mark) > most:
            raise TooHard(f"it has more than {most} {mark!r}")
    data = stand_ins(text).encode("ascii")
    tree = _tree(data)
    if _may_swallow(text):
        repairs = 0
        while repairs < _MOST_REPAIRS and (places := _swallowed(tree.root_node, data)):
            repairs += 1
            for at in reversed(places):
                data = data[:at] + b";" + data[at:]
            tree = _tree(data)
    return tree, data.decode("ascii")


def _may_swallow(text: str) -> bool:
    """There is a line with two pipes, and something that goes on after a success or a failure."""
    return ("&&" in text or "||" in text) and any(line.count("|") > 1 for line in text.split("\n"))


def _swallowed(root: Node, data: bytes) -> list[int]:
    """The ends of lines that the grammar took for blanks between the words of a command, which bash never does.

    It happens behind lines with two pipes, when a later line holds `&&` or `||`; a semicolon there means the same and is not overlooked.
    """
    found: list[int] = []
    stack = [root]
    while stack:
        node = stack.pop()
        stack += node.children
        if node.type == "command":
            for before, after in pairwise(node.children):
                gap = data[before.end_byte : after.start_byte]
                if b"\n" in gap and b"\\\n" not in gap and b"\\\r\n" not in gap:
                    found.append(before.end_byte)
    return sorted(set(found))


def _tree(data: bytes) -> Tree:
    if len(data) <= _SHORT:
        return Parser(_LANGUAGE).parse(data)
    # Read byte by byte: the binding keeps longer pieces in memory for good. Honest text is read about once; recovery from errors goes
    # back again and again, so its end is told early. Reads are counted and not timed: the same text always gets the same answer.
    left = _READS_PER_BYTE * len(data) + _READS

    def read(offset: int, _point: object) -> bytes:
        nonlocal left
        left -= 1
        return data[offset : offset + 1] if left > 0 else b""

    Parser(_LANGUAGE).parse(read)
    if left <= 0:
        raise TooHard("it takes too long to parse")
    # Once more from memory, now that the work is known to be bounded: the text of a node of a tree that was read through a function is
    # fetched through that function again, byte by byte.
    return Parser(_LANGUAGE).parse(data)


def stand_ins(text: str) -> str:
    """The text with every character outside ASCII written as its number between two control characters.

    The grammar's scanner asks the C library about each character's class, which reads beyond its tables for those outside the Basic
    Multilingual Plane. To bash they are all the same: parts of words, and of no name.
    """
    return text if text.isascii() else _WIDE.sub(lambda found: f"\x02{ord(found[0]):x}\x03", text)


def original(text: str) -> str:
    """What `stand_ins` was given."""
    return text if "\x02" not in text else _STAND_IN.sub(lambda found: chr(int(found[1], 16)), text)


class Columns:
    """Columns of the script itself, for places in the text that was parsed in place of it."""

    def __init__(self, text: str) -> None:
        self._lines = stand_ins(text).split("\n")
        self._known: dict[int, tuple[list[int], list[int]]] = {}

    def of(self, line: int | None, column: int | None) -> int | None:
        """The column, from 1, that `column` of the parsed text is in the script; None for no place."""
        if line is None or column is None:
            return None
        if line not in self._known:
            found = list(_STAND_IN.finditer(self._lines[min(line, len(self._lines)) - 1]))
            self._known[line] = ([item.end() for item in found], list(accumulate(len(item[0]) - 1 for item in found)))
        ends, longer = self._known[line]
        before = bisect_right(ends, column - 1)
        return column - (longer[before - 1] if before else 0)


def has_joined_words(text: str) -> bool:
    """A word goes on over the end of a line."""
    return _JOINED.search(text) is not None
