"""Names of commands and parameters."""

import re

from bcce.safety.powershell.tables import ALIASES

_SYSTEM_PROGRAM = re.compile(
    r"(?:[a-z]:\\windows|%windir%|%systemroot%)\\(?:system32|syswow64|sysnative)\\(?:windowspowershell\\v1\.0\\)?([\w.-]+)", re.IGNORECASE
)
_MODULE = re.compile(r"(?:microsoft\.\w+(?:\.\w+)*|cimcmdlets|netsecurity|storage|[a-z]\w+)\\([a-z]+-\w+)", re.IGNORECASE)
#: Parameters without a value: what stands behind them is an argument of its own.
SWITCHES = frozenset(
    [
        *("force", "recurse", "whatif", "confirm", "passthru", "wait", "asjob", "verbose", "debug", "append", "noclobber", "nonewline"),
        *("notypeinformation", "unique", "descending", "casesensitive", "raw", "quiet", "list", "allmatches", "simplematch", "notmatch"),
        *("hidden", "file", "directory", "readonly", "system", "autosize", "wrap", "hidetableheaders", "asarray", "compress", "asstring"),
        *("usebasicparsing", "allowclobber", "noelement", "sum", "average", "maximum", "minimum", "line", "word", "character"),
        *("includeusername", "fileversioninfo", "listavailable", "all", "syntax", "full", "detailed", "examples", "online", "s", "r"),
        *("aplaintext", "asplaintext", "quickscan", "oldest", "utc", "local"),
    ]
)
#: Parameters that name a variable to be filled. Source: about_CommonParameters.
FILLS = frozenset(
    [
        *("outvariable", "ov", "errorvariable", "ev", "warningvariable", "wv", "informationvariable", "iv", "pipelinevariable", "pv"),
        *("sessionvariable", "sv", "responseheadersvariable", "statuscodevariable"),
    ]
)


def real_name(written: str) -> str:
    """The name in lower case: aliases resolved, `.exe` and the system's own folders and modules taken off."""
    name = written.strip().lower()
    found = _SYSTEM_PROGRAM.fullmatch(name)
    if found is not None:
        name = found[1]
        return name if name.endswith((".exe", ".com", ".msc", ".cpl")) else f"{name}.exe"
    module = _MODULE.fullmatch(name)
    if module is not None and not name.startswith((".", "~")):
        name = module[1]
    return ALIASES.get(name, name)
