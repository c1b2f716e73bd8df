"""Which names a script's parameters may have as environment variables.

A value is inert whatever it holds. A name is not: some change what a shell, a loader or a common tool does, so a parameter of such a
name would be code, not data.
"""

import re

_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")

#: Whole names that the shell, the C library or common tools give a meaning to.
_NAME_LIST = """
ALL_PROXY CDPATH COLUMNS CURL_HOME DIRSTACK EDITOR ENV EPOCHREALTIME EPOCHSECONDS EUID EXECIGNORE FCEDIT FIGNORE FPATH FTP_PROXY FUNCNAME
FUNCNEST GCONV_PATH GETCONF_DIR GLOBIGNORE GLOBSORT GROUPS HOME HOSTALIASES HOSTFILE HOSTNAME HTTPS_PROXY HTTP_PROXY IFS IGNOREEOF INPUTRC
JAVA_TOOL_OPTIONS LANG LANGUAGE LESSCLOSE LESSOPEN LINENO LINES LOCALDOMAIN LOCPATH LOGNAME MAIL MAILCHECK MAILPATH MANPAGER MAPFILE NETRC
NLSPATH NO_PROXY OLDPWD OPTARG OPTERR OPTIND PAGER PATH PIPESTATUS POSIXLY_CORRECT PPID PWD RANDOM READLINE_LINE READLINE_POINT REPLY
RESOLV_HOST_CONF RES_OPTIONS SECONDS SHELL SHELLOPTS SHLVL SRANDOM SSLKEYLOGFILE TERMINFO TIMEFORMAT TMOUT TMPDIR TZ TZDIR UID USER VISUAL
WGETRC
"""
#: Beginnings of names that loaders, interpreters and tools read; `BCCE_` is our own.
_PREFIX_LIST = """
AWS_ BASH BCCE_ COMP_ COPROC DBUS_ DOCKER_ DYLD_ GIT_ GLIBC_ GNUPG HIST KUBE LC_ LD_ MALLOC_ NODE_ NPM_ OPENSSL_ PERL PIP_ PROMPT_ PS0 PS1
PS2 PS3 PS4 PYTHON RUBY SSH_ SSL_ SUDO_ SYSTEMD_ TERM XDG_
"""
RESERVED_NAMES = frozenset(_NAME_LIST.split())
RESERVED_PREFIXES = tuple(_PREFIX_LIST.split())


def is_variable_name(name: str) -> bool:
    """Whether `name` may carry data into a script: capital letters, digits, underscores; nothing that steers the shell or the system."""
    return bool(_NAME.fullmatch(name)) and name not in RESERVED_NAMES and not name.startswith(RESERVED_PREFIXES)
