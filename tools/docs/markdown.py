"""The little Markdown that the reference pages need."""

from collections.abc import Iterable, Sequence

NOTE = "<!-- Written by `make docs` from the code; change it there. -->"


def page(title: str, *blocks: str) -> str:
    """A whole page: the note that it is generated, its title, then the blocks that are not empty."""
    return "\n\n".join((NOTE, f"# {title}", *(block for block in blocks if block))) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells may hold anything, line breaks become spaces."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def code(text: str) -> str:
    """`text` as inline code; nothing stays nothing."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}" if text else ""


def first_line(docstring: str | None) -> str:
    """The sentence that a docstring begins with; empty when there is none."""
    return docstring.strip().splitlines()[0] if docstring and docstring.strip() else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
