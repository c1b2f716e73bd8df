"""Things that stay and start by themselves."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.powershell.readers import only_says
from bcce.safety.powershell.view import View
from bcce.safety.rules.powershell import Place

RULE = Rule(
    id="powershell.persist",
    title="Something is left behind that starts by itself",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="it goes on after the repair, with nobody looking",
    instead="deploy it with the configuration management of the machine",
    tags=("T1547.001", "T1546.003", "T1053.005"),
    examples_match=(
        "Set-ItemProperty -Path HKCU:\\Software\\Microsoft\\Windows\\CurrentVersion\\Run -Name u -Value C:\\a.exe",
        "reg add HKLM\\Software\\Microsoft\\Windows\\CurrentVersion\\Run /v u /d C:\\a.exe /f",
        'schtasks /create /tn u /tr "powershell -w hidden -c x" /sc onlogon',
        'Copy-Item a.exe "$env:APPDATA\\Microsoft\\Windows\\Start Menu\\Programs\\Startup\\"',
        "Add-Content $PROFILE 'iex $x'",
        "Set-WmiInstance -Namespace root/subscription -Class __EventFilter -Arguments @{}",
        "Set-ItemProperty 'HKLM:\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Image File Execution Options\\sethc.exe' -Name "
        "Debugger -Value cmd.exe",
    ),
    examples_pass=(
        "Get-ItemProperty HKLM:\\Software\\Microsoft\\Windows\\CurrentVersion\\Run",
        "schtasks /query",
        "Set-ItemProperty -Path HKLM:\\SOFTWARE\\App -Name Level -Value 3",
        "Enable-ScheduledTask -TaskName Backup",
    ),
)
_KEYS = re.compile(
    r"(?i)\\currentversion\\(?:run|runonce|runservices|runonceex|runservicesonce|policies\\explorer\\run|winlogon|windows|"
    r"explorer\\(?:shell folders|user shell folders|browser helper objects|sharedtaskscheduler|shellserviceobject\w*)|image file "
    r"execution options|silentprocessexit|appcompatflags\\custom|authentication\\credential providers)|\\active setup\\installed "
    r"components|appinit_dlls|\\control\\(?:lsa|session manager|print\\monitors|terminal server\\wds|networkprovider)|"
    r"\\environment.*userinitmprlogonscript|userinitmprlogonscript|\\(?:shell\\open|runas|exefile|mscfile|ms-settings)\S*\\command|"
    r"inprocserver32|cor_profiler|cor_enable_profiling|\\amsi\\providers|\\netsh(?:\s|$)|\\screensave|scrnsave\.exe|scriptlogonpath|"
    r"\\services\\[^\\ ]+ .*(?:imagepath|servicedll)|\\office\\.*\\addins|officetest|\\command processor|autorun|\\bootexecute|"
    r"\\timeproviders|wds\\rdpwd|initialprogram|logon\s?script"
)
_FOLDERS = re.compile(
    r"(?i)start menu\\programs\\startup|\\system32\\(?:tasks|wbem\\mof|grouppolicy)|\$profile|\\profile\.ps1|powershell_profile|"
    r"\\winsxs|\\startup\\"
)
#: A task that runs a shell, something downloaded, or from a folder that anybody can write.
_HIDES = re.compile(
    r"(?i)powershell|pwsh|cmd(?:\.exe)?\b|mshta|wscript|rundll32|regsvr32|https?://|\\users\\public|\\temp\\|appdata|-enc|hidden|"
    r"atlogon|atstartup"
)
_WMI = re.compile(r"(?i)__eventfilter|commandlineeventconsumer|activescripteventconsumer|__filtertoconsumerbinding")
_PROGRAM = re.compile(
    r"(?i)^(?:schtasks(?:\.exe)? +/(?:create|change.*/tr)|at(?:\.exe)? +\d|sc(?:\.exe)? +(?:\\\\\S+ +)?create|reg(?:\.exe)? +(?:add|"
    r"import|copy|load|restore) .*|bitsadmin(?:\.exe)? .*setnotifycmdline|netsh(?:\.exe)? +add +helper|wmic(?:\.exe)? .*(?:subscription|"
    r"__eventfilter)|mofcomp|setx(?:\.exe)? +.*(?:cor_profiler|path)|assoc |ftype |nssm(?:\.exe)? +install|rundll32.*printui)"
)


def find(view: View) -> Iterable[Place]:
    """Registry keys and folders that start things, tasks, services, event subscriptions, profiles."""
    for call in view.calls:
        words = view.everything(call)
        said = view.said(call)
        if only_says(call):
            continue
        if (
            call.name
            in (
                "set-itemproperty",
                "new-itemproperty",
                "set-item",
                "new-item",
                "copy-itemproperty",
                "rename-itemproperty",
            )
            and _KEYS.search(" ".join(words))
        ) or (
            call.name
            in (
                "copy-item",
                "move-item",
                "set-content",
                "add-content",
                "out-file",
                "new-item",
                "invoke-webrequest",
                "start-bitstransfer",
                "expand-archive",
            )
            and (any(_FOLDERS.search(word) for word in words) or _FOLDERS.search(said) or "$profile" in view.raw(call.command).lower())
        ):
            yield Place(call.command)
        elif call.name in (
            "register-scheduledtask",
            "register-scheduledjob",
            "new-scheduledtask",
            "register-wmievent",
            "register-cimindicationevent",
            "set-scheduledtask",
        ):
            if _HIDES.search(view.text) or any(_WMI.search(word) for word in words):
                yield Place(call.command)
        elif (call.name in ("set-wmiinstance", "new-ciminstance", "new-wmiobject") and _WMI.search(said)) or call.name == "new-service":
            yield Place(call.command)
        elif found := _PROGRAM.match(said):
            if found[0].lower().startswith("reg") and not _KEYS.search(said):
                continue
            yield Place(call.command)
        elif call.name in ("cmd", "cmd.exe") and (
            re.search(r"(?i)schtasks +/create|sc +create", said) or (re.search(r"(?i)reg +add", said) and _KEYS.search(said))
        ):
            yield Place(call.command)
    for member in view.members:
        name = (view.values.text(member.name) or "").lower()
        if (
            name in ("createinstance", "put", "createshortcut", "registertaskdefinition", "registertask")
            and (_WMI.search(view.text) or name.startswith(("createshortcut", "registertask")))
        ) or (name == "setvalue" and member.args and _KEYS.search(" ".join(view.word(item) for item in member.args))):
            yield Place(member)
    for redirect in view.redirects:
        if redirect.target is not None and (
            _FOLDERS.search(view.word(redirect.target)) or view.raw(redirect.target).lower().startswith("$profile")
        ):
            yield Place(redirect)
