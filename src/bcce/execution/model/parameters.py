"""Parameters of scripts: which names are allowed, and the one byte form in which they are hashed and sent. Pure.

A parameter reaches its script as an environment variable, so a value is inert whatever it holds. A name is not: some names change what
a shell, a loader or a common tool does, so those are refused.
"""

import re
from collections.abc import Mapping

from bcce.execution.errors import InvalidScript
from bcce.kit.text import digest

_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")

#: One variable with its name, `=` and the closing NUL; Linux takes no longer string in an environment (MAX_ARG_STRLEN).
MAX_PARAMETER_BYTES = 128 * 1024
#: All of them together; a quarter of what Linux gives to arguments and environment of one process by default.
MAX_PARAMETERS_BYTES = 512 * 1024
MAX_PARAMETERS = 256

#: Whole names that the shell, the C library or the wrapper gives a meaning to.
DENIED_NAMES = frozenset(
    # A list of words reads better than seventy quoted ones.
    """
    ALL_PROXY CDPATH COLUMNS CURL_HOME DIRSTACK EDITOR ENV EPOCHREALTIME EPOCHSECONDS EUID FCEDIT FIGNORE FPATH FTP_PROXY FUNCNAME FUNCNEST
    GCONV_PATH GETCONF_DIR GLOBIGNORE GLOBSORT GROUPS HOME HOSTALIASES HTTPS_PROXY HTTP_PROXY IFS IGNOREEOF INPUTRC JAVA_TOOL_OPTIONS
    LANG LANGUAGE LESSCLOSE LESSOPEN LINENO LINES LOCALDOMAIN LOCPATH LOGNAME MAIL MAILCHECK MAILPATH MANPAGER MAPFILE NETRC
    NLSPATH NO_PROXY OLDPWD OPTARG OPTERR OPTIND PAGER PATH PIPESTATUS POSIXLY_CORRECT PPID PWD RANDOM READLINE_LINE READLINE_POINT
    REPLY RESOLV_HOST_CONF RES_OPTIONS SECONDS SHELL SHELLOPTS SHLVL SRANDOM SSLKEYLOGFILE TERMINFO TIMEFORMAT TMOUT TMPDIR TZ TZDIR
    UID USER VISUAL WGETRC
    """.split()  # noqa: SIM905 - see above
)
#: Beginnings of names that loaders, interpreters and tools read; `BCCE_` is our own.
DENIED_PREFIXES = tuple(
    """
    AWS_ BASH BCCE_ COMP_ COPROC DBUS_ DOCKER_ DYLD_ GIT_ GLIBC_ GNUPG HIST KUBE LC_ LD_ MALLOC_ NODE_ NPM_ PERL PIP_ PROMPT_ PS0 PS1
    PS2 PS3 PS4 PYTHON RUBY SSH_ SSL_ SUDO_ SYSTEMD_ TERM XDG_
    """.split()  # noqa: SIM905 - see above
)


def check_parameters(parameters: Mapping[str, str]) -> None:
    """Whether every name is allowed and every value can be an environment variable.

    Raises:
        InvalidScript: with the first name that is at fault; never with a value.
    """
    if len(parameters) > MAX_PARAMETERS:
        raise InvalidScript(f"{len(parameters)} parameters are more than {MAX_PARAMETERS}")
    for name, value in parameters.items():
        _check_name(name)
        _check_value(name, value)
    if len(encode_parameters(parameters)) > MAX_PARAMETERS_BYTES:
        raise InvalidScript(f"the parameters are larger than {MAX_PARAMETERS_BYTES} bytes together")


def encode_parameters(parameters: Mapping[str, str]) -> bytes:
    """`NAME=value` and a NUL for each parameter in the order of the names: the bytes that are sent, and that the digest is over."""
    return b"".join(f"{name}={parameters[name]}".encode() + b"\x00" for name in sorted(parameters))


def parameters_digest(block: bytes) -> str:
    """The digest of an encoded block, so that an executor can compute it from what it sends."""
    return digest(block)


def is_allowed_name(name: str) -> bool:
    """Whether a parameter may have this name."""
    return bool(_NAME.fullmatch(name)) and name not in DENIED_NAMES and not name.startswith(DENIED_PREFIXES)


def _check_name(name: str) -> None:
    if not is_allowed_name(name):
        raise InvalidScript(
            f"{name[:80]!r} cannot be the name of a parameter",
            hint="use up to 64 capital letters, digits and underscores, and no name that shells, loaders or common tools read",
        )


def _check_value(name: str, value: str) -> None:
    try:
        size_bytes = len(name) + len(value.encode()) + 2
    except UnicodeEncodeError:
        raise InvalidScript(f"the value of parameter {name} is no valid text") from None
    if "\x00" in value:
        raise InvalidScript(f"the value of parameter {name} holds a NUL character, which no environment can hold")
    if size_bytes > MAX_PARAMETER_BYTES:
        raise InvalidScript(f"parameter {name} is larger than {MAX_PARAMETER_BYTES} bytes")
