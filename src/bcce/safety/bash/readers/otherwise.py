"""Words and options with which a tool that reads does something else."""

import re

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
    "dnf": ("-c", "--config"),
    "yum": ("-c", "--config"),
}
#: Arguments that make a tool that reads do more.
NEVER = {
    name: re.compile(pattern)
    for name, pattern in {
        "rpm": r"-\w*E.*|--eval.*|--define.*|-D.*|--pipe.*",
        "jq": r".*(?<![.\w\"])(env|\$ENV)\b.*",
        "gojq": r".*(?<![.\w\"])(env|\$ENV)\b.*",
        "yq": r".*\b(load\w*|env|strenv|envsubst)\s*\(.*",
        "nvidia-smi": r"-f.*|--filename.*|-r|--gpu-reset.*",
        "lshw": r"-dump.*",
        "tshark": r"--export.*|.*auth.*",
        "ethtool": r"-t|--test|--[a-z-]*(set|change|reset)[a-z-]*",
        "date": r"-s.*|--s.*",
        "docker": r"--output.*",
        "docker-compose": r"--output.*|-o.*",
        "kafka-topics.sh": r"--(de[^s]|al|cr).*",
        "apt-config": r"-.*",
        "hcloud": "|".join(sorted(CHANGES)),
    }.items()
}
_IP_WORDS = re.compile(r"(?:fl\w*|s|se|set|d|de\w*|a|ad|add|r|re\w*|c|ch\w*)")


def says_something_else(call: Call, name: str) -> bool:
    """The words could be read in another way: an option that is not known takes the first of them as its value."""
    never = NEVER.get(name)
    if never is not None and any(never.fullmatch(value) for value in call.args):
        return True
    if name == "redis-cli" and call.command.inputs and not any(value[:1] != "-" and not value[:1].isdigit() for value in call.args):
        return True
    words = [value for value in call.args if not value.startswith("-")]
    if name == "ip" and any(_IP_WORDS.fullmatch(word) for word in words[1:2]):
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
