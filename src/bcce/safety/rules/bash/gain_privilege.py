"""Rights that are raised for good."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.bash.effects import writes
from bcce.safety.bash.paths import is_tree
from bcce.safety.bash.view import Call, View
from bcce.safety.rules.bash import Place

RULE = Rule(
    id="bash.gain-privilege",
    title="Somebody or something gets more rights",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="the rights outlive the incident",
    instead="have the access granted where accounts are managed",
    tags=("T1548.001", "T1548.003", "T1136"),
    examples_match=(
        "chmod u+s /bin/bash",
        "chmod 4755 /tmp/x",
        "setcap cap_setuid+ep /usr/bin/python3",
        "usermod -aG sudo eve",
        "echo 'eve ALL=(ALL) NOPASSWD:ALL' >> /etc/sudoers",
        "echo root:x | chpasswd",
        "chmod -R 777 /",
    ),
    examples_pass=("chmod 644 /etc/app.conf", "usermod -c 'On call' app", "getcap /usr/bin/ping"),
)
_ACCOUNTS = re.compile(
    r"/etc/(sudoers(\.d/.*)?|passwd-?|g?shadow-?|group-?|doas\.conf|polkit-1/.*|pam\.d/.*|security/.*|ssh/sshd_config|ld\.so\.preload|"
    r"subuid|subgid)$|/(usr/)?(share|lib)/polkit-1/"
)
_SET_ID = re.compile(r"[ugoa]*[+=][rwxX]*s[rwxXst]*|0?[2467][0-7]{3}|[ugo,]*[+=]\S*s\S*")
_OPEN = re.compile(r"0?777|0?666|a\+rwx?|a=rwx|\+rwx|ugo\+rwx|o\+w|a\+w|o\+rwx")
_GROUPS = re.compile(r"(.*,)?(sudo|wheel|admin|root|docker|lxd|disk|shadow)(,.*)?")


def find(view: View) -> Iterable[Place]:
    """Set-user-id bits, capabilities, administrators' groups, account files, ways out of a container."""
    for call in view.calls:
        if call.name is not None and (_grants(call, call.name) or _escapes(call, call.name)):
            yield Place(call.command)
    for redirect in view.redirects():
        if writes(view, redirect) and any(_ACCOUNTS.search(target) for target in view.targets(redirect)):
            yield Place(redirect)


def _grants(call: Call, name: str) -> bool:
    values, operands = call.values, call.operands
    if name == "chmod":
        modes = [value for value in values if not value.startswith("--")]
        if any(_SET_ID.fullmatch(value) for value in modes):
            return True
        is_open = any(_OPEN.fullmatch(value) for value in values)
        if is_open and any(
            re.match(
                r"/etc/(passwd|shadow|sudoers|ssh|cron|sudoers\.d)|/(root|bin|sbin|usr/bin|boot)\b|/var/run/docker\.sock|/dev/(mem|sd)",
                value,
            )
            for value in operands
        ):
            return True
        return (
            call.has("-R", "--recursive")
            and any(is_tree(value, large=True) for value in operands[1:])
            and (is_open or any(value in ("000", "0", "a-rwx", "0000", "-x", "a-x") for value in values))
        )
    if name in ("chown", "chgrp"):
        return call.has("-R", "--recursive") and any(
            is_tree(value, large=True) and not re.match(r"/(home|var/(www|lib|log|cache))", value) for value in operands[1:]
        )
    if name in ("setcap", "chpasswd", "vipw", "vigr"):
        return name != "setcap" or not call.has("-r", "-v")
    if name == "visudo":
        return not call.has("-c", "--check")
    if name in ("usermod", "gpasswd", "adduser", "useradd", "addgroup", "groupmems"):
        return (
            (any(_GROUPS.fullmatch(value) for value in values if not value.startswith("-")))
            or call.has("-o", "--non-unique")
            or any(value in ("-u0", "--uid=0") for value in values)
            or ("-u" in values and "0" in values)
        )
    if name == "passwd":
        return call.has("-d", "--delete", "-u", "--unlock") or (bool(call.command.inputs) or call.has("--stdin")) or values[:1] == ("root",)
    if name in ("tee", "cp", "mv", "install", "ln", "dd"):
        targets = (
            [value[3:] for value in values if value.startswith("of=")] if name == "dd" else operands if name == "tee" else operands[-1:]
        )
        return any(_ACCOUNTS.search(value) for value in targets)
    if name in ("sed", "perl", "ed", "ex", "vim"):
        return (
            (call.has("-i", "--in-place") or name in ("ed", "ex"))
            and any(re.match(r"/etc/(sudoers|passwd|g?shadow|group|pam\.d|polkit)", value) for value in operands)
        ) or any(re.search(r"NOPASSWD|PermitRootLogin\s+yes", value) for value in values)
    if name in (
        "mimipenguin",
        "linpeas",
        "linpeas.sh",
        "john",
        "hashcat",
        "hydra",
        "unshadow",
        "msfconsole",
        "msfvenom",
        "crackmapexec",
        "responder",
        "LinEnum.sh",
        "pspy",
        "pspy64",
        "chisel",
        "ligolo",
    ):
        return True
    return name in ("gcore", "procdump") and bool(operands)


def _escapes(call: Call, name: str) -> bool:
    values = call.values
    text = " ".join(values)
    if name in ("docker", "podman", "nerdctl", "ctr"):
        mounts_root = any(re.search(r"(^|=)/:|source=/,|src=/,|/var/run/docker\.sock:|(^|=)/(etc|root):", value) for value in values)
        return "run" in values and (mounts_root or ("--pid=host" in values and "--privileged" in values))
    if name == "nsenter":
        return bool(re.search(r"(-t|--target[= ])\s*1\b", text))
    if name == "lxc":
        return "security.privileged=true" in text or ("disk" in values and "source=/" in text)
    if name == "unshare":
        return call.has("-r", "--map-root-user") and any(value in ("bash", "sh", "/bin/sh", "/bin/bash") for value in values)
    if name == "kubectl":
        return "create" in values and "clusterrolebinding" in values and any("cluster-admin" in value for value in values)
    if name in ("aws", "gcloud", "az"):
        return bool(re.search(r"AdministratorAccess|roles/owner|--role Owner\b|create-access-key|create-login-profile", text))
    if name in ("insmod", "kexec"):
        return name == "insmod" or call.has("-e", "-l", "--load", "--exec")
    return name == "capsh" and bool(re.search(r"--gid=0|--uid=0", text))
