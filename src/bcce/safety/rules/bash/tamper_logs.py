"""Logs and histories that are erased."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.bash.effects import writes
from bcce.safety.bash.view import View
from bcce.safety.rules.bash import Place

RULE = Rule(
    id="bash.tamper-logs",
    title="A record of what happened is erased",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="nobody can find out afterwards what happened on the machine",
    instead="let logrotate do it, or free space with journalctl --vacuum-size after a person agreed",
    tags=("T1070.002", "T1070.003"),
    examples_match=(
        "rm -f /var/log/auth.log",
        "> /var/log/wtmp",
        "cat /dev/null > ~/.bash_history",
        "shred -u /root/.bash_history",
        "rm -rf /var/log/journal",
        "truncate -s 0 /var/log/secure",
        "find /var/log -name '*.log' -exec shred {} \\;",
        "sed -i '/203.0.113.9/d' /var/log/auth.log",
    ),
    examples_pass=(
        "truncate -s 0 /var/log/app/app.log",
        "rm -f /var/log/nginx/access.log.1",
        "cat /var/log/auth.log",
        "echo x >> /var/log/messages",
        "journalctl --disk-usage",
    ),
)
_LOGS = re.compile(
    r"/var/log/(wtmp|btmp|utmp|lastlog|auth|secure|audit|syslog|messages|journal|faillog|tallylog|sudo|kern|dmesg|cron|"
    r"\ue003$)|/var/run/utmp|/run/utmp|(^|/)\.?(bash|zsh|sh|ash|ksh|fish|mysql|psql|python)_history$|/var/adm/|/run/log/journal|"
    r"/var/spool/audit"
)
_ALL_LOGS = re.compile(r"/var/log/?(\ue003(\.log)?|\.)?/?")


def find(view: View) -> Iterable[Place]:
    """Such files as operands of what deletes or empties, and as targets of redirects."""
    for call in view.calls:
        operands = call.operands
        if call.name in ("rm", "shred", "truncate", "unlink", "srm", "wipe") and any(
            _LOGS.search(value) or _ALL_LOGS.fullmatch(value) for value in operands
        ):
            yield Place(call.command)
        elif (
            call.name in ("tee", "cp", "mv", "dd", "ln", "install")
            and any(_LOGS.search(value.removeprefix("of=")) for value in (operands[-1:] if call.name != "dd" else call.args))
            and not call.has("-a", "--append")
        ):
            if call.name == "tee" or "/dev/null" in call.values or "if=/dev/zero" in call.values or call.name == "dd":
                yield Place(call.command)
        elif (
            (call.name == "mv" and "/dev/null" in operands[-1:] and any("log" in value for value in operands))
            or (call.name in ("sed", "perl") and call.has("-i", "--in-place") and any(_LOGS.search(value) for value in operands))
            or (call.name in ("shred", "truncate") and call.chain[-1:] == ("find",) and any("/var/log" in value for value in operands))
        ):
            yield Place(call.command)
        elif call.name in ("wevtutil", "utmpdump", "logtamper", "cleanlogs", "mig-logcleaner"):
            if call.name != "utmpdump" or call.has("-r"):
                yield Place(call.command)
        elif call.name == "journalctl" and any(
            re.fullmatch(r"--vacuum-(time|size)=(1?s|0|1|1[KM]?|1sec|0s)", value) for value in call.values
        ):
            yield Place(call.command)
    for redirect in view.redirects():
        if (
            writes(view, redirect)
            and redirect.operator not in (">>", "&>>")
            and any(_LOGS.search(target) for target in view.targets(redirect))
        ):
            yield Place(redirect)
