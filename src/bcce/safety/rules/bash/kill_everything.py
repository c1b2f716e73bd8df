"""Every process, or the one that all others hang on, is killed."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.bash.effects import writes
from bcce.safety.bash.view import View
from bcce.safety.rules.bash import Place

RULE = Rule(
    id="bash.kill-everything",
    title="Every process is killed, or the machine is made to fall",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="everything on the machine stops at once, and nothing is shut down cleanly",
    instead="stop the one service that misbehaves",
    tags=("T1529", "T1499"),
    examples_match=("kill -9 -1", "killall5 -9", "pkill -9 -u root", "echo c > /proc/sysrq-trigger", "kill -KILL 1", "pkill -9 ."),
    examples_pass=("kill -9 4242", "pkill -HUP nginx", "kill -0 1", "pkill -u deploy -f worker", "kill -l"),
)


def find(view: View) -> Iterable[Place]:
    """kill of -1 and of 1, killall5, patterns that match everything, and the kernel's trigger."""
    for call in view.calls:
        values = call.values
        if call.name == "kill" and not {"-l", "-L", "-0"}.intersection(values):
            targets = [value for index, value in enumerate(values) if index > 0 or not value.startswith("-")]
            if "-1" in targets or ("1" in targets and not any(value in ("-s", "-n", "-HUP", "-1", "-USR1", "-SIGHUP") for value in values)):
                yield Place(call.command)
        elif (
            call.name == "killall5"
            or (call.name in ("pkill", "killall") and "-0" not in values and _matches_all(values))
            or (call.name == "sysctl" and any(re.match(r"kernel\.core_pattern=\|", value) for value in values))
            or (call.name in ("tee", "dd", "cp") and any("sysrq-trigger" in value for value in values))
        ):
            yield Place(call.command)
    for redirect in view.redirects():
        if writes(view, redirect) and any(
            re.search(r"/proc/(sysrq-trigger|sys/kernel/core_pattern)|^/proc/(1|self)/", target) for target in view.targets(redirect)
        ):
            yield Place(redirect)


def _matches_all(values: tuple[str, ...]) -> bool:
    operands = [
        value
        for index, value in enumerate(values)
        if not value.startswith("-")
        and (index == 0 or values[index - 1] not in ("-u", "-U", "-t", "-g", "-P", "-s", "-G", "--signal", "--user", "-o", "-y"))
    ]
    if any(value in (".", ".*", "", "^", "systemd", "init", "sshd") for value in operands):
        return True
    users = [values[index + 1] for index, value in enumerate(values[:-1]) if value in ("-u", "-U", "--user", "--euid")]
    return "root" in users and not operands
