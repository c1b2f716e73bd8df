"""Logs and histories that are erased."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.powershell.readers import only_says
from bcce.safety.powershell.view import View
from bcce.safety.rules.powershell import Place

RULE = Rule(
    id="powershell.tamper-logs",
    title="A record of what happened is erased",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="nobody can find out afterwards what happened on the machine",
    instead="set the log's size with Limit-EventLog after a person agreed",
    tags=("T1070.001", "T1070.003"),
    examples_match=(
        "Clear-EventLog -LogName Security",
        "wevtutil cl Security",
        "Get-EventLog -List | ForEach-Object { Clear-EventLog $_.Log }",
        "Remove-Item (Get-PSReadlineOption).HistorySavePath",
        "Remove-Item C:\\Windows\\System32\\winevt\\Logs\\*.evtx -Force",
        "Set-PSReadLineOption -HistorySaveStyle SaveNothing",
        "[System.Diagnostics.Eventing.Reader.EventLogSession]::GlobalSession.ClearLog('Security')",
        "fsutil usn deletejournal /d C:",
    ),
    examples_pass=(
        "Get-EventLog -LogName Security -Newest 10",
        "wevtutil qe System /c:5",
        "Clear-Host",
        "Clear-Content C:\\app\\logs\\app.log",
    ),
)
_LOGS = re.compile(r"(?i)winevt\\logs|\.evtx?$|consolehost_history|historysavepath|\\windows\\(?:logs|prefetch)\\|psreadline|\\logfiles\\")
_PROGRAM = re.compile(r"(?i)\b(?:wevtutil(?:\.exe)? +(?:cl|clear-log)\b|fsutil(?:\.exe)? +usn +deletejournal)")


def find(view: View) -> Iterable[Place]:
    """Cmdlets and programs that clear logs, and their files that are removed."""
    for call in view.calls:
        said = view.said(call)
        if only_says(call):
            continue
        if (
            call.name in ("clear-eventlog", "remove-eventlog", "clear-history", "clear-winevent")
            or (
                call.name in ("remove-item", "clear-content", "set-content", "out-file")
                and (
                    any(_LOGS.search(word) for word in view.everything(call))
                    or "historysavepath" in said.lower()
                    or _has_member(view, call.command.start, call.command.end)
                )
            )
            or (call.name == "set-psreadlineoption" and "savenothing" in said.lower())
            or _PROGRAM.match(said)
            or (call.name in ("cmd", "cmd.exe") and _PROGRAM.search(said))
        ):
            yield Place(call.command)
    for member in view.members:
        if member.args is not None and (view.values.text(member.name) or "").lower() in ("clearlog", "cleareventlog"):
            yield Place(member)


def _has_member(view: View, start: int, end: int) -> bool:
    return any(
        start <= member.start < end and (view.values.text(member.name) or "").lower() == "historysavepath" for member in view.members
    )
