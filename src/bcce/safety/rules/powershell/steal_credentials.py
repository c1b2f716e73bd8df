"""Passwords, hashes, tokens and keys that are taken."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.powershell.tables import READS, is_getter
from bcce.safety.powershell.view import View
from bcce.safety.rules.powershell import Place

RULE = Rule(
    id="powershell.steal-credentials",
    title="Passwords or their hashes are taken",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="whoever holds them is whoever they belong to",
    instead="no repair needs them",
    tags=("T1003", "T1555", "CWE-522"),
    examples_match=(
        "reg save HKLM\\SAM C:\\temp\\sam",
        "rundll32.exe C:\\Windows\\System32\\comsvcs.dll, MiniDump 624 C:\\t\\l.dmp full",
        "procdump.exe -ma lsass.exe out.dmp",
        "Invoke-Mimikatz -DumpCreds",
        "ntdsutil 'ac i ntds' ifm 'create full c:\\t' q q",
        "netsh wlan show profile name=Office key=clear",
        "Copy-Item \\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy1\\Windows\\NTDS\\ntds.dit C:\\t",
        "vaultcmd /listcreds:'Windows Credentials'",
    ),
    examples_pass=(
        "reg query HKLM\\SOFTWARE\\Microsoft",
        "netsh wlan show profiles",
        "Get-Process lsass",
        "procdump.exe -ma w3wp.exe out.dmp",
    ),
)
_PROGRAM = re.compile(
    r"(?i)(?:reg(?:\.exe)? +(?:save|export) +\"?hk(?:lm|ey_local_machine)\\(?:sam|security|system)|comsvcs(?:\.dll)?\S*,? "
    r"*#?(?:minidump|24)|(?:procdump(?:64)?|createdump|dumpert|nanodump|sqldumper|rdrleakdiag|tttracer)(?:\.exe)? .*lsass|"
    r"(?:procdump)\S* .*-ma +(?:lsass|\(get-process lsass)|mimikatz|sekurlsa|lsadump|kerberoast|rubeus|sharphound|bloodhound|lazagne|"
    r"powerview|powersploit|invoke-(?:kerberoast|sharefinder|userhunter|inveigh|passwordspray|phant0m|dcsync|ninjacopy|"
    r"tokenmanipulation|bypassuac\w*|allchecks|credentialinjection)|ntdsutil.*(?:ifm|ntds)|key=clear|vaultcmd(?:\.exe)? +/list\w*|"
    r"harddiskvolumeshadowcopy|ntds\.dit|esentutl(?:\.exe)? .*(?:ntds|sam|login data|webcache)|wce(?:\.exe)? |gsecdump|pwdump|"
    r"get-(?:gpppassword|keystrokes|vaultcredential|passhashes|timedscreenshot|addbaccount|adreplaccount|lsasecret)|out-minidump|"
    r"crackmapexec|secretsdump|dcsync|appcmd(?:\.exe)? +list.*/text:(?:\*|.*password)|klist(?:\.exe)? .*export|findstr(?:\.exe)? "
    r".*cpassword|login data|get-kerberosservice|diskshadow)"
)
_QUIET = frozenset(
    [
        "write-host",
        "write-output",
        "select-string",
        "get-process",
        "get-winevent",
        "get-eventlog",
        "where-object",
        "get-mpthreat",
        "get-mpthreatdetection",
        "test-path",
        "write-warning",
        "write-verbose",
        "findstr",
        "findstr.exe",
        "find",
        "get-help",
    ]
)


def find(view: View) -> Iterable[Place]:
    """Programs and functions that are known for it, copies of the places where the system keeps them."""
    for call in view.calls:
        said = view.said(call)
        is_reading = call.name in _QUIET or call.name in READS or is_getter(call.name or "") or "-hashfile" in said
        if not is_reading and _PROGRAM.search(said):
            yield Place(call.command)
    for member in view.members:
        name = (view.values.text(member.name) or "").lower()
        if (
            name
            in (
                "minidumpwritedump",
                "getnetworkcredential",
                "retrieveall",
                "retrievepassword",
                "securestringtobstr",
                "securestringtoglobalallocunicode",
            )
            and member.args is not None
        ):
            yield Place(member)
