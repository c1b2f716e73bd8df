"""What rules see of a script: its calls with wrappers taken off and values filled in, and the scripts inside it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bcce.safety.bash.environment import Environment
from bcce.safety.bash.script import Command, Redirect, Script
from bcce.safety.bash.values import is_literal
from bcce.safety.bash.wrappers import PRIVILEGE, SHELLS

INTERPRETERS = SHELLS | {
    "python",
    "perl",
    "ruby",
    "node",
    "nodejs",
    "php",
    "lua",
    "tclsh",
    "expect",
    "source",
    ".",
    "Rscript",
    "deno",
    "bun",
}
DOWNLOADERS = frozenset(
    {
        "curl",
        "wget",
        "wget2",
        "fetch",
        "aria2c",
        "lwp-request",
        "lwp-download",
        "GET",
        "lynx",
        "links",
        "elinks",
        "w3m",
        "http",
        "https",
        "xh",
        "axel",
    }
)
NETWORK = DOWNLOADERS | {
    "nc",
    "ncat",
    "netcat",
    "socat",
    "telnet",
    "ssh",
    "scp",
    "sftp",
    "rsync",
    "ftp",
    "lftp",
    "ncftpput",
    "tftp",
    "rclone",
    "mail",
    "mailx",
    "sendmail",
    "mutt",
    "nslookup",
    "dig",
    "openssl",
}


#: How far back data is followed; what comes from further away has been through enough hands to be asked about anyway.
_MOST_SOURCES = 100


@dataclass(slots=True, eq=False)
class Call:
    """One command as a rule judges it, in one of the ways in which it can turn out.

    `name` is None when it is computed. `args` are values, perhaps with holes. `chain` are the wrappers that were taken off. `is_fed` says
    that more arguments come from its input (xargs, find -exec). `is_clear` says that no wrapper around it needs a decision of its own.
    """

    name: str | None
    args: tuple[str, ...]
    chain: tuple[str, ...]
    command: Command
    is_fed: bool = False
    is_clear: bool = True
    #: The wrapper could not be read, so what it runs is not known.
    is_opaque: bool = False
    #: The call has another one inside, which says what it does.
    is_wrapper: bool = False
    #: Environment variables that are set for this call alone.
    settings: tuple[tuple[str, str], ...] = ()
    #: The folders that the script goes to with cd.
    folders: tuple[str, ...] = ()

    @property
    def values(self) -> tuple[str, ...]:
        """The literal arguments."""
        return tuple(value for value in self.args if is_literal(value))

    @property
    def is_privileged(self) -> bool:
        """It runs with another account's rights."""
        return bool(PRIVILEGE.intersection(self.chain)) or self.name in PRIVILEGE

    def has(self, *options: str) -> bool:
        """One of the options is among the arguments; a short one also inside a cluster such as `-rf`, a long one also shortened."""
        for value in self.args:
            if not value.startswith("-"):
                continue
            for option in options:
                if option.startswith("--"):
                    word = value.partition("=")[0]
                    if word == option or (len(word) > 2 and option.startswith(word)):
                        return True
                elif len(option) == 2:
                    if re.match(rf"-[A-Za-z0-9]*{re.escape(option[1])}", value):
                        return True
                elif value == option or value.startswith(f"{option}="):
                    return True
        return False

    @property
    def operands(self) -> tuple[str, ...]:
        """Arguments that are no options, holes included; after `--` everything."""
        found: list[str] = []
        is_over = False
        for value in self.args:
            if value == "--" and not is_over:
                is_over = True
            elif is_over or not value.startswith("-") or value == "-":
                found.append(value)
        return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """Text that a call runs as a script of its own, with `arguments`. `shell` names its language."""

    call: Call
    text: str
    shell: str = "bash"
    arguments: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class View:
    """A script for rules. `parameters` are variables that hold outside data."""

    script: Script
    environment: Environment
    parameters: frozenset[str]
    calls: list[Call] = field(default_factory=list)
    embedded: list[Embedded] = field(default_factory=list)
    by_command: dict[int, list[Call]] = field(default_factory=dict)
    _targets: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def redirects(self) -> Iterator[Redirect]:
        """Every redirect of every command and group."""
        yield from self.script.bare_redirects
        for command in self.script.commands:
            yield from command.redirects

    def targets(self, redirect: Redirect) -> tuple[str, ...]:
        """What the redirect's target may be."""
        if redirect.target is None:
            return ()
        found = self._targets.get(id(redirect))
        if found is None:
            found = self._targets[id(redirect)] = tuple(" ".join(way) for way in self.environment.expand(redirect.target))
        return found

    def sources(self, call: Call) -> Iterator[Call]:
        """The calls whose output reaches `call`, directly or through others, by pipes, substitutions and functions."""
        seen: set[int] = set()
        queue = [*call.command.inputs, *call.command.substitutions, *self.environment.origins(call.command)]
        while queue:
            command = queue.pop()
            if id(command) in seen or len(seen) > _MOST_SOURCES:
                continue
            seen.add(id(command))
            for found in self.by_command.get(id(command), []):
                yield found
                if found.name in self.script.functions:
                    queue.extend(self.script.functions[str(found.name)])
            queue.extend((*command.inputs, *command.substitutions, *self.environment.origins(command)))
