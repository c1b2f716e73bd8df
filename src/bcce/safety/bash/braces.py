"""Brace expansion. Source: bash(1), Brace Expansion."""

import itertools
import re

from bcce.safety.bash.values import NUM, OUT

_RANGE = re.compile(r"(-?\d{1,9}|[A-Za-z])\.\.(-?\d{1,9}|[A-Za-z])(?:\.\.(-?\d{1,9}))?")


def braces(text: str) -> list[str]:
    """Brace expansion of an unquoted word; at most 64 results, more become a hole."""
    if "{" not in text:
        return [text]
    start = depth = 0
    commas: list[int] = []
    for index, char in enumerate(text):
        if char == "{":
            if depth == 0:
                start, commas = index, []
            depth += 1
        elif char == "}" and depth:
            depth -= 1
            if depth == 0:
                inner = text[start + 1 : index]
                options = (
                    _range(inner)
                    if not commas
                    else [inner[a:b] for a, b in itertools.pairwise([0, *(c + 1 for c in commas), len(inner) + 1])]
                )
                if options is None:
                    continue
                if commas:
                    options = [option.removesuffix(",") for option in options]
                found = [
                    text[:start] + middle + rest for option in options for middle in braces(option) for rest in braces(text[index + 1 :])
                ]
                return found if len(found) <= 64 else [OUT]
        elif char == "," and depth == 1:
            commas.append(index - start - 1)
    return [text]


def _range(inner: str) -> list[str] | None:
    """`{1..5}` and `{a..e}`; None if it is no range."""
    match = _RANGE.fullmatch(inner)
    if match is None:
        return None
    if match[1].lstrip("-").isdigit() and match[2].lstrip("-").isdigit():
        first, last = int(match[1]), int(match[2])
        if abs(last - first) > 60:
            return [NUM]
        return [str(number) for number in range(first, last + (1 if last >= first else -1), 1 if last >= first else -1)]
    if len(match[1]) == 1 and len(match[2]) == 1:
        first, last = ord(match[1]), ord(match[2])
        return [chr(code) for code in range(first, last + (1 if last >= first else -1), 1 if last >= first else -1)]
    return None
