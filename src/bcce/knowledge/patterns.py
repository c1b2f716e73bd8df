"""Which regular expressions may judge a value from outside. Pure.

An alert's text is hostile, and Python's matcher backtracks: `(a+)+` takes longer than a lifetime for forty characters. So when an SOP is
read, each pattern gets an upper bound of the ways in which it can be tried against the longest value it may see, and one without a
bearable bound is refused. Every such pattern has a flat form, say `[a-z0-9.-]{1,253}`.
"""

import math
import re
from collections.abc import Iterator

#: Ways to try that take well under a second.
MAX_COST = 2e7
#: How often a group may repeat that varies inside: more than the four parts of an IPv4 address or the eight of an IPv6 address need.
_MAX_GROUP_REPEATS = 8

_COUNT = re.compile(r"\{(\d*)(,?)(\d*)\}")
#: Verbose mode and comments hide parentheses from `_tokens`, and nobody needs them in a pattern of one line.
_COMMENTS = re.compile(r"\(\?(#|[aiLmsu-]*x)")


def check_pattern(pattern: str) -> str:
    """`pattern`, when it is a regular expression.

    Raises:
        ValueError: it is none, or uses verbose mode or comments.
    """
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if _COMMENTS.search(pattern):
        raise ValueError("a pattern holds no comments and no verbose mode")
    return pattern


def match_cost(pattern: str, length: int) -> float:
    """An upper bound of the ways in which `pattern` is tried against `length` characters; infinite when a repeated group varies inside.

    Args:
        pattern: one that `check_pattern` has let through.
        length: characters of the longest value.
    """
    groups: list[list[float]] = [[]]
    closed: list[float] = []
    after_quantifier = False
    for item in _tokens(pattern):
        counts = _counts(item)
        if counts is not None and after_quantifier:
            after_quantifier = False  # `+?` and `*+` are one quantifier
            continue
        after_quantifier = counts is not None
        if counts is not None:
            least, most = counts
            if closed and most > _MAX_GROUP_REPEATS:
                return math.inf
            groups[-1] += closed * (int(most) - 1) if closed else []
            groups[-1] += [most - least + 1] if most > least else []
        elif item == "|":
            groups[-1].append(2)
        elif item == "(":
            groups.append([])
        closed = []
        if item == ")":
            closed = groups.pop()
            groups[-1] += closed
    free = sum(ways > length for ways in groups[0])
    splits = math.comb(length + free, free)
    return math.inf if splits > MAX_COST else splits * math.prod(ways for ways in groups[0] if ways <= length)


def _counts(item: str) -> tuple[float, float] | None:
    """How often the quantifier `item` lets what precedes it repeat, at least and at most; None when it is none."""
    if item in ("*", "+", "?"):
        return (1 if item == "+" else 0), (1 if item == "?" else math.inf)
    count = _COUNT.fullmatch(item)
    if count is None:
        return None
    least = float(count[1] or 0)
    return least, float(count[3] or math.inf) if count[2] else least


def _tokens(pattern: str) -> Iterator[str]:
    """The pattern's parentheses, bars and quantifiers as they are; everything else as `x`."""
    at = 0
    while at < len(pattern):
        char = pattern[at]
        count = _COUNT.match(pattern, at)
        if char == "\\":
            at, item = at + 2, "x"
        elif char == "[":
            at, item = _class_end(pattern, at), "x"
        elif pattern.startswith("(?", at):
            at, item = at + 2, "("
        elif count is not None and count[0] != "{}":
            at, item = count.end(), count[0]
        else:
            at, item = at + 1, char if char in "()|*+?" else "x"
        yield item


def _class_end(pattern: str, start: int) -> int:
    """Where the class that begins at `start` is over; a `]` in its first place belongs to it."""
    at = start + 1
    at += pattern.startswith("^", at)
    at += pattern.startswith("]", at)
    while pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at + 1
