"""Commands that hide where quotes or brackets make a text look inert. Each question takes one pass, however the text is made."""

import re

_INDEX = re.compile(r"[\[\]`]|\$\(")
_QUOTED_INDEX = re.compile(r"['\[`]|\$\(")
_DEFAULT = re.compile(r"[}'`]|\$[({]")


def hides_in_index(value: str) -> bool:
    """A substitution stands in square brackets: it runs when the value is evaluated as the index of an array."""
    is_open = False
    for token in _INDEX.finditer(value):
        if token[0] in "[]":
            is_open = token[0] == "["
        elif is_open:
            return True
    return False


def hides_in_quoted_index(text: str) -> bool:
    """The same between single quotes, which keep it from running only until it is evaluated."""
    is_quoted = is_open = False
    for token in _QUOTED_INDEX.finditer(text):
        if token[0] == "'":
            is_quoted, is_open = True, False
        elif token[0] == "[":
            is_open = is_quoted
        elif is_open:
            return True
    return False


def hides_in_default(text: str) -> bool:
    """A substitution stands behind a single quote in `${…}`, where such a quote is an ordinary character between double ones.

    Source: bash(1), QUOTING.
    """
    is_expansion = is_quoted = False
    for token in _DEFAULT.finditer(text):
        if token[0] == "${":
            is_expansion = True
        elif token[0] == "}":
            is_expansion = is_quoted = False
        elif token[0] == "'":
            is_quoted = is_expansion
        elif is_quoted:
            return True
    return False
