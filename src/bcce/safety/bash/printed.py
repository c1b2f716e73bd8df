"""What commands print, where that follows from the script alone: constants, and constants that are only encoded."""

import base64
import binascii
import gzip
import itertools
import re
import zlib
from collections.abc import Callable, Sequence

from bcce.safety.bash.environment import Environment
from bcce.safety.bash.paths import covers_secret
from bcce.safety.bash.script import Command, Script
from bcce.safety.bash.unwrap import base_name
from bcce.safety.bash.values import ANY, NUM, OUT, is_literal
from bcce.safety.bash.words import ansi_c

_MAX_TEXT = 64 * 1024
_MAX_DEPTH = 8
_NUMERIC = frozenset({"wc", "nproc", "pidof", "pgrep", "lsof", "expr", "seq", "bc"})
_LISTERS = frozenset(
    {
        "find",
        "ls",
        "locate",
        "plocate",
        "fd",
        "fdfind",
        "realpath",
        "readlink",
        "dirname",
        "stat",
        "rg",
        "grep",
        "awk",
        "sed",
        "cat",
        "head",
        "tail",
        "cut",
        "sort",
    }
)
#: They print what they are given.
_PASSING = frozenset({"echo", "printf", "basename"})
_DIRECTIVE = re.compile(r"%[-0-9.]*[sbqd]|%%|%[^sbqd%]")


