"""Whether a command only reads, by its arguments and not by its name."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from bcce.safety.bash.values import ANY, is_literal
from bcce.safety.powershell.lookups import carried_away
from bcce.safety.powershell.members import why_not_object
from bcce.safety.powershell.nodes import Block, Group, Member, Node, Text, Variable
from bcce.safety.powershell.programs import why_not_program
from bcce.safety.powershell.secrets import is_secret_place, is_secret_property
from bcce.safety.powershell.tables import READS, is_cmdlet, is_getter, knows_what_if, writes_always
from bcce.safety.powershell.view import Call, View

_LOOPBACK = re.compile(r"https?://(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?(?:[/?#].*)?", re.IGNORECASE)
_IP_SHARE = re.compile(r"(?:\\\\|//)(?:[^\\/?]*[.@]|\[)")
_ASSEMBLIES = re.compile(
    r"system(?:\.(?:web|net(?:\.http)?|io\.compression(?:\.filesystem)?|data|xml(?:\.linq)?|drawing|numerics|core|management|"
    r"serviceprocess|security|runtime(?:\.\w+)?|directoryservices(?:\.\w+)?|windows\.forms|configuration))?|presentationframework|"
    r"presentationcore|windowsbase",
    re.IGNORECASE,
)
_MODULES = re.compile(
    r"(?:activedirectory|grouppolicy|webadministration|iisadministration|dnsserver|dhcpserver|dnsclient|netadapter|nettcpip|netsecurity|"
    r"storage|smbshare|hyper-v|failoverclusters|servermanager|updateservices|scheduledtasks|dism|pki"
    r"|az(?:\.\w+)?|azuread|exchangeonlinemanagement|microsoft\.graph(?:\.\w+)*|microsoft\.powershell\.\w+|sqlserver|sqlps|dbatools|"
    r"vmware\.\w+(?:\.\w+)*|awspowershell(?:\.netcore)?|aws\.tools\.\w+|bitstransfer|cimcmdlets|defender|psdiagnostics|psreadline|"
    r"bestpractices|dfsr|dfsn|remotedesktop|printmanagement|windowserrorreporting|deduplication|mpio|iscsi|netlbfo|netqos|wdac|tls|"
    r"trustedplatformmodule|pswindowsupdate|importexcel)",
    re.IGNORECASE,
)
_PROPERTIES = re.compile(
    r"(?:full|display|process|service|machine|computer|user|host|base|log|provider|feature|package|sam\w*|distinguished|product|file|"
    r"job|task|friendly|interface)?name|ids?|processid|handles?|length|count|status|state|path|value|keys?|values|message|line|"
    r"linenumber|cpu|ws|size|\w*time\w*|date|version|extension|directory|parent|root|description|source|level|type|owner|line"
    r"|ipaddress|ipaddresstostring|address|port|localport|remoteaddress|properties|mainmodule|modules|definition|matches|groups|index|"
    r"day|month|year|hour|minute|second|totalseconds|totalminutes|totalhours|totaldays|dependentservices|requiredservices|subject|"
    r"thumbprint|notafter|enabled|memberof|members",
    re.IGNORECASE,
)


def why_not(view: View, call: Call) -> str | None:
    """Why this command is not proven to read only; None when it is."""
    name = call.name
    if name is None:
        return "the command is computed"
    if name == "{}" or _asks_for_help(view, call, name):
        return None
    if call.command.operator == "." or name.endswith((".ps1", ".psm1", ".bat", ".cmd", ".vbs", ".js")):
        return "a file runs whose text is not here"
    if name in view.functions:
        return "the function calls itself" if _is_inside(call, view) else None
    own = _OWN.get(name)
    if own is not None:
        reason = own(view, call)
        return reason if reason is None or not only_says(call) else None
    if name in READS or is_getter(name):
        return _cmdlet(view, call, name)
    if only_says(call):
        return None
    return why_not_program(view, call, name)


#: Programs of the system that only print how they are used when they get `/?`.
_EXPLAINED: Final = frozenset(
    [
        *(
            "shutdown",
            "taskkill",
            "format",
            "reg",
            "sc",
            "vssadmin",
            "bcdedit",
            "wevtutil",
            "schtasks",
            "net",
            "netsh",
            "diskpart",
            "powershell",
            "pwsh",
        ),
        *(
            "robocopy",
            "xcopy",
            "icacls",
            "takeown",
            "wbadmin",
            "chkdsk",
            "sfc",
            "dism",
            "cipher",
            "certutil",
            "msiexec",
            "wmic",
            "fsutil",
            "defrag",
        ),
    ]
)


def _asks_for_help(view: View, call: Call, name: str) -> bool:
    words = view.argv(call)
    if (
        not words
        or words[-1] not in ("/?", "-?")
        or call.command.redirects
        or not all(re.fullmatch(r"/?[\w-]+", word) for word in words[:-1])
    ):
        return False
    return name.removesuffix(".exe") in _EXPLAINED or ((len(words) == 1 and is_cmdlet(name)) or (len(words) == 1 and knows_what_if(name)))


def _is_inside(call: Call, view: View) -> bool:
    body = view.functions[str(call.name)]
    return body.start <= call.command.start < body.end


def only_says(call: Call) -> bool:
    """-WhatIf is given to a cmdlet that knows it, and not taken back."""
    if call.name is None or not knows_what_if(call.name) or any(isinstance(node, Variable) and node.is_splatted for node in call.args):
        return False
    given = [node for parameter, node in call.parameters if parameter == "wi" or (len(parameter) > 3 and "whatif".startswith(parameter))]
    return bool(given) and all(node is None or (isinstance(node, Variable) and node.name == "true") for node in given)


def _cmdlet(view: View, call: Call, name: str) -> str | None:
    if name == "tee-object" and call.args:
        return "tee-object writes a file"
    if name == "trace-command" and any(not isinstance(node, Block) for node in call.args[1:]):
        return "trace-command runs a command that it is given by name"
    for given, _ in call.parameters:
        if writes_always(given):
            return f"{name} -{given} writes a file or installs something"
    for denied in READS.get(name, ()):
        if call.has(denied):
            return f"{name} -{denied} changes something"
    if any(isinstance(node, Variable) and node.is_splatted for node in call.args):
        return "the parameters are computed"
    if any(is_secret_property(word) for node in call.everything for word in view.words(node)):
        return "a property where secrets are kept is read"
    for word in view.everything(call):
        if is_secret_place(word):
            return "a place where secrets are kept is read"
        if _IP_SHARE.match(word):
            return "a share of another machine is read, which sends it this account's password in hashed form"
    return None


def _content(view: View, call: Call) -> str | None:
    reason = _cmdlet(view, call, str(call.name))
    if reason is not None:
        return reason
    paths = [
        *call.args[:1],
        *(
            node
            for parameter, node in call.parameters
            if node is not None and "literalpath".startswith(parameter) | "path".startswith(parameter)
        ),
    ]
    return None if all(_is_known_place(view, node) for node in paths) or call.inputs else "what is read here is computed"


def _is_known_place(view: View, node: Node) -> bool:
    """The path is written out, or a name below a folder that is, or comes from a listing."""
    words = view.words(node)
    return all(is_literal(word) or not word.startswith(ANY) or isinstance(node, Variable | Member | Text | Group) for word in words)


def _each(view: View, call: Call) -> str | None:
    """ForEach-Object: blocks are judged where they stand; the name of a member is a property or a method."""
    names = [node for node in call.args if not isinstance(node, Block)]
    names += [
        node
        for parameter, node in call.parameters
        if node is not None and "membername".startswith(parameter) and not isinstance(node, Block)
    ]
    for node in names:
        if isinstance(node, Variable | Group) and not isinstance(node, Group):
            return "what it runs for each item is computed"
        word = view.word(node)
        if isinstance(node, Group) and all(isinstance(item, Block) for item in node.items):
            continue
        if not _PROPERTIES.fullmatch(word) and word.lower() not in (
            "tostring",
            "trim",
            "toupper",
            "tolower",
            "gettype",
            "split",
            "replace",
            "substring",
        ):
            return f"what .{word} does to each item is not known"
    return _cmdlet(view, call, "foreach-object")


def _web(view: View, call: Call) -> str | None:
    """A GET request to this machine."""
    method = view.word(call.value("method", "custommethod")).lower() if call.has("method", "custommethod") else "get"
    if method not in ("get", "head", "options"):
        return "something is sent"
    if call.has(
        "outfile",
        "infile",
        "body",
        "form",
        "credential",
        "usedefaultcredentials",
        "proxy",
        "websession",
        "certificate",
        "token",
        "custommethod",
    ):
        return "something is sent or stored"
    node = call.value("uri") or (call.args[0] if call.args else None)
    address = view.word(node)
    if not _LOOPBACK.fullmatch(address if "://" in address else f"http://{address}") or not is_literal(address.partition("/")[0]):
        return "another machine is asked"
    return None


def _lookup(view: View, call: Call) -> str | None:
    return carried_away(view, call.everything) or _cmdlet(view, call, str(call.name))


def _object(view: View, call: Call) -> str | None:
    if call.has("comobject"):
        return "an object of another program does what it likes"
    node = call.value("typename") or (call.args[0] if call.args else None)
    word = view.word(node)
    return why_not_object(word) if is_literal(word) and word else "the type is computed"


def _add_type(view: View, call: Call) -> str | None:
    words = view.words(call.value("assemblyname")) if call.value("assemblyname") is not None else []
    is_named = bool(words) and all(_ASSEMBLIES.fullmatch(word) for word in words) and len(call.parameters) == 1 and not call.args
    return None if is_named else "code is compiled or loaded"


def _module(view: View, call: Call) -> str | None:
    words = view.everything(call)
    return (
        None
        if words and all(_MODULES.fullmatch(word) for word in words if word.lower() not in ("stop", "silentlycontinue"))
        else "a module runs code when it is loaded"
    )


def _cim(view: View, call: Call) -> str | None:
    """Instances are read; a class whose name is computed could be one that holds secrets."""
    query = view.word(call.value("query"))
    if query and not query.lstrip().lower().startswith(("select", "associators", "references", ANY)):
        return "the query does more than read"
    return _cmdlet(view, call, str(call.name))


def _sleep(view: View, call: Call) -> str | None:
    words = [word for word in view.everything(call) if word.isdigit()]
    return "it waits very long" if any(int(word[:9]) > 86_400 for word in words) else None


def _expression(view: View, call: Call) -> str | None:
    return "text runs as a command"


def _shell(view: View, call: Call) -> str | None:
    """powershell.exe: the text that it runs is judged as a script of its own."""
    from bcce.safety.powershell.embedded import inner_text  # noqa: PLC0415 - it needs the view, which needs the tables

    return None if inner_text(view, call) is not None else "another shell runs what is not understood"


_OWN: Mapping[str, Callable[[View, Call], str | None]] = {
    "foreach-object": _each,
    "get-content": _content,
    "invoke-webrequest": _web,
    "invoke-restmethod": _web,
    "test-connection": _lookup,
    "test-netconnection": _lookup,
    "resolve-dnsname": _lookup,
    "new-object": _object,
    "add-type": _add_type,
    "import-module": _module,
    "get-ciminstance": _cim,
    "get-wmiobject": _cim,
    "start-sleep": _sleep,
    "invoke-expression": _expression,
    "powershell.exe": _shell,
    "powershell": _shell,
    "pwsh": _shell,
    "pwsh.exe": _shell,
}
