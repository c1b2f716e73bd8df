"""More rights than the script came with."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.powershell.readers import only_says
from bcce.safety.powershell.view import View
from bcce.safety.rules.powershell import Place

RULE = Rule(
    id="powershell.gain-privilege",
    title="An account gets more rights",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="whoever holds the account holds the machine, or the whole domain",
    instead="ask the team that owns the accounts",
    tags=("T1136", "T1098", "T1548.002"),
    examples_match=(
        "net user backdoor P@ssw0rd /add",
        "net localgroup Administrators backdoor /add",
        "Add-LocalGroupMember -Group Administrators -Member backdoor",
        "Add-ADGroupMember -Identity 'Domain Admins' -Members evil",
        "New-LocalUser -Name u -Password $p",
        "Enable-LocalUser -Name Guest",
        "icacls C:\\Windows /grant Everyone:F /T",
        "Set-ExecutionPolicy Unrestricted -Force",
        "takeown /f C:\\Windows\\System32 /r",
    ),
    examples_pass=(
        "net user",
        "Get-LocalGroupMember Administrators",
        "icacls D:\\app",
        "icacls D:\\app\\data /grant svc_app:(M)",
        "Add-LocalGroupMember -Group 'Remote Desktop Users' -Member alice",
        "Set-ADUser alice -Title Engineer",
    ),
)
_GROUPS = re.compile(
    r"(?i)^(?:(?:domain |enterprise |schema |key |enterprise key )?admin(?:istrator)?s|account operators|backup operators|server "
    r"operators|print operators|dnsadmins|group policy creator owners|hyper-v administrators|organization management|s-1-5-32-544|"
    r"remote management users)$"
)
_PROGRAM = re.compile(
    r"(?i)^(?:net1?(?:\.exe)? +user\b(?=.*(?:/add|/active:yes))|net1?(?:\.exe)? +user +\S+ +[^/\s]\S*|net1?(?:\.exe)? +(?:local)?group "
    r"+\"?(?P<group>[^\"/]+?)\"? +\S+ +.*/add|icacls(?:\.exe)? +\"?(?:[a-z]:\\?\"? |[a-z]:\\windows|[a-z]:\\users|"
    r"[a-z]:\\program).*/grant|(?:icacls|cacls)(?:\.exe)? .*(?:everyone|\*s-1-1-0|users|authenticated users):?\(?.*f\b|"
    r"takeown(?:\.exe)? .*\\windows|fodhelper|computerdefaults|eventvwr\.exe|sdclt|wusa(?:\.exe)? .*/extract|psexec\S* |runas(?:\.exe)? "
    r".*/savecred|secedit(?:\.exe)? +/configure|dsacls(?:\.exe)? .*/g|ntrights|setspn(?:\.exe)? +-[as]|dsadd(?:\.exe)? |at(?:\.exe)? "
    r"+/interactive|wmic(?:\.exe)? +useraccount .*(?:set|create))"
)
_POLICIES = frozenset(["unrestricted", "bypass"])


def find(view: View) -> Iterable[Place]:
    """New accounts, groups of administrators, open access to the system's files, an open execution policy."""
    for call in view.calls:
        words = view.everything(call)
        said = view.said(call)
        if only_says(call):
            continue
        found = _PROGRAM.match(said)
        if (
            call.name in ("new-localuser", "add-roledefinition", "add-kdsrootkey")
            or (
                call.name
                in (
                    "add-localgroupmember",
                    "add-adgroupmember",
                    "add-adprincipalgroupmembership",
                    "add-rolegroupmember",
                    "add-azureaddirectoryrolemember",
                    "new-azroleassignment",
                )
                and (
                    any(_GROUPS.match(word) for word in words)
                    or call.name == "add-azureaddirectoryrolemember"
                    or "owner" in [word.lower() for word in words]
                )
            )
            or (call.name == "enable-localuser" and any(word.lower() in ("guest", "administrator", "defaultaccount") for word in words))
            or (
                call.name == "set-executionpolicy"
                and any(word.lower() in _POLICIES for word in words)
                and "process" not in [word.lower() for word in words]
            )
            or (call.name == "set-adaccountcontrol" and call.has("passwordnotrequired", "trustedfordelegation", "doesnotrequirepreauth"))
            or (
                call.name in ("install-module", "save-module")
                and re.search(r"(?i)powersploit|nishang|dsinternals|powerupsql|mimikatz|empire", said)
            )
        ):
            yield Place(call.command)
        elif found is not None:
            group = (found["group"] or "").strip()
            if not group or _GROUPS.match(group):
                yield Place(call.command)
        elif call.name in ("cmd", "cmd.exe") and re.search(r"(?i)net1? +(?:user .*/add|localgroup +administrators .*/add)", said):
            yield Place(call.command)
    for member in view.members:
        name = (view.values.text(member.name) or "").lower()
        if (name == "add" and member.args and re.search(r"(?i)winnt://", view.word(member.args[0]))) or (
            name == "create" and member.args and view.word(member.args[0]).lower() == "user"
        ):
            yield Place(member)
