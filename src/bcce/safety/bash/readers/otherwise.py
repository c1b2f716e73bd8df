"""Words and options with which a tool that reads does something else."""

import re

from bcce.safety.bash.readers.network import LOOPBACK
from bcce.safety.bash.readers.verbs import verbs
from bcce.safety.bash.view import Call

#: Words that change something, in the languages of these tools; behind an option that is not known they may be what is really asked for.
CHANGES = frozenset(
    [
        *(
            "stop",
            "start",
            "restart",
            "reload",
            "kill",
            "rm",
            "del",
            "delete",
            "remove",
            "uninstall",
            "install",
            "upgrade",
            "destroy",
            "sync",
        ),
        *(
            "out",
            "down",
            "up",
            "set",
            "add",
            "flush",
            "create",
            "apply",
            "edit",
            "patch",
            "scale",
            "exec",
            "run",
            "poweroff",
            "rebuild",
            "reboot",
        ),
        *(
            "shutdown",
            "disable",
            "enable",
            "mask",
            "copy",
            "move",
            "purge",
            "prune",
            "drain",
            "cordon",
            "import",
            "restore",
            "rollback",
            "push",
        ),
    ]
)
#: Options with which a tool asks another machine, loads another configuration, or acts as somebody else.
ELSEWHERE = {
    "docker": ("-H", "--host", "--config"),
    "podman": ("-H", "--host", "--config", "--url"),
    "kubectl": ("--server", "-s", "--as", "--as-group", "--insecure-skip-tls-verify", "--password"),
    "helm": ("--kube-apiserver", "--kube-as-user", "--kube-token"),
    "apt": ("-o", "-c", "--option", "--config-file"),
    "apt-get": ("-o", "-c", "--option", "--config-file", "--simulate=false", "--dry-run=false", "-s=false"),
    "aptitude": ("-o", "-c", "--option", "--config-file"),
    "dnf": ("-c", "--config"),
    "yum": ("-c", "--config"),
}
#: Options of Kafka's tools may be shortened. Source: the class CommandDefaultOptions.
_KAFKA = r"--(?:de[^s]|al[^l]|cr|res|exe|add|import|to-).*"
_KAFKA_TOOLS = ("kafka-topics", "kafka-configs", "kafka-consumer-groups", "kafka-log-dirs", "kafka-broker-api-versions")
#: Arguments that make a tool that reads do more.
NEVER = {
    name: re.compile(pattern, re.DOTALL)
    for name, pattern in {
        "rpm": r"-\w*E.*|--eval.*|--define.*|-D.*|--pipe.*"
        r"|--(?:macros|rcfile|load|specfile|set\w+|reset\w*|restore|import|predefine|undefine)(?:=.*)?",
        "apt-get": r"-[a-zA-Z]*s(?:=.*|-)|--no-(?:simulate|just-print|dry-run|recon)|--(?:simulate|just-print|dry-run|recon|no-act)=.*",
        "aptitude": r"-[a-zA-Z]*s(?:=.*|-)|--no-(?:simulate|just-print|dry-run)|--(?:simulate|just-print|dry-run)=.*|--log-file.*",
        "pcre2grep": r".*\(\?C.*",
        "bat": r"cache",
        "batcat": r"cache",
        "man": r"(?!/usr/).*/.*",
        "npm": r".*(?:_auth|[tT]oken|[pP]assword).*",
        "yarn": r".*(?:[aA]uth|[tT]oken|[pP]assword).*",
        "pnpm": r".*(?:_auth|[tT]oken|[pP]assword).*",
        "udevadm": r"-(?!-)\w*c\w*",
        "zpool": r"-(?!-)\w*c.*",
        "btrfs": r"-(?!-)\w*z\w*|--res.*",
        "redis-cli": r"(?i:purge|reset)",
        "jq": r".*(?<![.\w\"])(env|\$ENV)\b.*|.*(?<![.\w\"])(?:import|include)\s*\".*",
        "gojq": r".*(?<![.\w\"])(env|\$ENV)\b.*|.*(?<![.\w\"])(?:import|include)\s*\".*",
        "yq": r".*\b(load\w*|env|strenv|envsubst|system)\s*\(.*|.*(?<![.\w\"])(env|\$ENV)\b.*|-(?![-opI])\w*[is]\w*|-[is].*",
        "nvidia-smi": r"-f.*|--filename.*|-r|--gpu-reset.*",
        "lshw": r"-dump.*",
        "tshark": r"--export.*|.*auth.*",
        "ethtool": r"-t|--test|--[a-z-]*(set|change|reset)[a-z-]*",
        "date": r"-s.*|--s.*",
        "docker": r"--output.*",
        "docker-compose": r"--output.*|-o.*",
        "apt-config": r"-.*",
        "hcloud": "|".join(sorted(CHANGES)),
        **{name: _KAFKA for name in (*_KAFKA_TOOLS, *(f"{tool}.sh" for tool in _KAFKA_TOOLS))},
    }.items()
}
_IP_WORDS = re.compile(r"(?:fl?u?\w*|s|se|set|d|de\w*|a|ad|add|r|re\w*|c|ch\w*)")
#: Objects of ip where `s` is short for show and not for set.
_IP_SHOWS = re.compile(r"a(?:d\w*)?|r|ro\w*|n|nei\w*|ru\w*")
#: Objects of ip that have a second word before their verb.
_IP_LONG = frozenset({"xfrm", "mptcp", "l2tp", "ioam", "sr"})


