"""Words with which a tool that reads does something else."""

import re

from bcce.safety.bash.readers.network import LOOPBACK
from bcce.safety.bash.view import Call

_JQ = r".*(?<![.\w\"])(env|\$ENV)\b.*|.*(?<![.\w\"])(?:import|include)\s*\".*"
#: Operands that make a tool that reads do more, or show a secret.
_NEVER = {
    name: re.compile(pattern, re.DOTALL)
    for name, pattern in {
        "rpm": r".*://.*",
        "pcregrep": r".*\(\?C.*",
        "pcre2grep": r".*\(\?C.*",
        "bat": r"cache",
        "batcat": r"cache",
        "man": r"(?!/usr/).*/.*",
        "npm": r".*(?:_auth|[tT]oken|[pP]assword).*",
        "yarn": r".*(?:[aA]uth|[tT]oken|[pP]assword).*",
        "pnpm": r".*(?:_auth|[tT]oken|[pP]assword).*",
        "redis-cli": r"(?i:purge|reset)",
        "jq": _JQ,
        "gojq": _JQ,
        "yq": r".*\b(load\w*|env|strenv|envsubst|system)\s*\(.*|.*(?<![.\w\"])(env|\$ENV)\b.*",
        "tshark": r".*auth.*",
        # What stands behind it is a command of its own.
        "ovs-vsctl": r"--",
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
    """An operand, or what the tool reads, asks for more than the options and the first words say."""
    never = _NEVER.get(name)
    if never is not None and any(never.fullmatch(value) for value in call.args):
        return True
    is_told = call.command.inputs or any(redirect.operator == "<" for redirect in call.command.redirects)
    if name == "redis-cli" and is_told and not any(value[:1] != "-" and not value[:1].isdigit() for value in call.args):
        return True
    return (name == "ip" and _ip_changes(call)) or (name in ("vault", "nomad", "consul") and _asks_elsewhere(call))
