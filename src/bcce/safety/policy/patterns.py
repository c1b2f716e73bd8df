"""Patterns for commands and paths. Pure.

A word of a pattern matches a word of a command: `*` and `?` stand for characters other than `/`, `**` inside a word for any characters,
`{a,b}` for one of several texts. `**` as the last word stands for any further words, also none.
"""

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Final

from bcce.safety.model import UNKNOWN

_MAX_ALTERNATIVES: Final = 256
_REST: Final = "**"
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_WILD = re.compile(r"\*\*|\*|\?")
#: What only running would tell, or a pattern that the shell replaces by names of files.
_OPEN = re.compile(f"[{UNKNOWN}*?\\[…]")
_DRIVE = re.compile(r"[A-Za-z]:")
#: `.*` is `..` to some shells.
_HIDDEN = re.compile(r"(?:^|/)\.[*?]")


class InvalidPattern(ValueError):
    """A pattern that cannot be read."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a pattern, as one of its alternatives."""

    regex: re.Pattern[str]
    prefix: str
    is_literal: bool

    def allows(self, text: str) -> bool:
        """The text is certainly meant: it is known to the end, and no `..` leads out of what the pattern shows.

        A pattern of the shell in it stands for names that match here too, unless they could begin with `-` or be `..`.
        """
        if UNKNOWN in text or text[:1] in ("*", "?") or _HIDDEN.search(text):
            return False
        if not self.is_literal and ".." in text.replace("\\", "/").split("/"):
            return False
        return self.matches(text)

    def matches(self, text: str) -> bool:
        """The text as it stands is meant."""
        return self.regex.fullmatch(text) is not None

    def could_match(self, text: str) -> bool:
        """The text may turn out to be what is meant."""
        if self.matches(text):
            return True
        found = _OPEN.search(text)
        known = text[: found.start()] if found is not None else None
        return known is not None and (known.startswith(self.prefix) or self.prefix.startswith(known))


@dataclass(frozen=True)
class CommandPattern:
    """A pattern for a whole command. `text` is what the policy's author wrote."""

    text: str
    words: tuple[tuple[Word, ...], ...]
    is_open: bool

    @classmethod
    def parse(cls, text: str) -> "CommandPattern":
        """The pattern that `text` holds.

        Raises:
            InvalidPattern: with a sentence that says why it holds none.
        """
        try:
            parts = shlex.split(text, posix=True)
        except ValueError as error:
            raise InvalidPattern(f"{text[:80]!r} has a quote that is not closed") from error
        if not parts:
            raise InvalidPattern("a pattern for a command needs at least its name")
        is_open = len(parts) > 1 and parts[-1] == _REST
        if _REST in (parts[:-1] if is_open else parts):
            raise InvalidPattern(f"{text[:80]!r}: ** as a word of its own can only be the last, behind the command's name")
        return cls(text, tuple(_alternatives(part) for part in (parts[:-1] if is_open else parts)), is_open)

    def allows(self, argv: Sequence[str]) -> bool:
        """The command is this one and nothing else: every word in its place, none unknown except behind `**`."""
        if len(argv) < len(self.words) or (len(argv) > len(self.words) and not self.is_open):
            return False
        return all(any(word.allows(text) for word in words) for words, text in zip(self.words, argv, strict=False))

    def catches(self, argv: Sequence[str]) -> bool:
        """The command is this one, however it is spelled: its options stand anywhere, and other words may stand between."""
        return self._found(argv, could=False)

    def could_catch(self, argv: Sequence[str]) -> bool:
        """The command may turn out to be this one."""
        return self._found(argv, could=True)

    def _found(self, argv: Sequence[str], *, could: bool) -> bool:
        def hit(words: tuple[Word, ...], text: str) -> bool:
            return any(word.could_match(text) if could else word.matches(text) for word in words)

        name, *rest = argv or ("",)
        first, *wanted = self.words
        # A name is caught in any folder: `/opt/x/systemctl` may be what is forbidden.
        if not (hit(first, name) or hit(first, re.split(r"[/\\]", name)[-1])):
            return False
        for words in (words for words in wanted if words[0].prefix.startswith("-")):
            if not any(hit(words, text) or (text.startswith("-") and hit(words, text.partition("=")[0])) for text in rest):
                return could and any(_OPEN.search(text) for text in rest)
        operands = [words for words in wanted if not words[0].prefix.startswith("-")]
        place = 0
        for words in operands:
            at = next((index for index in range(place, len(rest)) if hit(words, rest[index])), None)
            if at is None:
                return could and any(_OPEN.search(text) for text in rest[place:])
            place = at + 1
        return True


