"""Splits a text into what stands as it is and what stands between `{{` and `}}`. Pure; takes time in proportion to the text."""

import re
from dataclasses import dataclass

_MARK = re.compile(r"""\}\}|['"]""")
_STRING_END = {"'": re.compile(r"(?:[^'\\]|\\.)*'", re.DOTALL), '"': re.compile(r'(?:[^"\\]|\\.)*"', re.DOTALL)}


@dataclass(frozen=True, slots=True)
class Expression:
    """What stands between the braces."""

    source: str


@dataclass(frozen=True, slots=True)
class Template:
    """A text's pieces in order. `is_open`: a `{{` was never closed, and stands in the last piece of text."""

    pieces: tuple[str | Expression, ...]
    is_open: bool

    @property
    def expressions(self) -> list[str]:
        """The sources of its expressions, in order."""
        return [piece.source for piece in self.pieces if isinstance(piece, Expression)]

    @property
    def whole(self) -> str | None:
        """The expression that the whole text is, white space around it aside; None when it is anything else."""
        expressions = self.expressions
        is_alone = len(expressions) == 1 and not any(isinstance(piece, str) and piece.strip() for piece in self.pieces)
        return expressions[0] if is_alone else None


def split(text: str) -> Template:
    """The pieces of `text`. Braces inside an expression's quoted strings end nothing."""
    pieces: list[str | Expression] = []
    at = 0
    while (start := text.find("{{", at)) >= 0:
        end = _end(text, start + 2)
        if end is None:
            return Template((*pieces, text[at:]), is_open=True)
        if start > at:
            pieces.append(text[at:start])
        pieces.append(Expression(text[start + 2 : end]))
        at = end + 2
    if at < len(text):
        pieces.append(text[at:])
    return Template(tuple(pieces), is_open=False)


def _end(text: str, at: int) -> int | None:
    """Where the expression that begins at `at` ends; None when it does not."""
    unclosed: set[str] = set()
    while (mark := _MARK.search(text, at)) is not None:
        if mark[0] == "}}":
            return mark.start()
        at = mark.end()
        if mark[0] not in unclosed:
            string = _STRING_END[mark[0]].match(text, at)
            if string is None:
                unclosed.add(mark[0])  # from here on such a quote is a character, which makes the expression a syntax error
            else:
                at = string.end()
    return None
