"""The machine is filled up or kept busy until it stops answering."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.bash.effects import writes
from bcce.safety.bash.view import View
from bcce.safety.rules.bash import Place

RULE = Rule(
    id="bash.exhaust",
    title="The machine is filled up or kept busy until it stops answering",
    severity=Severity.HIGH,
    verdict=Verdict.BLOCK,
    why="nothing else on the machine can work any more",
    instead="give it a size or an end",
    tags=("T1499",),
    examples_match=(
        "yes > /tmp/full",
        "cat /dev/zero > /var/fill",
        "dd if=/dev/zero of=/var/fill bs=1M",
        "while true; do sleep 1000 & done",
        "fallocate -l 900G /fill",
        "xmrig -o pool.example:3333",
    ),
    examples_pass=(
        "yes | head -3",
        "dd if=/dev/zero of=/tmp/file bs=1M count=10",
        "head -c 10 /dev/zero > /tmp/x",
        "while true; do sleep 1; done",
        "fallocate -l 1G /swapfile",
    ),
)
_ENDLESS = re.compile(r"/dev/(zero|u?random|full)")
_BOMB = re.compile(
    r"(while\s+(:|true|\[\s*1\s*\]|\(\(\s*1\s*\)\))|until\s+false|for\s*\(\(\s*;;\s*\)\))\s*;?\s*do\b[^&]{0,500}[^&>|"
    r"]&(?![&>])\s*(;\s*)?done",
    re.DOTALL,
)
_MINERS = re.compile(
    r"xmrig|minerd|cpuminer|ethminer|cgminer|bfgminer|nbminer|t-rex|phoenixminer|xmr-stak|kdevtmpfsi|kinsing|hping3?|"
    r"slowloris|goldeneye|hulk\.py|loic|masscan"
)
_RECURSION = re.compile(
    r"(?<!\w)(\w{1,64})\s{0,9}\(\)\s{0,9}\{[^}]{0,200}\b\1\b[^}]{0,200}\|\s{0,9}\1\b[^}]{0,200}&"
    r"|exec\s{1,9}\"?\$0\"?\s{0,9}&|\"?\$0\"?\s{0,9}(&|\|)\s{0,9}\"?\$0"
)


def find(view: View) -> Iterable[Place]:
    """Endless output into files, endless loops that start processes, miners and floods."""
    first = view.script.commands[0] if view.script.commands else None
    if first is not None and (_BOMB.search(view.script.text) or _RECURSION.search(view.script.text)):
        yield Place(first)
    for call in view.calls:
        values = call.values
        into_file = call.name in ("yes", "cat", "pv") and any(writes(view, redirect) for redirect in call.command.redirects)
        if (call.name == "yes" and into_file) or (
            call.name in ("cat", "pv", "cp") and any(_ENDLESS.match(value) for value in values) and (into_file or call.name == "cp")
        ):
            yield Place(call.command)
        elif (
            call.name == "dd"
            and any(value.startswith("if=") and _ENDLESS.match(value[3:]) for value in values)
            and not any(value.startswith("count=") for value in values)
        ):
            if not any(value == "of=/dev/null" for value in values):
                yield Place(call.command)
        elif (
            (call.name == "fallocate" and any(re.fullmatch(r"(\d{3,}G(i?B)?|\d+[TPE](i?B)?)", value) for value in values))
            or (call.name is not None and _MINERS.fullmatch(call.name.rpartition("/")[2]))
            or (call.name in ("ping", "ping6") and call.has("-f") and not call.has("-c"))
        ):
            yield Place(call.command)
