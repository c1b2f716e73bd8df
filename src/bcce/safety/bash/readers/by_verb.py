"""Tools that are told what to do by a word: whether what a call says only reads."""

import fnmatch
import re
from collections.abc import Collection

from bcce.safety.bash.readers.otherwise import CHANGES
from bcce.safety.bash.readers.verbs import Verbs
from bcce.safety.bash.values import ANY, prefix, shown
from bcce.safety.bash.view import Call

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
#: Options without a value that stand in front of the words of many tools. Source: their manual pages; a short one that takes a value
#: in any of them is left out, or is one of the options with a value there.
_FLAG = re.compile(
    "--(?:no-pager|all|full|no-legend|plain|quiet|user|system|failed|global|verbose|debug|no-ask-password|no-headers?|json|help|version|yes"
    "|no-color|insecure|tls|no-stream|permanent|no-warn|no-hostname|no-auth-warning|raw|csv|assumeno|cacheonly|refresh|showduplicates"
    "|non-interactive|no-refresh|xmlout|long|terse|pretty|reverse|merge|recursive|short|value|installed|upgradable|legend|verify|show-labels"
    "|names-only|disable-telemetry|list|all-namespaces|no-trunc|latest|size|outdated|stdout|no-cli-pager|brief|details?)"
    "|-(?:[aqlvtCD46]|al|la|vv+|[0-9]+)"
)
#: What the name of an option that writes, runs something or takes another configuration speaks of.
_SPEAKS_OF_MORE = re.compile(
    r"--(?!no-)(?:[\w-]+[-_])?(?:out|outfile|out-?put-?(?:file|dir|to)|write|write-to|save|dump-to|log-?file|log[-_](?:file|dir|target|path|to)"
    r"|exec|execute|command|cmd|plugin|pager|editor|browser|viewer|kubeconfig|rcfile|macros|configfile|config-file|script|hook|hooks-dir|askpass"
    r"|password-file|pass-file|to-command|delete|remove|reset|clear|flush|edit|install|uninstall|kill|purge|restore|in-?place|overwrite|unpack"
    r"|extract|upload|mail-to|profile-output)"
)


#: Paths of the Kubernetes API that hold no secret. Source: Kubernetes API health endpoints.
_OPEN_PATH = re.compile(
    r"/(?:(?:healthz|livez|readyz)(?:/[\w/-]*)?(?:\?verbose)?|metrics|version|apis?/?|apis/metrics\.k8s\.io/[\w/]*|openapi/v\d)"
)


def by_verb(call: Call, name: str, entry: Verbs) -> str | None:
    """The first words decide, wherever the options stand."""
    words = _verbs(call, entry)
    front = _verbs(call, entry, is_front=True)
    if name == "kubectl" and call.args[:2] == ("get", "--raw") and len(call.args) == 3 and _OPEN_PATH.fullmatch(call.args[2]):
        return None
    shown_secrets = _shows_secrets(call, name, words)
    if shown_secrets is not None:
        return shown_secrets
    if any(";" in word or "\n" in word for word in words):
        return "several commands of its own language in one"
    denied = next((denied for denied in entry.denied if _is_denied(denied, call, words, entry)), None)
    if denied is not None:
        return f"{name} {denied} is not reading"
    if not front and words:
        return f"{name} is given an option that is not known"
    unknown = unclear(call, entry.valued)
    if unknown is not None:
        return f"{name} {unknown} may write or run something"
    if not words:
        return None if entry.is_bare or call.args in (("--version",), ("--help",), ("-v",), ("-V",)) else f"{name} without a word"
    for reading in entry.reading:
        if reading[0] == "":
            if _reads_behind(name, front, reading[1]):
                return _no_secret_object(words) if reading[1] == "*" else None
        elif reading[-1].endswith("!"):
            if words == front == [*reading[:-1], reading[-1][:-1]]:
                return None
        elif len(front) >= len(reading) and all(fnmatch.fnmatchcase(word, want) for word, want in zip(front, reading, strict=False)):
            return _no_secret_object(words) if name not in ("journalctl", "systemctl", "apt", "yum", "dnf") else None
    return f"{name} {shown(' '.join(words[:2]))} is not proven to read only"


def _shows_secrets(call: Call, name: str, words: list[str]) -> str | None:
    """The environment of a container or a service, or a configuration that goes to a file."""
    if name in ("docker", "podman", "nerdctl") and any(".Env" in value or "json .Config" in value for value in call.args):
        return "the environment of a container is shown, with the secrets in it"
    if name in ("docker", "podman", "nerdctl") and words[:2] == ["compose", "config"] and call.has("-o", "--output"):
        return "the configuration is written to a file"
    if name == "systemctl" and any("nvironment" in value and value != "show-environment" for value in call.args):
        return "the environment of a service is shown, with the secrets in it"
    return None


def _reads_behind(name: str, words: list[str], wanted: str) -> bool:
    """The word that reads stands behind names only: `service nginx status`, `gcloud compute instances list`."""
    if name in ("service", "rc-service"):
        return words[1:] == [wanted]
    for index, word in enumerate(words):
        if word in CHANGES or _CHANGES_MORE.match(word):
            return False
        if index and (_READS_AT_THE_END.fullmatch(word) if wanted == "*" else word == wanted):
            return True
    return False


def unclear(call: Call, valued: Collection[str]) -> str | None:
    """A long option that no table names and that speaks of writing, running or another configuration."""
    for value in call.args:
        if value == "--":
            return None
        option = value.partition("=")[0]
        if value.startswith("--") and option not in valued and _SPEAKS_OF_MORE.fullmatch(option):
            return option
    return None


def _verbs(call: Call, entry: Verbs, *, is_front: bool = False) -> list[str]:
    """The words that are no options and no values of options.

    With `is_front` only those in front of the first option that is not known: the next word could be its value.
    """
    words: list[str] = []
    args = list(call.args)
    while args:
        value = args.pop(0)
        if value == "--":
            return [*words, *args]
        if value in entry.valued:
            args = args[1:]
        elif not value.startswith("-") or any(value in reading for reading in entry.reading):
            words.append(value)
        elif is_front and "=" not in value and not _FLAG.fullmatch(value):
            break
    return words


def _is_denied(denied: str, call: Call, words: list[str], entry: Verbs) -> bool:
    """The option or word `denied` is among what the call says; a long option also when it is shortened."""
    if denied.startswith("--") and len(denied) > 2 and denied.endswith("*"):
        return any(value.startswith(denied[:-1]) for value in call.args)
    if not denied.startswith("-"):
        return any(fnmatch.fnmatchcase(word, denied) for word in words)
    if any(value == denied or value.startswith(f"{denied}=") for value in call.args):
        return True
    if len(denied) == 2:
        return any(value.startswith(denied) and value not in entry.valued for value in call.args)
    long = [value.partition("=")[0] for value in call.args if value.startswith("--")]
    long = [value for value in long if value not in entry.valued]
    return denied.startswith("--") and any(len(value) > 2 and denied.startswith(value) for value in long)


def _no_secret_object(words: list[str]) -> str | None:
    """Secrets of a cluster or a cloud are not shown."""
    for word in words[1:]:
        if any(re.match(r"secrets?([./]|$)|sealedsecrets?$|serviceaccounts?/token", part) for part in word.lower().split(",")):
            return "it reads secrets"
        if ANY in word and prefix(word) == "" and words[0] in ("get", "describe"):
            return "it could be asked for secrets"
    return None
