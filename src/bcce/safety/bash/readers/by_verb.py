"""Tools that are told what to do by a word: whether what a call says only reads."""

import fnmatch
import re
from collections.abc import Sequence

from bcce.safety.bash.readers.files import secret_in
from bcce.safety.bash.readers.options import Given, given
from bcce.safety.bash.readers.verbs import Verbs
from bcce.safety.bash.values import shown
from bcce.safety.bash.view import Call

#: Words that change something, in the languages of these tools.
_CHANGES = re.compile(
    "stop|start|restart|reload|kill|rm|del|delete|remove|uninstall|install|upgrade|destroy|sync|out|down|up|set|add"
    "|flush|create|apply|edit|patch|scale|exec|run|poweroff|rebuild|reboot|shutdown|disable|enable|mask|copy|move"
    "|purge|prune|drain|cordon|import|restore|rollback|push"
)
#: The reading word stands at the end: `service nginx status`, `gcloud compute instances list`.
_READS_AT_THE_END = re.compile(
    "list|describe|get-value|get-iam-policy|info|read|logs|get-health|get-status|get-serial-port-output|list-[a-z]+|tail|search|version|ls"
    "|lookup|diagnose|get-server-config"
)


#: Words in front of one that reads which mean that it is only a name: `gcloud compute instances add-tags list`.
_CHANGES_MORE = re.compile(
    "(?:add|set|remove|update|create|delete|reset|power|reboot|resize|rename|attach|detach|bulk|simulate|failover|promote|snapshot|enable|disable"
    "|rebuild|transfer|assign|unassign|migrate|revoke|rotate|upgrade|restart|stop|start|perform|invoke|shutdown|change|clone|move|retire|reserve)(?:-|$)"
)
#: The words are not those of this line of the table.
_OTHER = "other words"
#: Tools whose words are names of this machine, which may sound like a secret of a cluster.
_LOCAL = frozenset({"systemctl", "apt", "yum", "dnf"})
#: Paths of the Kubernetes API that hold no secret. Source: Kubernetes API health endpoints.
_OPEN_PATH = re.compile(
    r"/(?:(?:healthz|livez|readyz)(?:/[\w/-]*)?(?:\?verbose)?|metrics|version|apis?/?|apis/metrics\.k8s\.io/[\w/]*|openapi/v\d)"
)


def by_verb(call: Call, name: str, entries: Sequence[Verbs]) -> str | None:
    """The first words decide, and every option is one with which they read."""
    if name == "kubectl" and call.args[:2] == ("get", "--raw") and len(call.args) == 3 and _OPEN_PATH.fullmatch(call.args[2]):
        return None
    if call.args == ("-v",):
        return None
    reasons = [_by_entry(call, name, entry) for entry in entries]
    if None in reasons:
        return None
    words = shown(" ".join(call.operands[:2]))
    return next((reason for reason in reasons if reason != _OTHER), f"{name} {words}".rstrip() + " is not proven to read only")


def _by_entry(call: Call, name: str, entry: Verbs) -> str | None:
    front = given(call.args, entry.front, ends=False)
    said = given(call.args, entry.behind, ends=False)
    for reading in entry.reading:
        if reading[0] == "":
            if said.unknown is None and _reads_behind(name, said.operands, reading[1]):
                return _judged(call, name, entry, said, said.operands)
            continue
        want = [word.removesuffix("!") for word in reading]
        words = front.operands[: len(want)]
        if len(words) < len(want) or not all(fnmatch.fnmatchcase(word, wanted) for word, wanted in zip(words, want, strict=True)):
            continue
        start = given(call.args, entry.front, ends=False, most=len(want))
        rest = given(start.rest, entry.behind, ends=False)
        rest.options = [*start.options, *rest.options]
        if reading[-1] == want[-1] or not rest.operands:
            return _judged(call, name, entry, rest, [*words, *rest.operands])
    if entry.is_bare and not said.operands:
        return _judged(call, name, entry, said, [])
    return _OTHER if front.unknown is None else f"{name} {shown(front.unknown)} is not known to read only"


def _judged(call: Call, name: str, entry: Verbs, said: Given, words: list[str]) -> str | None:
    """What else can be wrong where the words read."""
    if said.unknown is not None:
        return f"{name} {shown(said.unknown)} is not known to read only"
    if said.misses(entry.behind):
        return f"{name} is not told to read only"
    denied = next((denied for denied in entry.denied for word in words if fnmatch.fnmatchcase(word, denied)), None)
    if denied is not None:
        return f"{name} {denied} is not reading"
    if any(";" in word or "\n" in word for word in words):
        return "several commands of its own language in one"
    files = [value for option, value in said.options if option in entry.behind.files]
    # kubectl -o jsonpath-file=…
    files += [value.partition("=")[2] for _, value in said.options if re.match(r"[a-z-]+-file=", value)]
    if any("://" in value for value in files):
        return f"{name} fetches a file from another machine"
    return _shows_secrets(call, name) or secret_in(call, files) or (None if name in _LOCAL else _no_secret_object(words))


def _shows_secrets(call: Call, name: str) -> str | None:
    """The environment of a container or a service."""
    if name in ("docker", "podman", "nerdctl") and any(".Env" in value or "json .Config" in value for value in call.args):
        return "the environment of a container is shown, with the secrets in it"
    if name == "systemctl" and any("nvironment" in value and value != "show-environment" for value in call.args):
        return "the environment of a service is shown, with the secrets in it"
    return None


def _reads_behind(name: str, words: list[str], wanted: str) -> bool:
    """The word that reads stands behind names only: `service nginx status`, `gcloud compute instances list`."""
    if name in ("service", "rc-service"):
        return words[1:] == [wanted]
    for index, word in enumerate(words):
        if _CHANGES.fullmatch(word) or _CHANGES_MORE.match(word):
            return False
        if index and (_READS_AT_THE_END.fullmatch(word) if wanted == "*" else word == wanted):
            return True
    return False


def _no_secret_object(words: list[str]) -> str | None:
    """Secrets of a cluster or a cloud are not shown."""
    for word in words[1:]:
        if any(re.match(r"secrets?([./]|$)|sealedsecrets?$|serviceaccounts?/token", part) for part in word.lower().split(",")):
            return "it reads secrets"
    return None
