"""What a call does to the world, as far as its arguments tell."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Effects
from bcce.safety.bash.readers import why_not_reader
from bcce.safety.bash.script import Redirect
from bcce.safety.bash.values import is_literal, shown
from bcce.safety.bash.view import NETWORK, Call, View
from bcce.safety.bash.wrappers import SHELLS

_WRITE_OPERATORS = (">", ">>", ">|", "&>", "&>>", "<>", ">&")
_HARMLESS_TARGETS = ("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/fd/1", "/dev/fd/2", "-")
_PACKAGE_TOOLS = frozenset(
    {
        "apt",
        "apt-get",
        "aptitude",
        "yum",
        "dnf",
        "zypper",
        "apk",
        "pacman",
        "pip",
        "npm",
        "yarn",
        "gem",
        "snap",
        "flatpak",
        "brew",
        "dpkg",
        "rpm",
        "cargo",
        "go",
        "conda",
    }
)
_USER_TOOLS = frozenset(
    {
        "useradd",
        "userdel",
        "usermod",
        "adduser",
        "deluser",
        "groupadd",
        "groupdel",
        "groupmod",
        "gpasswd",
        "passwd",
        "chpasswd",
        "chage",
        "chown",
        "chgrp",
        "chmod",
        "setfacl",
        "visudo",
        "setcap",
    }
)
_CLOUD_TOOLS = frozenset(
    {
        "aws",
        "gcloud",
        "az",
        "kubectl",
        "oc",
        "helm",
        "terraform",
        "tofu",
        "doctl",
        "gsutil",
        "eksctl",
        "docker",
        "podman",
        "nerdctl",
        "docker-compose",
        "virsh",
        "crictl",
    }
)
_WRITERS = frozenset(
    {"touch", "mkdir", "tee", "truncate", "ln", "install", "split", "csplit", "patch", "mkfifo", "mknod", "fallocate", "logrotate"}
)
_LAST_IS_WRITTEN = frozenset({"cp", "mv", "sed", "dd", "tar", "gzip", "gunzip", "unzip", "perl", "shuf", "sort", "uniq", "xxd"})
_HOST = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://)?(?:[^@/\s]*@)?(\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]+)?(?:[:/].*)?",
    re.DOTALL,
)


def is_write(operator: str, targets: Iterable[str]) -> bool:
    """The redirect changes a file."""
    return operator in _WRITE_OPERATORS and any(
        target not in _HARMLESS_TARGETS and not re.fullmatch(r"&?\d+-?|&-", target) for target in targets
    )


def writes(seen: View, redirect: Redirect) -> bool:
    """The redirect changes a file, in one of the ways in which it can turn out."""
    return redirect.target is not None and is_write(redirect.operator, seen.targets(redirect))


def effects_of(seen: View) -> Effects:
    """The effects of the whole script; an effect that cannot be known says so."""
    total = Effects(reversible=True)
    for redirect in seen.redirects():
        if writes(seen, redirect):
            total = total.merge(Effects(writes=_names(seen.targets(redirect)), reversible=None))
        elif redirect.operator == "<" and redirect.target is not None:
            total = total.merge(Effects(reads=_names(seen.targets(redirect)), reversible=True))
    for call in seen.calls:
        total = total.merge(effects_of_call(call, seen.script.functions))
    return total


def effects_of_call(call: Call, functions: Iterable[str] = ()) -> Effects:
    """The effects of one call."""
    base = Effects(reversible=True, privileged=call.is_privileged)
    if call.name is None:
        return (
            base
            if not call.args and not call.command.argv
            else base.merge(Effects(unknown=frozenset({"a computed command"}), reversible=None))
        )
    if call.is_wrapper or call.name in functions:
        return base
    if why_not_reader(call) is None:
        found = frozenset(shown(value) for value in call.operands if value.startswith(("/", "~")))
        network = _hosts(call) if call.name in NETWORK else frozenset[str]()
        return base.merge(Effects(reads=found, network=network, reversible=True))
    return base.merge(_kind(call, call.name))


def _kind(call: Call, name: str) -> Effects:
    operands = call.operands
    if name in ("systemctl", "service", "rc-service", "supervisorctl", "initctl"):
        units = operands[:1] if name in ("service", "rc-service") else operands[1:]
        return Effects(services=_names(units) or frozenset({"*"}), reversible=True)
    if name in ("kill", "pkill", "killall", "renice", "xkill"):
        return Effects(processes=_names(operands) or frozenset({"*"}), reversible=False)
    if name in ("rm", "rmdir", "unlink", "shred", "srm"):
        return Effects(deletes=_names(operands) or frozenset({"*"}), reversible=False)
    if name == "find":
        is_deleting = call.has("-delete")
        return Effects(
            deletes=_names(f"{root.rstrip('/')}/*" for root in operands[:1]) if is_deleting else frozenset[str](),
            reversible=False if is_deleting else None,
        )
    if name in _WRITERS:
        return Effects(writes=_names(operands) or frozenset({"*"}), reversible=None)
    if name in _LAST_IS_WRITTEN:
        given = [value[3:] for value in call.args if value.startswith("of=")] if name == "dd" else operands[-1:]
        gone = _names(operands[:-1]) if name == "mv" else frozenset[str]()
        return Effects(writes=_names(given) or frozenset({"*"}), deletes=gone, reversible=None)
    if name in _PACKAGE_TOOLS:
        return Effects(packages=_names(operands[1:]) or frozenset({"*"}), reversible=None)
    if name in _USER_TOOLS:
        return Effects(users=_names(operands) or frozenset({"*"}), reversible=None)
    if name in _CLOUD_TOOLS:
        return Effects(cloud=frozenset({shown(" ".join((name, *operands[:4])))}), reversible=None)
    if name in NETWORK:
        return Effects(network=_hosts(call) or frozenset({"*"}), reversible=None)
    if name in SHELLS or name in ("eval", "source", "."):
        return Effects(unknown=frozenset({f"what {name} runs"}), reversible=None)
    return Effects(unknown=frozenset({f"what {name} does"}), reversible=None)


def _hosts(call: Call) -> frozenset[str]:
    found: set[str] = set()
    for value in call.operands:
        if not is_literal(value) and not re.match(r"[a-z]+://[\w.-]+[:/]", value):
            found.add(shown(value))
            continue
        match = _HOST.fullmatch(value)
        if match and ("." in match[1] or ":" in match[1] or match[1] == "localhost" or "://" in value):
            found.add(match[1])
    return frozenset(found)


def _names(values: Iterable[str]) -> frozenset[str]:
    return frozenset(shown(value)[:200] for value in values if value)
