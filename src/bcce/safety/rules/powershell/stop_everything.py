"""Everything is stopped, or the machine is used up."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.powershell.nodes import Node
from bcce.safety.powershell.readers import only_says
from bcce.safety.powershell.view import Call, View
from bcce.safety.rules.powershell import Place

RULE = Rule(
    id="powershell.stop-everything",
    title="Everything is stopped, or the machine is used up",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="the whole machine, or every machine, is down",
    instead="name the one process, service or computer",
    tags=("T1489", "T1529", "T1499"),
    examples_match=(
        "Get-Process | Stop-Process -Force",
        "Get-Service | Stop-Service -Force",
        "Stop-Process -Name *",
        "taskkill /f /im *",
        "Get-VM | Stop-VM -TurnOff -Force",
        "Stop-Process -Name lsass -Force",
        "while ($true) { Start-Process powershell }",
        "Get-ADComputer -Filter * | ForEach-Object { Restart-Computer $_.Name -Force }",
        "Get-NetAdapter | Disable-NetAdapter -Confirm:$false",
    ),
    examples_pass=(
        "Get-Process | Where-Object CPU -gt 1000 | Stop-Process",
        "Stop-Process -Id 42",
        "Get-Service -Name W3SVC | Stop-Service",
        "Restart-Computer -ComputerName web1",
        "Get-Process notepad | Stop-Process",
    ),
)
_STOPS = {
    "stop-process": "get-process",
    "stop-service": "get-service",
    "stop-vm": "get-vm",
    "disable-netadapter": "get-netadapter",
    "restart-service": "get-service",
    "stop-website": "get-website",
    "stop-computer": "get-adcomputer",
    "restart-computer": "get-adcomputer",
    "remove-vm": "get-vm",
    "disable-adaccount": "get-aduser",
    "remove-aduser": "get-aduser",
    "remove-adcomputer": "get-adcomputer",
    "unregister-scheduledtask": "get-scheduledtask",
    "disable-localuser": "get-localuser",
    "remove-localuser": "get-localuser",
    "remove-service": "get-service",
}
_VITAL = re.compile(r"(?i)^(?:lsass|csrss|wininit|winlogon|services|smss|svchost|system)(?:\.exe)?$")
_FILTERS = frozenset(["where-object", "select-object", "get-random"])


def find(view: View) -> Iterable[Place]:
    """A listing without a filter in front of what stops, a star as a name, processes without which the system ends, endless starts."""
    for call in view.calls:
        if only_says(call):
            continue
        source = _STOPS.get(call.name or "")
        words = view.everything(call)
        said = view.said(call)
        if (
            (source is not None and ("*" in words or (call.name == "stop-process" and any(_VITAL.match(word) for word in words))))
            or (source is not None and _all_of(view, call, source))
            or re.match(
                r"(?i)taskkill(?:\.exe)? .*(?:/im +\*|/fi +\"?(?:pid +ge|username +eq +\*)|/im +\"?(?:lsass|csrss|wininit|winlogon|"
                r"services|svchost)\b)",
                said,
            )
            or (call.name in ("start-process", "start-job", "powershell", "powershell.exe") and _is_endless(view, call.command))
        ):
            yield Place(call.command)
    for member in view.members:
        if member.args is not None and (view.values.text(member.name) or "").lower() in ("kill", "stop"):
            for pipeline in view.pipelines:
                if (
                    pipeline.start <= member.start < pipeline.end
                    and _is_bare(view, pipeline.items[0], ("get-process", "get-service"))
                    and len(pipeline.items) == 2
                ):
                    yield Place(member)


def _all_of(view: View, call: Call, source: str) -> bool:
    inputs = list(call.inputs)
    if not inputs:
        for pipeline in view.pipelines:
            inside = pipeline.items[-1].start <= call.command.start < pipeline.items[-1].end and pipeline.items[-1] is not call.command
            if inside and len(pipeline.items) > 1:
                inputs = list(pipeline.items[:-1])
    return (
        bool(inputs)
        and _is_bare(view, inputs[0], (source,))
        and not any(other is not None and other.name in _FILTERS for other in map(view.call_of, inputs[1:]))
    )


def _is_bare(view: View, node: Node, names: tuple[str, ...]) -> bool:
    """The node is one of the listings, of everything."""
    call = view.call_of(node)
    if call is None or call.name not in names:
        return False
    return not [word for word in view.everything(call) if word.lower() not in ("silentlycontinue", "stop", "*")]


def _is_endless(view: View, node: Node) -> bool:
    found = re.search(r"(?i)(?:while|for)\s*\(\s*(?:\$true|1|;\s*;?)\s*\)\s*\{", view.text)
    return found is not None and found.end() <= node.start and "sleep" not in view.text.lower()
