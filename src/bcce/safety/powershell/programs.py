"""Programs that a script calls: the arguments with which they only read."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from bcce.safety.bash.readers import why_not_reader
from bcce.safety.bash.script import Command as ShellCommand
from bcce.safety.bash.values import is_literal
from bcce.safety.bash.view import Call as ShellCall
from bcce.safety.powershell.lookups import carried_away
from bcce.safety.powershell.nodes import Variable
from bcce.safety.powershell.secrets import is_secret_place
from bcce.safety.powershell.tables import knows_what_if
from bcce.safety.powershell.view import Call, View

#: Programs of other systems whose reading forms the bash tables know.
_SHARED: Final = frozenset(
    [
        *(
            "kubectl",
            "helm",
            "docker",
            "podman",
            "az",
            "aws",
            "gcloud",
            "terraform",
            "oc",
            "crictl",
            "ss",
            "ip",
            "df",
            "du",
            "free",
            "uname",
        ),
        *(
            "uptime",
            "journalctl",
            "systemctl",
            "dig",
            "ps.exe",
            "grep",
            "head",
            "tail",
            "wc",
            "id",
            "nginx",
            "openssl",
            "curl.exe",
            "date.exe",
        ),
        *("lsof", "vmstat", "iostat", "mpstat", "jq", "redis-cli", "stat", "lsblk", "ls.exe", "traceroute", "host", "rabbitmqctl"),
    ]
)


def _natives() -> Mapping[str, list[re.Pattern[str]]]:
    found: dict[str, list[re.Pattern[str]]] = {}
    for line in files("bcce.safety.powershell").joinpath("natives.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, pattern = line.partition(" |")
            found.setdefault(name.strip().removesuffix(".exe"), []).append(re.compile(pattern.strip(), re.IGNORECASE))
    return found


_NATIVES = _natives()


def why_not_program(view: View, call: Call, name: str) -> str | None:
    """Why the program is not proven to read only; None when it is."""
    plain_name = name.removesuffix(".exe").removesuffix(".com")
    words = view.argv(call)
    if "\\" in name or "/" in name:
        return "a program outside the system's folders runs"
    if any(isinstance(node, Variable) and node.is_splatted for node in call.args):
        return "the arguments are computed"
    said = " ".join(words)
    if plain_name in _NATIVES and (plain_name == name or name.endswith((".exe", ".com"))):
        if plain_name in ("nslookup", "ping", "tracert", "pathping"):
            return carried_away(view, call.everything)
        if any(is_secret_place(word.strip('"')) for word in words):
            return "a place where secrets are kept is read"
        if any(pattern.fullmatch(said) for pattern in _NATIVES[plain_name]):
            return None if is_literal(said) or _is_open(plain_name) else "an argument is computed"
        return f"{name} {words[0] if words else ''} is not known to read only".replace("  ", " ")
    if name in _SHARED or plain_name in _SHARED:
        return why_not_reader(_as_shell(plain_name, words))
    return f"{name} changes something" if knows_what_if(name) else f"what {name[:60]} does is not known"


def _is_open(name: str) -> bool:
    """Whatever the argument turns out to be, it is only something to look for."""
    return name in (
        "findstr",
        "find",
        "tasklist",
        "where",
        "quser",
        "qwinsta",
        "tree",
        "netstat",
        "query",
        "driverquery",
        "getmac",
        "systeminfo",
        "sc",
        "arp",
        "wevtutil",
        "schtasks",
        "repadmin",
        "w32tm",
        "nltest",
    )


@cache
def _nowhere() -> ShellCommand:
    return ShellCommand(
        argv=(),
        redirects=(),
        assignments=(),
        line=1,
        column=1,
        end_line=1,
        end_column=1,
        raw="",
        function=None,
        inputs=(),
        substitutions=(),
    )


def _as_shell(name: str, words: tuple[str, ...]) -> ShellCall:
    return ShellCall(name=name, args=words, chain=(), command=_nowhere())
