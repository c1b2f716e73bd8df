"""The options with which a tool only reads: what is not written down for a tool is not known, and asks.

How the tables write them: `-abc` are three short flags, `#` among them any digit; `--all` is a long flag. `-nc=` are two short options
with a value, `--lines=` is a long one; `==` takes two values, `=?` one that is glued to it or missing, `=<` the name of a file whose
content is shown. A `!` in front says that one of those so marked has to be given. `+word` is an option that begins with a plus. `--` alone
says that options of several letters have one dash or two, and that short ones are never joined. `--help` and `--version` are known
everywhere. A shortened long option is not known: it could be short for another one.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from bcce.safety.bash.values import ANY

_TOKEN = re.compile(r"(!?)(\+|--?)([^=\s]+)(?:(=|==|)|=(\?)|(==?)(<))")
_SHARED = ("--help", "--version")
#: What could be the next option where a value is expected.
_NO_VALUE = re.compile(f"-[A-Za-z-]|{ANY}")
#: Options whose value may begin with a dash: a pattern, a column to sort by.
_DASHED = frozenset({"-e", "--regexp", "--sort", "-O", "--perm"})


@dataclass(frozen=True, slots=True)
class Options:
    """The options by name, with the number of values behind each; None is a value that is glued to it or missing."""

    takes: dict[str, int | None]
    #: Those whose value is the name of a file that is shown.
    files: frozenset[str]
    #: One of these has to be given, if there are any.
    musts: frozenset[str]
    is_single: bool
    has_plus: bool


@dataclass(slots=True)
class Given:
    """What the arguments of a call say; `unknown` is the first word that is no known option and could be one."""

    operands: list[str] = field(default_factory=list)
    #: The options in order, once for each of their values; "" where one has none.
    options: list[tuple[str, str]] = field(default_factory=list)
    unknown: str | None = None
    #: What was not looked at, because enough operands were found.
    rest: list[str] = field(default_factory=list)

    def has(self, names: Collection[str]) -> bool:
        """One of these options is given."""
        return any(name in names for name, _ in self.options)

    def values(self, names: Collection[str]) -> list[str]:
        """The values of these options."""
        return [value for name, value in self.options if name in names]

    def misses(self, known: Options) -> bool:
        """None of the options of which one has to be given is."""
        return bool(known.musts) and not self.has(known.musts)


def options(text: str) -> Options:
    """Reads a column of a table."""
    takes: dict[str, int | None] = dict.fromkeys(_SHARED, 0)
    files: set[str] = set()
    musts: set[str] = set()
    words = text.split()
    for word in words:
        if word == "--":
            continue
        found = _TOKEN.fullmatch(word)
        if found is None:
            raise ValueError(word)
        must, dash, name, values, perhaps, shown, _ = found.groups()
        names = [f"-{letter}" for letter in name.replace("#", "0123456789")] if dash == "-" else [f"{dash}{name}"]
        takes.update(dict.fromkeys(names, None if perhaps else len(values or shown or "")))
        files.update(names if shown else ())
        musts.update(names if must else ())
    return Options(takes, frozenset(files), frozenset(musts), "--" in words, any(word.startswith("+") for word in words))


def given(args: Sequence[str], known: Options, *, ends: bool = True, most: int | None = None) -> Given:
    """Tells the options of the arguments from their values and from the operands, wherever they stand.

    Behind `--` no word is an option, unless `ends` says that this tool may not know that. It stops behind an option that is not known,
    and when `most` operands are found.
    """
    found = Given(rest=list(args))
    rest = found.rest
    while rest and len(found.operands) != most:
        value = rest.pop(0)
        if value == "--":
            if ends:
                found.operands += rest
                rest.clear()
        elif (value.startswith("-") and value != "-") or (known.has_plus and value.startswith("+")):
            name, wanted = _option(value, known, found)
            for _ in range(wanted):
                if not rest or (_NO_VALUE.match(rest[0]) and name not in _DASHED):
                    found.unknown = value
                    break
                found.options.append((name, rest.pop(0)))
            if found.unknown is not None and found.unknown[:1] != ANY:
                break
        else:
            found.unknown = found.unknown or (value if value[:1] == ANY else None)
            found.operands.append(value)
    return found


def _option(value: str, known: Options, found: Given) -> tuple[str, int]:
    """Notes the options of one word; gives the last of them, and how many of the next words are its values."""
    name, equals, text = value.partition("=")
    is_short = value[0] == "-" != value[1]
    if known.is_single and is_short and name not in known.takes:
        name = f"-{name}"
    takes = known.takes.get(name, -1)
    if takes != -1:
        if equals and takes == 0 and (name in known.musts or text not in ("true", "false")):
            found.unknown = value
        if equals or not takes:
            found.options.append((name, text))
        return name, (takes or 0) - bool(equals and takes)
    if is_short:
        return _letters(value, known, found)
    # What dig and its like show is hidden by the same word with `no` in front.
    if not name.startswith("+no") or f"+{name[3:]}" not in known.takes:
        found.unknown = value
    return "", 0


def _letters(value: str, known: Options, found: Given) -> tuple[str, int]:
    """The same for short options in one word, the last one perhaps with its value."""
    for index, letter in enumerate(value[1:], start=1):
        name, rest = f"-{letter}", value[index + 1 :]
        takes = known.takes.get(name, -1)
        if takes == -1 or (known.is_single and not (takes and rest.isdecimal())):
            break
        if takes == 0:
            found.options.append((name, ""))
        elif takes is None or rest:
            found.options.append((name, rest))
            return name, (takes or 1) - 1
        else:
            return name, takes
    else:
        return "", 0
    found.unknown = value
    return "", 0