class Printer:
    """Knows the output of a script's substitutions and pipes."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.environment: Environment
        self._known: dict[int, tuple[str, ...]] = {}
        self._depth = 0

    def output(self, number: int) -> Sequence[str]:
        """The values that a substitution may have; a hole if they cannot be told."""
        found = self._known.get(number)
        if found is None:
            self._known[number] = (ANY,)  # what is made of itself is not followed
            commands = self._script.substitutions[number]
            found = self._known[number] = self._of(commands)
        return found

    def _of(self, commands: Sequence[Command]) -> tuple[str, ...]:
        if not commands:
            return ("",)
        fed = {id(source) for command in commands for source in (*command.inputs, *command.substitutions)}
        last = [command for command in commands if id(command) not in fed]
        if len(last) == 1 and len(commands) - 1 == len(fed & {id(command) for command in commands}):
            texts = [text.rstrip("\n") for text in self.texts(last)]
            if texts:
                return tuple(texts)
            name = self._name(last[0])
            if name in _NUMERIC and name != "lsof":
                return (NUM,)
        return (self.kind(commands),)

    def kind(self, commands: Sequence[Command]) -> str:
        """ANY if what they print may name a secret place or be outside text, else OUT."""
        seen: set[int] = set()
        queue = list(commands)
        while queue:
            command = queue.pop()
            if id(command) in seen:
                continue
            seen.add(id(command))
            queue.extend(command.inputs)
            given = [redirect.target for redirect in command.redirects if redirect.operator == "<<<" and redirect.target is not None]
            if given and self.environment.lost(text for word in given for way in self.environment.expand(word) for text in way) == ANY:
                return ANY
            if any(self._shows(fields) for fields in self._fields(command) if fields):
                return ANY
        return OUT

    def _shows(self, fields: Sequence[str]) -> bool:
        """A command with these words may print the name of a secret place, or outside text."""
        name = base_name(fields[0])
        if name in _PASSING:
            return self.environment.lost(fields) == ANY
        if name is not None and name not in _LISTERS:
            return False
        paths = [value for value in fields[1:] if value[:1] in "/~" or ANY in value]
        narrowed = any(value in ("-name", "-iname", "-path", "-regex") for value in fields)
        return any(covers_secret(path) and not (narrowed and not self._names_secret(fields)) for path in paths)

    @staticmethod
    def _names_secret(fields: Sequence[str]) -> bool:
        """A name that is looked for may be a secret's."""
        for option, value in itertools.pairwise(fields):
            if option in ("-name", "-iname", "-path", "-regex") and not re.search(
                r"\.(log|conf|service|sh|py|gz|txt|out|pid|sock|html?|json|ya?ml|tmp|bak|core|crt)$", value
            ):
                return True
        return False

    def _name(self, command: Command) -> str | None:
        ways = self._fields(command)
        return base_name(ways[0][0]) if len(ways) == 1 and ways[0] else None

    def _fields(self, command: Command) -> list[tuple[str, ...]]:
        if self._depth > _MAX_DEPTH:
            return [(ANY, ANY)]
        self._depth += 1
        try:
            return self.environment.line(command.argv)
        finally:
            self._depth -= 1

    def texts(self, commands: Sequence[Command]) -> list[str]:
        """The texts that the commands print, one for each way; none if they cannot be told."""
        found: list[str] = []
        for command in commands:
            if self._depth > _MAX_DEPTH:
                return []
            self._depth += 1
            try:
                ways = self.environment.line(command.argv)
                texts = [self._text(command, fields) for fields in ways if fields]
            finally:
                self._depth -= 1
            if not texts or any(text is None for text in texts):
                return []
            found.extend(text for text in texts if text is not None and len(text) <= _MAX_TEXT)
        return found

    def _text(self, command: Command, fields: tuple[str, ...]) -> str | None:
        name, args = base_name(fields[0]), list(fields[1:])
        while name in ("command", "builtin", "exec", "nohup", "busybox") and args:
            name, args = base_name(args[0]), args[1:]
        if name == "echo":
            return echo(args)
        if name == "printf":
            return printf(args)
        transform = _transform(name or "", args)
        if transform is None:
            return None
        given = self._input(command)
        if given is None or not is_literal(given):
            return given if transform is _same else None
        try:
            return transform(given.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
        except (ValueError, OSError, EOFError, zlib.error, binascii.Error):
            return None

    def _input(self, command: Command) -> str | None:
        for redirect in reversed(command.redirects):
            if redirect.operator == "<<":
                return redirect.body
            if redirect.operator == "<<<" and redirect.target is not None:
                ways = self.environment.expand(redirect.target)
                return " ".join(ways[0]) + "\n" if len(ways) == 1 else None
            if redirect.operator == "<":
                return None
        texts = self.texts(command.inputs)
        return texts[0] if len(texts) == 1 else None


def echo(args: Sequence[str]) -> str:
    """What echo prints."""
    words, is_escaped, end = list(args), False, "\n"
    while words and re.fullmatch(r"-[neE]+", words[0]):
        is_escaped = is_escaped or "e" in words[0]
        end = "" if "n" in words[0] else end
        words.pop(0)
    text = " ".join(words)
    return (ansi_c(text.replace("\\0", "\\")) if is_escaped else text) + end


def printf(args: Sequence[str]) -> str | None:
    """What printf prints, for plain directives."""
    if not args or args[0].startswith("-") or not is_literal(args[0]):
        return None
    words, printed = list(args[1:]), []
    template = ansi_c(args[0])

    def one(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        value = words.pop(0) if words else ""
        return ansi_c(value) if match[0][-1] == "b" else value

    for _ in range(64):
        printed.append(_DIRECTIVE.sub(one, template))
        if not words or "%" not in template:
            break
    return "".join(printed)


def _same(data: bytes) -> bytes:
    return data


def _transform(name: str, args: Sequence[str]) -> Callable[[bytes], bytes] | None:
    """The decoder that a command is; None if it is none, or reads files."""
    options = [value for value in args if value.startswith("-")]
    is_plain = not [value for value in args if not value.startswith("-") or value == "-"] or list(args) == ["-"]
    if name == "cat" and is_plain:
        return _same
    if name in ("base64", "gbase64") and is_plain and any(option in ("-d", "-D", "--decode", "-di", "-id") for option in options):
        return lambda data: base64.b64decode(re.sub(rb"[^A-Za-z0-9+/=]", b"", data) + b"==")
    if name == "base32" and is_plain and {"-d", "--decode"}.intersection(options):
        return lambda data: base64.b32decode(re.sub(rb"\s", b"", data))
    if (
        name == "openssl"
        and ("base64" in args or "-base64" in args or "-a" in args)
        and "-d" in args
        and "-k" not in args
        and "-pass" not in args
    ):
        return lambda data: base64.b64decode(re.sub(rb"\s", b"", data) + b"==")
    if name == "xxd" and {"-r", "-rp", "-pr", "-ps"}.intersection(options) and is_plain:
        return lambda data: bytes.fromhex(re.sub(rb"[^0-9A-Fa-f]", b"", data).decode())
    if name in ("gunzip", "zcat") or (name == "gzip" and any("d" in option for option in options)):
        return lambda data: gzip.decompress(data)[:_MAX_TEXT]
    if name == "rev" and is_plain:
        return lambda data: b"\n".join(line[::-1] for line in data.split(b"\n"))
    if name == "tac" and is_plain:
        return lambda data: b"\n".join(reversed(data.rstrip(b"\n").split(b"\n"))) + b"\n"
    if name == "tr":
        return _tr(args)
    return None


def _tr(args: Sequence[str]) -> Callable[[bytes], bytes] | None:
    if len(args) == 2 and args[0] == "-d":
        gone = _set(args[1])
        return lambda data: "".join(char for char in data.decode() if char not in gone).encode()
    if len(args) != 2 or args[0].startswith("-"):
        return None
    old, new = _set(args[0]), _set(args[1])
    if not old or not new:
        return None
    table = {ord(char): new[min(index, len(new) - 1)] for index, char in enumerate(old)}
    return lambda data: data.decode().translate(table).encode()


def _set(text: str) -> str:
    text = ansi_c(text).replace("[:upper:]", "A-Z").replace("[:lower:]", "a-z").replace("[:digit:]", "0-9").replace("[:space:]", " \t\n")
    return re.sub(r"(.)-(.)", lambda match: "".join(map(chr, range(ord(match[1]), ord(match[2]) + 1)))[:300], text, flags=re.DOTALL)
