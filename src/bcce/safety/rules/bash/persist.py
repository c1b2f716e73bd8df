"""Ways to come back: keys, schedules and start-up files."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.bash.effects import writes
from bcce.safety.bash.view import View
from bcce.safety.rules.bash import Place

RULE = Rule(
    id="bash.persist",
    title="Something is set up to run or let in later",
    severity=Severity.HIGH,
    verdict=Verdict.BLOCK,
    why="a repair ends when it is verified; what stays behind is for configuration management",
    instead="change the schedule or the keys where they are managed",
    tags=("T1053.003", "T1098.004", "T1546.004"),
    examples_match=(
        "echo 'ssh-ed25519 AAAA' >> ~/.ssh/authorized_keys",
        "echo '* * * * * root x' > /etc/cron.d/x",
        "crontab new.txt",
        "echo 'x' | crontab -",
        "echo x >> ~/.bashrc",
        "cp x.service /etc/systemd/system/x.service",
    ),
    examples_pass=("crontab -l", "cat /etc/crontab", "echo x >> /var/log/app/app.log"),
)
_PLACES = re.compile(
    r"authorized_keys2?$|^/etc/cron|^/etc/anacrontab|^/var/spool/(cron|at)|^/etc/(profile|bash\.bashrc|bashrc|rc\.local|ld\.so\.preload|"
    r"ld\.so\.conf|init\.d|rc\d?\.d|environment|inittab|xdg/autostart|zsh|zprofile|motd|modules-load\.d|udev/rules\.d|skel|X11/Xsession|"
    r"apt/apt\.conf\.d|NetworkManager/dispatcher\.d|systemd/user)"
    r"|(^|/)\.(bashrc|bash_profile|bash_login|bash_logout|bash_aliases|profile|zshrc|zshenv|zprofile|kshrc|cshrc|xinitrc|xprofile|vimrc|"
    r"ssh/rc|ssh/environment|config/autostart/.*|config/systemd/user/.*|git/hooks/.*|gitconfig|inputrc|pam_environment)$"
    r"|^/(etc|lib|usr/lib|run|usr/local/lib)/systemd/(system|user|system-generators|system-sleep|system-shutdown)/|^/etc/update-motd\.d|"
    r"^/lib/security/|/pam_[\w]+\.so$|^/usr/lib/python[\d.]+/(site-packages/)?(sitecustomize|.*\.pth)|^/etc/rc\.d/|"
    r"^/Library/LaunchDaemons|LaunchAgents/"
)


def find(view: View) -> Iterable[Place]:
    """Writes to such places, and the tools that set such things up."""
    for redirect in view.redirects():
        if writes(view, redirect) and any(_PLACES.search(target) for target in view.targets(redirect)):
            yield Place(redirect)
    for call in view.calls:
        values, operands = call.values, call.operands
        if call.name == "crontab":
            if not call.has("-l", "-r", "-V", "-T"):
                yield Place(call.command)
        elif call.name in ("cp", "mv", "tee", "install", "ln", "sed", "rsync", "dd", "perl", "scp"):
            targets = (
                [value[3:] for value in values if value.startswith("of=")]
                if call.name == "dd"
                else operands
                if call.name == "tee"
                else operands[-1:]
            )
            if any(_PLACES.search(value) for value in targets) and (call.name not in ("sed", "perl") or call.has("-i", "--in-place")):
                yield Place(call.command)
        elif call.name in ("at", "batch"):
            if not call.has("-l", "-c", "-d", "-r", "-V"):
                yield Place(call.command)
        elif (
            call.name == "ssh-copy-id"
            or (call.name == "systemd-run" and call.has("--on-calendar", "--on-boot", "--on-active", "--on-startup", "--on-unit-active"))
            or ((call.name == "wget" or call.name == "curl") and any(_PLACES.search(value) for value in values))
        ):
            yield Place(call.command)