@dataclass(frozen=True)
class PathPattern:
    """A pattern for absolute paths."""

    text: str

    def __post_init__(self) -> None:
        if not self.text.startswith("/") and not _DRIVE.match(self.text):
            raise InvalidPattern(f"{self.text[:80]!r} is no absolute path; begin it with / or a drive such as C:")
        if ".." in self.text.replace("\\", "/").split("/"):
            raise InvalidPattern(f"{self.text[:80]!r} holds `..`; write the path out")

    @cached_property
    def _words(self) -> tuple[Word, ...]:
        return _alternatives(_slashes(self.text))

    def allows(self, path: str) -> bool:
        """The path is certainly inside. Of a path with an open end, the folder counts in which it can only be."""
        plain = _slashes(path)
        if ".." in plain.split("/") or not (plain.startswith("/") or _DRIVE.match(plain)):
            return False
        # Anything that is unknown could hold `/..`; a `*` of the shell stays in its folder.
        return UNKNOWN not in plain and "…" not in plain and _HIDDEN.search(plain) is None and self.catches(plain)

    def catches(self, path: str) -> bool:
        """The path is this one; of one with an open end, the folder counts in which it is."""
        plain = _slashes(path)
        found = _OPEN.search(plain)
        if found is None:
            return any(word.matches(posixpath.normpath(plain)) for word in self._words)
        folder = posixpath.normpath(plain[: found.start()].rpartition("/")[0] or "/")
        inside = f"{folder.rstrip('/')}/x/x"
        return any(word.matches(plain) or (word.regex.pattern.endswith(".*") and word.matches(inside)) for word in self._words)

    def could_catch(self, path: str) -> bool:
        """The path may turn out to be this one; a relative one may always, because the folder it stands in is not known."""
        plain = _slashes(path)
        if not (plain.startswith("/") or _DRIVE.match(plain)):
            return True
        found = _OPEN.search(plain)
        if found is None:
            return self.catches(plain) or self._holds(posixpath.normpath(plain))
        known = plain[: found.start()]
        return any(word.could_match(known + UNKNOWN) for word in self._words)

    def _holds(self, folder: str) -> bool:
        """The pattern is about something inside `folder`, which is hit with it."""
        return any(word.prefix.startswith(f"{folder.rstrip('/')}/") for word in self._words)


def _slashes(path: str) -> str:
    """Paths of Windows with `/` and in lower case, since it tells neither apart."""
    if _DRIVE.match(path):
        return path.replace("\\", "/").lower()
    return re.sub(r"^//+", "/", path)


def _alternatives(text: str) -> tuple[Word, ...]:
    return tuple(_word(item) for item in _expanded(text))


def _expanded(text: str) -> Iterator[str]:
    parts = _BRACES.split(text)
    choices = [part.split(",") if index % 2 else [part] for index, part in enumerate(parts)]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > _MAX_ALTERNATIVES:
        raise InvalidPattern(f"{text[:80]!r} stands for more than {_MAX_ALTERNATIVES} texts")
    for chosen in product(*choices):
        yield "".join(chosen)


def _word(text: str) -> Word:
    # Neighbouring stars mean the same as one pair; left alone they would make matching slow.
    text = re.sub(r"\*{2,}", "**", text)
    regex = ""
    place = 0
    for match in _WILD.finditer(text):
        regex += re.escape(text[place : match.start()]) + {"**": ".*", "*": "[^/]*", "?": "[^/]"}[match[0]]
        place = match.end()
    regex += re.escape(text[place:])
    return Word(re.compile(regex, re.DOTALL), _WILD.split(text, maxsplit=1)[0], _WILD.search(text) is None)
