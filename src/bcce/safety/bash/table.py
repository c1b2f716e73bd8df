"""The tables of this folder: text files, one entry a line, `#` begins a line for people."""

from collections.abc import Iterator
from importlib.resources import files


def table_lines(name: str) -> Iterator[str]:
    """The entries of a table."""
    for line in files("bcce.safety.bash").joinpath(name).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line
