"""Firewalls, virus scanners, logging and access control that are switched off."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.powershell.readers import only_says
from bcce.safety.powershell.view import View
from bcce.safety.rules.powershell import Place

RULE = Rule(
    id="powershell.disable-guard",
    title="A protection of the machine is switched off",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="whatever comes next is neither stopped nor seen",
    instead="make the narrowest exception, by the team that owns the protection",
    tags=("T1562.001", "T1562.004"),
    examples_match=(
        "Set-MpPreference -DisableRealtimeMonitoring $true",
        "Add-MpPreference -ExclusionPath C:\\",
        "Set-NetFirewallProfile -Profile Domain,Public,Private -Enabled False",
        "netsh advfirewall set allprofiles state off",
        "Stop-Service -Name WinDefend -Force",
        "sc.exe config WinDefend start= disabled",
        "auditpol /clear /y",
        "Set-ItemProperty -Path HKLM:\\SOFTWARE\\Policies\\Microsoft\\Windows\\PowerShell\\ScriptBlockLogging -Name "
        "EnableScriptBlockLogging -Value 0",
        "[Ref].Assembly.GetType('System.Management.Automation.AmsiUtils').GetField('amsiInitFailed','NonPublic,Static').SetValue($null,$true)",
    ),
    examples_pass=(
        "Get-MpPreference",
        "Get-Service WinDefend",
        "Set-NetFirewallProfile -Profile Public -Enabled True",
        "netsh advfirewall show allprofiles",
        "Stop-Service -Name Spooler",
        "New-NetFirewallRule -DisplayName app -LocalPort 8080 -Protocol TCP -Action Allow",
    ),
)
_SERVICES = re.compile(
    r"(?i)^(?:windefend|wdnissvc|sense|wdfilter|mpssvc|bfe|eventlog|wscsvc|sysmon(?:64)?|sepmasterservice|csagent|csfalconservice|"
    r"carbonblack|cbdefense|cylancesvc|sentinelagent|mbamservice|mcshield|ekrn|savservice|sophos.*|symantec.*|mcafee.*|crowdstrike.*|"
    r"securityhealthservice|splunkforwarder|nxlog|winlogbeat|elastic.*agent|ossec.*|wazuh.*|auditd|tmlisten|ntrtscan|mdcoresvc|"
    r"webthreatdefsvc|epsecurityservice|xagt|cyserver)$"
)
_REGISTRY = re.compile(
    r"(?i)\\(?:windows defender|microsoft antimalware)|disableantispyware|disableantivirus|disablerealtimemonitoring|enablelua|"
    r"scriptblocklogging|modulelogging|\\powershell\\transcription|enablefirewall|disabletaskmgr|\\policies\\system\\(?:consentprompt|"
    r"enablelua)|consentpromptbehavioradmin|runasppl|lsacfgflags|useLogonCredential|disablerestrictedadmin|\\services\\(?:windefend|"
    r"eventlog|mpssvc|sense|wdfilter|sysmon)|enablevirtualizationbasedsecurity|smartscreen|amsi\\providers|amsienable|"
    r"localaccounttokenfilterpolicy|disablebehaviormonitoring|noautoupdate|hypervisorenforcedcodeintegrity|vulnerabledriverblocklist"
)
_PROGRAM = re.compile(
    r"(?i)^(?:netsh(?:\.exe)? .*(?:advfirewall +set +\w+ +state +off|firewall +set +opmode +(?:mode *= *)?disable|trace|portproxy +add)|"
    r"auditpol(?:\.exe)? +/(?:clear|remove|set .*disable)|sc(?:\.exe)? +(?:stop|delete|config|sdset|failure) +\"?(?P<one>[\w-]+)|"
    r"net1?(?:\.exe)? +stop +\"?(?P<two>[\w -]+)|taskkill(?:\.exe)? .*(?:msmpeng|sysmon|csfalcon|carbonblack|cb\.exe|sentinel|mssense|"
    r"nissrv|mbam|mcshield|ekrn)|fltmc(?:\.exe)? +unload|logman(?:\.exe)? +(?:stop|delete|update).*|mpcmdrun(?:\.exe)? "
    r".*-removedefinitions|wevtutil(?:\.exe)? +(?:sl|set-log) .*(?:/e:false|/enabled:false)|setx? +complus_etwenabled|reg(?:\.exe)? "
    r"+(?:add|delete|import|save) .*|wmic(?:\.exe)? .*(?:antivirus|uninstall).*|unregister-.*amsi)"
)
_MP = re.compile(
    r"(?i)^(?:disable\w+|exclusion\w+|mapsreporting|submitsamplesconsent|\w+threatdefaultaction|puaprotection|"
    r"enablecontrolledfolderaccess|enablenetworkprotection|attacksurfacereductionrules_actions|signaturedisable\w+)"
)
_AMSI = re.compile(
    r"(?i)amsi(?:utils|initfailed|context|session|scanbuffer|openSession|\.dll)|etweventwrite|eventprovider|cachedgrouppolicysettings|"
    r"signatures?enforcement"
)


def find(view: View) -> Iterable[Place]:
    """Cmdlets, programs, registry values and the services that guard; also the scanner's own switch by reflection."""
    for call in view.calls:
        words = view.everything(call)
        said = view.said(call)
        if only_says(call):
            continue
        if call.name in ("set-mppreference", "add-mppreference"):
            if any(_MP.match(name) for name, _ in call.parameters) and not _is_on(words):
                yield Place(call.command)
        elif (
            (call.name == "set-netfirewallprofile" and call.has("enabled") and view.word(call.value("enabled")).lower() in ("false", "0"))
            or (call.name in ("disable-netfirewallrule",) and (call.has("all") or not call.parameters))
            or (call.name in ("remove-netfirewallrule",) and (not call.parameters or "*" in words or call.has("all")))
        ):
            yield Place(call.command)
        elif call.name in ("stop-service", "set-service", "remove-service", "suspend-service", "disable-service", "stop-process") and any(
            _SERVICES.match(word.strip("*")) or word.lower() in ("msmpeng", "mssense", "sysmon64", "nissrv") for word in words
        ):
            if call.name != "set-service" or any(word.lower() in ("disabled", "stopped", "paused") for word in words):
                yield Place(call.command)
        elif call.name in (
            "set-itemproperty",
            "new-itemproperty",
            "remove-item",
            "remove-itemproperty",
            "set-item",
            "rename-item",
        ) and _REGISTRY.search(" ".join(words)):
            if not _turns_on(call.name, words):
                yield Place(call.command)
        elif (
            (
                call.name in ("set-smbserverconfiguration",)
                and call.has("requiresecuritysignature", "encryptdata")
                and "false" in [word.lower() for word in words]
            )
            or (
                call.name in ("disable-bitlocker", "uninstall-windowsfeature")
                and (call.name == "disable-bitlocker" or any("defender" in word.lower() for word in words))
            )
            or (call.name == "set-processmitigation" and call.has("disable") and call.has("system"))
        ):
            yield Place(call.command)
        else:
            found = _PROGRAM.match(said)
            if found is not None:
                service = (found["one"] or found["two"] or "").strip()
                if service and not _SERVICES.match(service):
                    continue
                if said.lower().startswith(("reg ", "reg.exe")) and not _REGISTRY.search(said):
                    continue
                if said.lower().startswith("logman") and "eventlog" not in said.lower():
                    continue
                yield Place(call.command)
            elif call.name in ("cmd", "cmd.exe") and re.search(
                r"(?i)advfirewall +set .*off|stop +(?:windefend|eventlog|mpssvc)|disableantispyware", said
            ):
                yield Place(call.command)
    for member in view.members:
        if _AMSI.search(" ".join([view.word(member.name), *(view.word(item) for item in member.args or ())])):
            yield Place(member, "the scanner for scripts is switched off")


def _is_on(words: list[str]) -> bool:
    """Every value that is given switches a protection on."""
    return bool(words) and all(word.lower() in ("false", "0", "enabled") for word in words)


def _turns_on(name: str, words: list[str]) -> bool:
    """A registry value is set to the value that protects."""
    last = words[-1].lower() if words else ""
    text = " ".join(words).lower()
    if name not in ("set-itemproperty", "new-itemproperty"):
        return False
    is_disabling = "disable" in text or "localaccounttokenfilterpolicy" in text or "uselogoncredential" in text or "noautoupdate" in text
    return last == ("0" if is_disabling else "1")
