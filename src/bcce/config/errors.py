"""What can go wrong with configuration."""

from collections.abc import Sequence
from dataclasses import dataclass

from bcce.kit.errors import InvalidDocument


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong.

    `message` is a sentence that names the key, without place and hint, and never holds a secret. `source` is the file's path, or the
    variable's name; None for values that the program was given directly. `line` and `column` count from 1 and are None outside files.
    `field` is the dotted name in the settings; None when the file as a whole is meant.
    """

    message: str
    source: str | None = None
    line: int | None = None
    column: int | None = None
    field: str | None = None
    hint: str | None = None

    @property
    def place(self) -> str:
        """`file:line:column` or the variable's name; empty when there is none."""
        return ":".join(str(part) for part in (self.source, self.line, self.column) if part is not None)

    def __str__(self) -> str:
        return "".join([f"{self.place}: " if self.place else "", self.message, f" ({self.hint})" if self.hint else ""])

    def to_dict(self) -> dict[str, object]:
        """The problem as JSON values, without what is unknown."""
        facts = {name: getattr(self, name) for name in ("message", "source", "line", "column", "field", "hint")}
        return {name: value for name, value in facts.items() if value is not None}


class InvalidConfig(InvalidDocument):
    """The configuration cannot be used as it is.

    One error holds everything that is wrong: `problems`, in the order of the file, also as `details["problems"]`. `path`, `line`, `column`,
    `field` and `hint` are those of the first. `is_unread` says that no file could be read, so nothing is known of its content.
    """

    code = "invalid-config"

    def __init__(self, problems: Sequence[Problem], *, is_unread: bool = False) -> None:
        first = problems[0]
        self.is_unread = is_unread
        super().__init__(first.message, path=first.source, line=first.line, column=first.column, field=first.field, hint=first.hint)
        self.problems = tuple(problems)
        self.details["problems"] = [problem.to_dict() for problem in problems]
        if len(problems) > 1:
            self.hint = None
            self.message = "\n".join([f"{len(problems)} problems in the configuration:", *(f"  {problem}" for problem in problems)])
            self.args = (self.message,)
