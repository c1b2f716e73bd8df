"""What a script can do, for whoever approves it."""

import re
from collections.abc import Callable

from bcce.kit.findings import Effects
from bcce.safety.bash.values import shown
from bcce.safety.powershell.nodes import Variable
from bcce.safety.powershell.readers import only_says
from bcce.safety.powershell.tables import READS, is_getter
from bcce.safety.powershell.view import Call, View

_NETWORK = frozenset(
    [
        "invoke-webrequest",
        "invoke-restmethod",
        "test-netconnection",
        "test-connection",
        "resolve-dnsname",
        "invoke-command",
        "new-pssession",
        "enter-pssession",
        "start-bitstransfer",
        "send-mailmessage",
    ]
)
_CLOUD = re.compile(r"(?:new|set|remove|start|stop|restart|update|invoke)-(?:az|ec2|s3|rds|ad|vm|mg)\w*")
_FINAL = re.compile(r"(?:remove|clear|format|uninstall|unregister|reset)-\w+")
_WRITERS = frozenset(
    [
        "set-content",
        "add-content",
        "out-file",
        "export-csv",
        "export-clixml",
        "new-item",
        "copy-item",
        "move-item",
        "rename-item",
        "clear-content",
        "set-item",
        "set-itemproperty",
        "new-itemproperty",
        "start-transcript",
        "expand-archive",
        "compress-archive",
        "set-acl",
    ]
)


def effects_of(view: View) -> Effects:
    """The effects of every call, method and redirect."""
    found: dict[str, set[str]] = {
        name: set() for name in ("reads", "writes", "deletes", "services", "processes", "packages", "users", "network", "cloud", "unknown")
    }
    is_final = False
    for call in view.calls:
        if call.name is None:
            found["unknown"].add("*")
        elif not only_says(call):
            is_final = _note(view, call, call.name, found) or is_final
    for redirect in view.redirects:
        if redirect.target is not None and not (isinstance(redirect.target, Variable) and redirect.target.name == "null"):
            found["writes"].add(_shown(view.word(redirect.target)))
    for member in view.members:
        if member.args is not None and (view.values.text(member.name) or "").lower() in (
            "delete",
            "kill",
            "stop",
            "put",
            "writealltext",
            "invoke",
        ):
            found["unknown"].add(_shown(view.raw(member))[:80])
            is_final = True
    changed = any(found[name] for name in found if name not in ("reads", "network"))
    return Effects(
        **{name: frozenset(values) for name, values in found.items()},
        privileged=any(call.name == "start-process" and call.has("verb") for call in view.calls),
        reversible=False if is_final else None if changed else True,
    )


def _note(view: View, call: Call, name: str, found: dict[str, set[str]]) -> bool:
    """Notes what one call does; True when it cannot be undone."""
    words = [_shown(word) for word in view.everything(call) if word.lower() not in ("stop", "silentlycontinue", "continue")]
    add: Callable[[str], None] = lambda kind: found[kind].update(words or ["*"])  # noqa: E731 - one line is clearer here
    noun = name.partition("-")[2]
    is_final = _FINAL.fullmatch(name) is not None
    if name in _NETWORK:
        add("network")
    elif name == "remove-item":
        add("deletes")
    elif name in _WRITERS:
        add("writes")
    elif _CLOUD.fullmatch(name):
        add("cloud")
    elif is_getter(name) or name in READS:
        if name in ("get-content", "get-item", "get-childitem", "import-csv", "select-string", "get-itemproperty"):
            found["reads"].update(words)
        return False
    elif noun == "service":
        add("services")
    elif noun == "process":
        add("processes")
    elif noun in ("package", "module", "windowsfeature", "windowscapability", "hotfix"):
        add("packages")
    elif noun in ("localuser", "localgroupmember", "aduser", "adgroupmember", "adaccount"):
        add("users")
    elif name not in view.functions and name != "{}":
        found["unknown"].add(name)
    return is_final


def _shown(text: str) -> str:
    return shown(text)[:200]
