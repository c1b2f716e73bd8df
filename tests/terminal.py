"""A terminal that tests can look at: as much of one as a program needs that draws some lines in place."""

import re

_PIECE = re.compile(r"\x1b\[(\?2026[hl])|\x1b\[(\d*)([AKJ])|([\r\n])|([^\x1b\r\n]+)|(.)", re.DOTALL)


class Terminal:
    """What stands on a screen of so many columns; it never scrolls. `strange` is what was written and it does not know."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows: list[str] = [""]
        self.row = self.column = 0
        self.strange: list[str] = []

    def write(self, text: str) -> None:
        for _, count, command, newline, plain, strange in _PIECE.findall(text):
            if command == "A":
                self.row = max(0, self.row - int(count or 1))
            elif command == "K":
                self.rows[self.row] = self.rows[self.row][: self.column]
            elif command == "J":
                self.rows[self.row] = self.rows[self.row][: self.column]
                del self.rows[self.row + 1 :]
            elif newline == "\r":
                self.column = 0
            elif newline == "\n":
                self._down()
            elif strange:
                self.strange.append(strange)
            for char in plain:
                self._put(char)

    def narrow(self, columns: int) -> None:
        """Makes the screen narrower: lines that are too long now are broken, as terminals do, and the cursor stays with its line."""
        rows: list[str] = []
        for index, row in enumerate(self.rows):
            if index == self.row:
                self.row = len(rows)
            rows += [row[at : at + columns] for at in range(0, len(row), columns)] or [""]
        self.rows, self.columns = rows, columns

    def _put(self, char: str) -> None:
        if self.column == self.columns:
            self._down()
        row = self.rows[self.row].ljust(self.column)
        self.rows[self.row] = row[: self.column] + char + row[self.column + 1 :]
        self.column += 1

    def _down(self) -> None:
        self.row, self.column = self.row + 1, 0
        while len(self.rows) <= self.row:
            self.rows.append("")
