"""The validator door: who judges scripts of one shell."""

from collections.abc import Collection
from typing import Protocol

from bcce.safety.model import Judgement


class ScriptValidator(Protocol):
    """Judges scripts by their text alone: no I/O, no clock, the same text always the same answer.

    `name` is the shell. A script is only allowed if every command of it is proven to read only; what is not understood needs approval;
    what is never a repair is
    blocked. No text makes it raise or run for more than about a second.
    """

    name: str

    def judge(self, text: str, *, parameters: Collection[str] = ()) -> Judgement:
        """The judgement of `text`; `parameters` are names of environment variables that will hold outside data."""
        ...
