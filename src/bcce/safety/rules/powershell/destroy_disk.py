"""Disks, volumes, backups and the means to start again."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.powershell.readers import only_says
from bcce.safety.powershell.view import View
from bcce.safety.rules.powershell import Place

RULE = Rule(
    id="powershell.destroy-disk",
    title="A disk, its backups or the way to start the machine is destroyed",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="the data and the way back to it are gone",
    instead="ask the storage team; look at the disk with Get-Disk and Get-Volume",
    tags=("T1561", "T1490"),
    examples_match=(
        "Format-Volume -DriveLetter D -Force",
        "Clear-Disk -Number 1 -RemoveData",
        "vssadmin delete shadows /all /quiet",
        "Get-WmiObject Win32_ShadowCopy | ForEach-Object { $_.Delete() }",
        "bcdedit /set '{default}' recoveryenabled No",
        "wbadmin delete catalog -quiet",
        "cmd.exe /c format d: /y",
        "Get-Volume | Remove-Partition",
        "cipher /w:C:",
    ),
    examples_pass=("Get-Disk", "vssadmin list shadows", "Format-Volume -DriveLetter D -WhatIf", "bcdedit /enum", "Format-Table Name"),
)
_CMDLETS = frozenset(
    [
        "format-volume",
        "clear-disk",
        "initialize-disk",
        "remove-partition",
        "reset-physicaldisk",
        "remove-virtualdisk",
        "remove-storagepool",
        "disable-computerrestore",
        "remove-wbbackupset",
        "remove-vssshadowcopy",
        "clear-storagediagnosticinfo",
        "reset-computermachine",
    ]
)
_PROGRAMS = re.compile(
    r"(?i)\b(?:vssadmin(?:\.exe)? +(?:delete|resize) +shadow|wbadmin(?:\.exe)? +(?:delete|disable)|bcdedit(?:\.exe)? +/(?:set "
    r".*(?:recoveryenabled +no|bootstatuspolicy|safeboot|testsigning|nointegritychecks)|delete|deletevalue|import)"
    r"|format(?:\.com|\.exe)? +[a-z]:|diskpart|cipher(?:\.exe)? +/w|wmic(?:\.exe)? +shadowcopy.*delete|reagentc(?:\.exe)? +/disable|"
    r"fsutil(?:\.exe)? +(?:usn +deletejournal|volume +dismount)|sdelete\S* |diskshadow)"
)


def find(view: View) -> Iterable[Place]:
    """Cmdlets, programs, and the shadow copies' own method."""
    for call in view.calls:
        said = view.said(call)
        if (
            (call.name in _CMDLETS and not only_says(call))
            or _PROGRAMS.match(said)
            or (call.name in ("cmd", "cmd.exe") and _PROGRAMS.search(said))
        ) or ("shadowcopy" in said.lower() and call.name not in (None, "write-host", "write-output") and _deletes(view)):
            yield Place(call.command)


def _deletes(view: View) -> bool:
    """Instances of something are deleted somewhere in the script."""
    return any(call.name in ("remove-wmiobject", "remove-ciminstance") for call in view.calls) or any(
        (view.values.text(member.name) or "").lower() == "delete" for member in view.members
    )
