"""Commands that are proven to read only, by their arguments and never by their name alone."""

import re
from collections.abc import Collection

from bcce.safety.bash.paths import is_device, is_endless
from bcce.safety.bash.readers.by_verb import by_verb
from bcce.safety.bash.readers.files import recursive, secret_in
from bcce.safety.bash.readers.network import TELLS
from bcce.safety.bash.readers.options import Given, given
from bcce.safety.bash.readers.otherwise import says_something_else
from bcce.safety.bash.readers.special import SPECIAL
from bcce.safety.bash.readers.strict import strict
from bcce.safety.bash.readers.tools import Tool, tools
from bcce.safety.bash.readers.variables import is_harmful_name
from bcce.safety.bash.readers.verbs import verbs
from bcce.safety.bash.values import ANY, NUM, ONE, OUT, STAR, is_literal, shown
from bcce.safety.bash.view import Call

_DECLARATIONS = frozenset({"export", "declare", "typeset", "local", "readonly", "unset"})
#: Builtins that evaluate an array index in a name that they are given.
_NAMING = _DECLARATIONS | {"read", "readarray", "mapfile", "printf", "test", "[", "getopts", "let", "wait"}
_VERSION = (("--version",), ("--help",), ("--Version",))
#: `-V` asks most tools for their version too; these start with it, or check and repair.
_NO_VERSION = re.compile(
    r"fsck.*|slapd|keepalived|gradle|mvn|bundle|vim?|view|nvim|emacs|nano|tmux|screen|make|bmake|\w*sh|snmpd|dnsmasq|aptitude|gpg2?|postalias|newaliases"
)
#: Tools whose operands are no files that they show.
_NO_FILES = frozenset({"kill", "pkill", "killall", "set", "shopt", "date", "smartctl"})
#: Tools that can be given something without an end: they stop by themselves, or hand it on to what does.
STREAMING = frozenset({"head", "od", "xxd", "hexdump", "tr"})
#: Tools that take an argument `@FILE` for the options in it. Source: binutils.
_FROM_FILES = frozenset({"strings", "nm", "objdump", "readelf", "size"})
#: Options behind which the first operand of a search is a file, and those with which it goes through folders.
_INSTEAD_OF_PATTERN = frozenset({"-e", "--regexp", "-f", "--file", "--files", "--type-list"})
_RECURSIVE = frozenset({"-r", "-R", "--recursive", "--dereference-recursive"})
_SEARCHERS = frozenset({"rg", "ag", "ack"})
_MOST_WORDS = 20
_MOST_TEXT = 2000
#: What a hole is taken for where its value does not matter.
_STAND_INS = str.maketrans({OUT: "x", NUM: "1", STAR: "*", ONE: "a", ANY: "x"})
#: Tools that send a name to another machine, and names that are put together from what a command printed.
_ASKERS = frozenset(
    {"ping", "ping6", "traceroute", "traceroute6", "tracepath", "mtr", "nslookup", "host", "dig", "drill", "whois", "finger"}
)
_HAS_VERSION = re.compile(r"mkfs\.\w+|mke2fs|named|nsd|lighttpd|crond|irqbalance|uwsgi|strace|ltrace|lvm")
_PLAIN = re.compile(r"[a-z][\w.+-]*")


def why_not_reader(call: Call, functions: Collection[str] = ()) -> str | None:
    """Why the call is not proven to read only; None if it is."""
    name = call.name
    if name is None:
        return "the command is computed"
    for variable, value in call.settings:
        if is_harmful_name(variable, value):
            return f"{variable} changes what the command does"
    if name in functions:
        return None  # its body is judged where it stands
    if name in _NAMING and any("[" in value and re.search(r"\$\(|`|\$\{", value) for value in call.args):
        return "a command is hidden in the index of an array"
    if name == "printf" and any(re.match(r"-v", value) for value in call.args[:1]):
        return (
            None
            if len(call.args) > 1 and re.fullmatch(r"\w+", call.args[1]) and not is_harmful_name(call.args[1])
            else "printf -v sets a name that is computed"
        )
    if name in _DECLARATIONS:
        return _declares(call)
    if call.args in _VERSION and _PLAIN.fullmatch(name) and not call.is_fed:
        return None
    if call.args == ("-V",) and _knows(name) and not _NO_VERSION.fullmatch(name) and not call.is_fed:
        return None
    reason = _known(call, name)
    return reason


def _knows(name: str) -> bool:
    """One of the tables speaks of the tool, or it is a server whose -V is known."""
    return _HAS_VERSION.fullmatch(name) is not None or name in SPECIAL or name in strict() or name in verbs() or name in tools()


