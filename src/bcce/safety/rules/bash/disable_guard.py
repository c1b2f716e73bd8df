"""Security and logging that are switched off."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.bash.effects import writes
from bcce.safety.bash.view import Call, View
from bcce.safety.rules.bash import Place

RULE = Rule(
    id="bash.disable-guard",
    title="Security or logging is switched off",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="the machine is open afterwards, or nobody can see what happened",
    instead="add the one exception that is needed where it is managed",
    tags=("T1562.001", "T1070"),
    examples_match=(
        "setenforce 0",
        "iptables -F",
        "ufw disable",
        "systemctl stop auditd",
        "systemctl disable --now firewalld",
        "history -c",
        "unset HISTFILE",
        "apt-get purge -y auditd",
        "auditctl -e 0",
        "nft flush ruleset",
    ),
    examples_pass=("iptables -L -n", "ufw status", "systemctl restart nginx", "systemctl status auditd", "getenforce"),
)
_GUARDS = re.compile(
    r"(auditd|firewalld|ufw|apparmor|fail2ban|rsyslogd?|syslog(-ng|d)?|systemd-journald(-audit)?|journald|falcon-sensor|falcond?|"
    r"clamav(-daemon|-freshclam)?|clamd|osqueryd?|nftables|iptables|ip6tables|sshguard|ossec(-hids)?|wazuh(-agent)?|auditbeat|filebeat|"
    r"packetbeat|td-agent(-bit)?|fluent-?bit|fluentd|splunk(d|forwarder)?|SplunkForwarder"
    r"|aide(check)?|tripwire|samhain|snort|suricata|zeek|mdatp|ds_agent|sentinelone|sentinelctl|cbdaemon|cbagentd|xagt|"
    r"qualys-cloud-agent|nessusd|crowdsec|falco|sysmon|selinux-autorelabel|auoms|omsagent|amazon-cloudwatch-agent|awslogsd?|"
    r"datadog-agent|newrelic-infra|elastic-(agent|endpoint)|rkhunter|psad|denyhosts|usbguard|fapolicyd|cylancesvc|"
    r"sophos[\w-]*|sav-protect|esets|kesl|traps_pmd|cortex-xdr|velociraptor(_client)?)(\.(service|socket|timer))?"
)
_STOPS = frozenset({"stop", "disable", "mask", "kill", "off", "force-stop"})
_SWITCHES = re.compile(
    r"SELINUX=(disabled|permissive)|enforcing=0|selinux=0|apparmor=0|audit=0|Storage=none|PermitRootLogin\s+yes|PermitEmptyPasswords\s+yes"
)
_PROC = re.compile(
    r"/proc/sys/kernel/(randomize_va_space|kptr_restrict|dmesg_restrict|yama/ptrace_scope|unprivileged_bpf_disabled|modules_disabled)|"
    r"/sys/fs/selinux/(enforce|disable)"
)


def find(view: View) -> Iterable[Place]:
    """Guards that are stopped, removed or emptied, and settings that switch them off."""
    for call in view.calls:
        if call.name is not None and (_stops(call, call.name) or _switches(call, call.name)):
            yield Place(call.command)
    for redirect in view.redirects():
        if writes(view, redirect) and any(_PROC.match(target) for target in view.targets(redirect)):
            yield Place(redirect)


def _stops(call: Call, name: str) -> bool:
    values = call.values
    guards = [value for value in values if _GUARDS.fullmatch(value.rpartition("/")[2])]
    if name in (
        "systemctl",
        "service",
        "rc-service",
        "initctl",
        "invoke-rc.d",
        "chkconfig",
        "update-rc.d",
        "rc-update",
        "launchctl",
        "supervisorctl",
        "sv",
        "stop",
        "svcadm",
    ):
        return bool(guards) and bool(_STOPS.intersection(values) or name == "stop" or {"remove", "unload", "del"}.intersection(values))
    if name in ("pkill", "killall", "skill"):
        return bool(guards) and not call.has("-0", "-HUP", "-1", "-USR1", "--signal=HUP")
    if name == "kill":
        return False
    if name in ("apt", "apt-get", "yum", "dnf", "rpm", "dpkg", "zypper", "apk", "pacman"):
        return bool(guards) and bool(
            {"remove", "purge", "erase", "autoremove", "-e", "-r", "-P", "rm", "del", "-R", "-Rns", "--purge"}.intersection(values)
        )
    if name in ("rm", "chmod", "mv"):
        return name == "rm" and any(
            re.match(
                r"/etc/(audit|fail2ban|apparmor\.d|selinux|rsyslog\.(conf|d)|falco|osquery|ossec|clamav)|/var/ossec|/opt/(CrowdStrike|"
                r"wazuh|sentinelone)",
                value,
            )
            for value in call.operands
        )
    return False


def _switches(call: Call, name: str) -> bool:
    values = call.values
    if name == "setenforce":
        return bool({"0", "Permissive", "permissive"}.intersection(values))
    if name in ("iptables", "ip6tables", "iptables-legacy", "iptables-nft", "ebtables", "arptables"):
        opens = call.has("-P", "--policy") and "ACCEPT" in values
        return call.has("-F", "--flush", "-X", "--delete-chain") or opens
    if name == "nft":
        return values[:2] == ("flush", "ruleset") or values[:2] in (("flush", "table"), ("delete", "table"))
    if name == "ufw":
        return bool({"disable", "reset"}.intersection(values)) or values[:3] in (("default", "allow", "incoming"), ("default", "allow"))
    if name == "firewall-cmd":
        return any(value.startswith(("--set-default-zone=trusted", "--zone=trusted")) for value in values)
    if name == "pfctl":
        return call.has("-d")
    if name == "history":
        return call.has("-c", "-w", "-d")
    if name in ("set", "shopt"):
        return ("+o" in values and "history" in values) or (name == "shopt" and "-u" in values and "histappend" in values)
    if name == "auditctl":
        return (call.has("-e") and "0" in values) or call.has("-D") or "-e0" in values
    if name in ("aa-teardown", "aa-disable", "aa-complain"):
        return True
    if name in ("spctl", "csrutil", "mdatp", "sentinelctl", "falconctl", "agent_control"):
        return any(re.search(r"disable|off|unload|uninstall|stop|exclusion|master-disable", value) for value in values)
    if name == "setsebool":
        return False
    if name == "sysctl":
        return any(
            re.match(
                r"kernel\.(randomize_va_space|kptr_restrict|dmesg_restrict|yama\.ptrace_scope|unprivileged_bpf_disabled|"
                r"perf_event_paranoid)=(0|-1)$",
                value,
            )
            for value in values
        )
    if name in ("sed", "echo", "printf", "tee", "perl", "grubby"):
        return any(_SWITCHES.search(value) for value in values) and (name not in ("echo", "printf") or _lands_in_settings(call))
    if name in ("export", "unset", "declare"):
        return any(
            re.match(r"HIST(FILE|SIZE|FILESIZE|CONTROL)(=(/dev/null|0|ignore.*)?)?$", value)
            for value in (*values, *(f"{key}={_text(word)}" for key, word in call.command.assignments))
        ) and not any(key in ("HISTSIZE", "HISTCONTROL") and _text(word) not in ("0",) for key, word in call.command.assignments)
    if name == "ln":
        return any(re.search(r"_history$|/var/log/", value) for value in values[-1:]) and "/dev/null" in values
    if name == "chattr":
        return any(re.match(r"/var/log/", value) for value in values) and any(re.match(r"[-]a", value) for value in values)
    return name == "dmesg" and call.has("-C", "-c", "--clear", "-D")


def _text(word: object) -> str:
    return str(getattr(word, "literal", None))


def _lands_in_settings(call: Call) -> bool:
    return any(
        redirect.operator.startswith(">") and redirect.target is not None and "/etc/" in redirect.target.raw
        for redirect in call.command.redirects
    )