def _ip_changes(call: Call) -> bool:
    """A shortened word could stand for one that changes something."""
    words: list[str] = []
    args = list(call.args)
    while args:
        value = args.pop(0)
        if value in ("-n", "-netns", "-f", "-family"):
            args = args[1:]
        elif not value.startswith("-"):
            words.append(value)
    if words[:1] and words[0] in _IP_LONG:
        return any(_IP_WORDS.fullmatch(word) or word.startswith("u") for word in words[1:3])
    is_shown = words[1:2] == ["s"] and _IP_SHOWS.fullmatch(words[0]) is not None
    return not is_shown and any(_IP_WORDS.fullmatch(word) for word in words[1:2])


def _asks_elsewhere(call: Call) -> bool:
    """Another machine is asked, with this account's token."""
    for index, value in enumerate(call.args):
        found = re.fullmatch(r"--?(?:agent-)?(?:http-addr|address)(?:=(.*))?", value, re.DOTALL)
        if found is not None and not LOOPBACK.fullmatch(found[1] or "".join(call.args[index + 1 : index + 2])):
            return True
    return False


def says_something_else(call: Call, name: str) -> bool:
    """The words could be read in another way: an option that is not known takes the first of them as its value."""
    never = NEVER.get(name)
    if never is not None and any(never.fullmatch(value) for value in call.args):
        return True
    is_told = call.command.inputs or any(redirect.operator == "<" for redirect in call.command.redirects)
    if name == "redis-cli" and is_told and not any(value[:1] != "-" and not value[:1].isdigit() for value in call.args):
        return True
    words = [value for value in call.args if not value.startswith("-")]
    if name == "ip" and _ip_changes(call):
        return True
    if name in ("vault", "nomad", "consul") and _asks_elsewhere(call):
        return True
    if name == "gh" and "-w" in call.args and words[:2] != ["run", "list"]:
        return True
    elsewhere = ELSEWHERE.get(name, ())
    if any(
        value == option or value.startswith(f"{option}=") or (len(option) == 2 and value.startswith(option))
        for value in call.args
        for option in elsewhere
    ):
        return True
    if name not in verbs() and name != "gcloud":
        return False
    return any(value.startswith("-") for value in call.args) and any(word in CHANGES for word in words[1:])
