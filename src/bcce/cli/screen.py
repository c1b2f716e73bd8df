"""A few lines of a terminal that are drawn again in place."""

import os
import shutil
import sys
from collections.abc import Sequence

import click

from bcce.config.environ import is_dumb_terminal

#: A terminal that knows it shows what stands between these at once, so that nothing flickers; others pass over them.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_ERASE_LINE, _ERASE_BELOW = "\x1b[K", "\x1b[J"


def is_terminal() -> bool:
    """The output goes to a terminal that can move its cursor."""
    return sys.stdout is not None and sys.stdout.isatty() and not is_dumb_terminal()


def size() -> tuple[int, int]:
    """Columns and lines of the terminal as it is now; what the environment says may be older."""
    try:
        found = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        found = shutil.get_terminal_size()
    return max(10, found.columns), max(4, found.lines)


class Screen:
    """The frame that was drawn last stands above the cursor, which is at the beginning of the line below it."""

    def __init__(self) -> None:
        self._widths: list[int] = []
        self._columns = 0

    def draw(self, lines: Sequence[str]) -> None:
        """Puts `lines` where the last frame stands; each is cut off at the edge. They hold no control characters."""
        from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 - only a terminal needs it

        columns, _ = size()
        # A line that fills the last column makes some terminals wrap.
        room = columns - 1
        cut = [line if cell_len(line) <= room else set_cell_size(line, room - 1).rstrip() + "…" for line in lines]
        text = "".join(f"{line}{_ERASE_LINE}\n" for line in cut)
        # A terminal that became narrower has broken the lines of the last frame, which have more rows now.
        erase = _ERASE_BELOW if columns != self._columns else ""
        click.echo(f"{_BEGIN}{self._back(columns)}{erase}{text}{_ERASE_BELOW}{_END}", nl=False)
        self._widths, self._columns = [cell_len(line) for line in cut], columns

    def clear(self) -> None:
        """Takes the frame away; what is printed next stands where it began."""
        if self._widths:
            click.echo(f"{_BEGIN}{self._back(size()[0])}{_ERASE_BELOW}{_END}", nl=False)
        self._widths = []

    def _back(self, columns: int) -> str:
        rows = sum(max(1, -(-width // columns)) for width in self._widths)
        return f"\x1b[{rows}A\r" if rows else ""