def _declares(call: Call) -> str | None:
    """Names that are exported or removed must not change what other commands do."""
    if call.name in ("declare", "typeset") and call.args == ("-p",):
        return "every variable is shown, with the secrets among them"
    if call.name == "unset" and call.has("-f"):
        return "a command gets its first meaning back"
    for value in call.args:
        if value.startswith("-"):
            if (call.name == "declare" and "n" in value) or ("f" in value and call.name == "export"):
                return "a name that stands for another one"
            if "i" in value:
                return "what is assigned is evaluated, which can run a command"
            continue
        name, equals, text = value.partition("=")
        if not is_literal(name):
            return "a computed name"
        if (equals and is_harmful_name(name, text)) or (call.name == "unset" and is_harmful_name(name)):
            return f"{name} changes what other commands do"
    return None


def _known(call: Call, name: str) -> str | None:
    if says_something_else(call, name):
        return f"{name} is given a word that changes something, or options that are not known"
    reason: str | None = f"{name} is not proven to read only"
    check = SPECIAL.get(name)
    if check is not None:
        reason = check(call)
        if reason is None:
            return _devices(call)
        own = strict().get(name)
        return None if own is not None and _matches(own, call) else reason
    pattern = strict().get(name)
    if pattern is not None and not call.is_fed and _matches(pattern, call):
        return secret_in(call, call.operands) if name not in _NO_FILES else None
    entry = verbs().get(name)
    if entry is not None:
        reason = by_verb(call, name, entry)
        if reason is None:
            return None
    tool = tools().get(name)
    return _by_tool(call, name, tool) if tool is not None else reason


def _matches(pattern: re.Pattern[str], call: Call) -> bool:
    """The arguments match as a whole; more than are sensible never do, which bounds the time."""
    if any(value[:1] == ANY for value in call.args) or len(call.args) > _MOST_WORDS:
        return False
    text = "".join(f"{value.translate(_STAND_INS)} " for value in call.args)
    return len(text) <= _MOST_TEXT and pattern.fullmatch(text) is not None


def _by_tool(call: Call, name: str, tool: Tool) -> str | None:
    if tool.kind == "say":
        # The first word of printf is its format, or an option.
        could_set = name == "printf" and any(value[:1] == ANY for value in call.args[:1])
        return "printf could be given an option" if could_set else None
    said = given(call.args, tool.options, ends=tool.kind != "free")
    if said.unknown is not None and said.unknown[:1] != ANY:
        return f"{name} {shown(said.unknown)} is not known to read only"
    if said.misses(tool.options):
        return f"{name} is not told to read only"
    if name in _FROM_FILES and any(value.startswith("@") for value in call.args):
        return f"{name} takes its options from a file"
    if name == "ps" and _shows_environment(said, call):
        return "ps shows the environment of processes, where secrets are kept"
    if name in _ASKERS and any(TELLS.search(value) for value in said.operands):
        return "what a command printed is sent away in a name"
    if tool.most is not None and len(said.operands) > tool.most:
        return f"{name} writes its second operand"
    return _shows_secret(call, name, tool, said) or (f"{name} could be given an option" if said.unknown is not None else None)


def _shows_secret(call: Call, name: str, tool: Tool, said: Given) -> str | None:
    """The files that are shown, by what the tool does with its operands."""
    files = [value for option, value in said.options if option in tool.options.files]
    if tool.kind == "match":
        operands = said.operands[0 if said.has(_INSTEAD_OF_PATTERN) else 1 :]
        if name in _SEARCHERS or said.has(_RECURSIVE) or any(value.startswith("rec") for value in said.values(("-d", "--directories"))):
            reason = recursive(call, operands)
            if reason is not None:
                return reason
        return secret_in(call, [*operands, *files]) or _devices(call)
    if tool.kind == "read":
        if name in ("less", "more", "most"):
            is_told = said.operands and (call.command.inputs or call.command.redirects)
            if is_told or any(value.startswith("+") for value in call.args):
                return f"{name} could be told to run something"
        # A word that is taken for the value of an option may be a file for another version of the tool.
        return secret_in(call, [*said.operands, *(value for _, value in said.options)]) or _devices(call)
    return secret_in(call, files)


def _shows_environment(said: Given, call: Call) -> bool:
    """One of the words is read as options of BSD, among them `e`. With an option that only BSD knows, all are."""
    words = [value for value in said.operands if re.fullmatch(r"[A-Za-z]+", value)]
    values = {value for _, value in said.options}
    dashed = [value for value in call.args if re.fullmatch(r"-[A-Za-z]+", value) and value not in values]
    if any(re.search(r"[xrvhSXI]", value) for value in dashed):
        words += dashed
    return any("e" in value for value in words)


def _devices(call: Call) -> str | None:
    """The content of disks and of memory is not shown."""
    if any(is_device(value) for value in call.operands) and call.name not in ("find",):
        return "it reads a disk or memory directly"
    if any(is_endless(value) for value in call.operands):
        return None if call.name in STREAMING else "it reads without end"
    return None
