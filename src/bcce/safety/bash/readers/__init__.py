"""Commands that are proven to read only, by their arguments and never by their name alone."""

import fnmatch
import re
from collections.abc import Collection

from bcce.safety.bash.paths import is_device, is_endless
from bcce.safety.bash.readers.files import recursive, secret_in
from bcce.safety.bash.readers.otherwise import says_something_else
from bcce.safety.bash.readers.special import SPECIAL
from bcce.safety.bash.readers.strict import strict
from bcce.safety.bash.readers.tools import Tool, tools
from bcce.safety.bash.readers.verbs import Verbs, verbs
from bcce.safety.bash.values import ANY, NUM, ONE, OUT, STAR, is_literal, prefix, shown
from bcce.safety.bash.view import Call

_DECLARATIONS = frozenset({"export", "declare", "typeset", "local", "readonly", "unset"})
#: Builtins that evaluate an array index in a name that they are given.
_NAMING = _DECLARATIONS | {"read", "readarray", "mapfile", "printf", "test", "[", "getopts", "let", "wait"}
_VERSION = (("--version",), ("--help",), ("-version",), ("-V",), ("--Version",))
#: Tools whose operands are no files that they show.
_NO_FILES = frozenset({"kill", "pkill", "killall", "set", "shopt", "date", "smartctl"})
#: Tools that can be given something without an end: they stop by themselves, or hand it on to what does.
STREAMING = frozenset({"head", "od", "xxd", "hexdump", "tr"})
_MOST_WORDS = 20
_MOST_TEXT = 2000
#: What a hole is taken for where its value does not matter.
_STAND_INS = str.maketrans({OUT: "x", NUM: "1", STAR: "*", ONE: "a", ANY: "x"})
#: Tools that send a name to another machine, and names that are put together from what a command printed.
_ASKERS = frozenset(
    {"ping", "ping6", "traceroute", "traceroute6", "tracepath", "mtr", "nslookup", "host", "dig", "drill", "whois", "finger"}
)
_TELLS = re.compile("[\ue000\ue001].*[.@]|@.*[\ue000\ue001]|[\ue001].* ")
_PLAIN = re.compile(r"[a-z][\w.+-]*")
#: Names whose value changes what other commands do; everything else is the script's own business.
_HARMFUL_NAME = re.compile(
    r"PATH|LD_.*|DYLD_.*|BASH_.*|ENV|SHELLOPTS|BASHOPTS|PROMPT_COMMAND|PS[0-4]|CDPATH|FPATH|.*PAGER|.*EDITOR|"
    r"VISUAL|BROWSER|GIT_.*|SSH_.*|SUDO_.*|PERL.*|PYTHON.*|RUBY.*|NODE_.*|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_.*|MAVEN_OPTS|GRADLE_OPTS"
    r"|KUBECONFIG|DOCKER_HOST|DOCKER_CONFIG|DOCKER_CLI.*|AWS_CONFIG_FILE|AWS_SHARED.*|AWS_ENDPOINT.*|AWS_CA.*|BOTO_CONFIG|CLOUDSDK_.*|"
    r"AZURE_CONFIG.*|LESS.*|MAN.*OPT|MANPAGER|SYSTEMD_.*(LESS|PAGER|EDITOR).*|HOME|XDG_.*|HIST.*|SHELL|INPUTRC|"
    r"TERMINFO.*|TERMCAP"
    r"|OPENSSL_.*|SSL_CERT.*|SSL_KEYLOGFILE|SSLKEYLOGFILE|CURL_.*|WGETRC|.*_PROXY|.*_proxy|GCONV_PATH|LOCPATH|NLSPATH|GETCONF_DIR|"
    r"MALLOC_.*|HOSTALIASES|RES_OPTIONS|LOCALDOMAIN|TZDIR|RESOLV.*|NIS_PATH|GREP_OPTIONS|TAR_OPTIONS|GZIP|BZIP2?|"
    r"XZ_(OPT|DEFAULTS)|ZIPOPT|RSYNC_.*|RIPGREP_CONFIG_PATH|FZF_.*|MAKEFLAGS|CC|CXX|CPP|AWKPATH|AWKLIBPATH|GAWK.*|"
    r"PGSYSCONFDIR|PGSERVICEFILE|PGPASSFILE|MYSQL_HOME|EXINIT|VIMINIT|LUA_.*|TCLLIBPATH|R_.*|GEM_.*|BUNDLE_.*|npm_config_.*|"
    r"APT_.*|.*_INCLUDE|APACHE_.*|ERL_.*|ELIXIR_.*|KUBECTL_.*|KAFKA_.*|CASSANDRA_.*|JVM_.*|.*_OPTS|.*_OPTIONS|RESTIC_.*|BORG_.*|RCLONE_.*|"
    r"VAULT_.*|NOMAD_.*|CONSUL_.*|CARGO_.*|RUSTC.*|GO[A-Z]+|RPM_.*|DNF.*|YARN_.*|PIP_.*|UV_.*|CONDA_.*|ANSIBLE_.*|TF_.*|HELM_.*|KUBE_.*|FAKEROOT.*|QT_.*PATH|GTK_.*|GIO_.*|DBUS_.*|"
    r"COLUMNS_PATH|PKG_CONFIG_.*|command_not_found_handle"
)


def is_harmful_name(name: str, value: str | None = None) -> bool:
    """Setting the variable changes what other commands do. Source: the ENVIRONMENT sections of the tools' manual pages."""
    if not _HARMFUL_NAME.fullmatch(name):
        return False
    if value is None:
        return True
    if name == "PATH":
        folders = value.replace("\ue001", "$PATH").split(":")
        return not all(
            re.fullmatch(r"(/usr)?(/local)?/s?bin|\$PATH|/snap/bin|/opt/(homebrew|puppetlabs)/s?bin", folder) for folder in folders
        )
    if name.endswith("PAGER"):
        return value not in ("", "cat", "/bin/cat")
    return not (
        name in ("GIT_TERMINAL_PROMPT", "LESS", "PS4", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONIOENCODING", "SYSTEMD_COLORS")
        and re.fullmatch(r"[\w:+ .-]*", value)
    )


def why_not_reader(call: Call, functions: Collection[str] = ()) -> str | None:
    """Why the call is not proven to read only; None if it is."""
    name = call.name
    if name is None:
        return "the command is computed"
    for variable, value in call.settings:
        if is_harmful_name(variable, value):
            return f"{variable} changes what the command does"
    if name in functions:
        return None  # its body is judged where it stands
    if name in _NAMING and any("[" in value and re.search(r"\$\(|`|\$\{", value) for value in call.args):
        return "a command is hidden in the index of an array"
    if name == "printf" and any(re.match(r"-v", value) for value in call.args[:1]):
        return (
            None
            if len(call.args) > 1 and re.fullmatch(r"\w+", call.args[1]) and not is_harmful_name(call.args[1])
            else "printf -v sets a name that is computed"
        )
    if name in _DECLARATIONS:
        return _declares(call)
    if call.args in _VERSION and _PLAIN.fullmatch(name) and not call.is_fed:
        return None
    reason = _known(call, name)
    return reason


def _declares(call: Call) -> str | None:
    """Names that are exported or removed must not change what other commands do."""
    if call.name in ("declare", "typeset") and call.args == ("-p",):
        return "every variable is shown, with the secrets among them"
    if call.name == "unset" and call.has("-f"):
        return "a command gets its first meaning back"
    for value in call.args:
        if value.startswith("-"):
            if (call.name == "declare" and "n" in value) or ("f" in value and call.name == "export"):
                return "a name that stands for another one"
            if "i" in value:
                return "what is assigned is evaluated, which can run a command"
            continue
        name, equals, text = value.partition("=")
        if not is_literal(name):
            return "a computed name"
        if (equals and is_harmful_name(name, text)) or (call.name == "unset" and is_harmful_name(name)):
            return f"{name} changes what other commands do"
    return None


def _known(call: Call, name: str) -> str | None:
    if says_something_else(call, name):
        return f"{name} is given a word that changes something, or options that are not known"
    reason: str | None = f"{name} is not proven to read only"
    check = SPECIAL.get(name)
    if check is not None:
        reason = check(call)
        if reason is None:
            return _devices(call)
        own = strict().get(name)
        return None if own is not None and _matches(own, call) else reason
    pattern = strict().get(name)
    if pattern is not None and not call.is_fed and _matches(pattern, call):
        return secret_in(call, call.operands) if name not in _NO_FILES else None
    entry = verbs().get(name)
    if entry is not None:
        reason = _by_verb(call, name, entry)
        if reason is None:
            return None
    tool = tools().get(name)
    return _by_tool(call, name, tool) if tool is not None else reason


def _matches(pattern: re.Pattern[str], call: Call) -> bool:
    """The arguments match as a whole; more than are sensible never do, which bounds the time."""
    if any(value[:1] == ANY for value in call.args) or len(call.args) > _MOST_WORDS:
        return False
    text = "".join(f"{value.translate(_STAND_INS)} " for value in call.args)
    return len(text) <= _MOST_TEXT and pattern.fullmatch(text) is not None


#: The reading word stands at the end: `service nginx status`, `gcloud compute instances list`.
_READS_AT_THE_END = re.compile(
    "list|describe|get-value|get-iam-policy|info|read|logs|get-health|get-status|get-serial-port-output|list-[a-z]+|tail|search|version|ls"
    "|lookup|diagnose|get-server-config"
)


#: Paths of the Kubernetes API that hold no secret. Source: Kubernetes API health endpoints.
_OPEN_PATH = re.compile(
    r"/(?:(?:healthz|livez|readyz)(?:/[\w/-]*)?(?:\?verbose)?|metrics|version|apis?/?|apis/metrics\.k8s\.io/[\w/]*|openapi/v\d)"
)


def _by_verb(call: Call, name: str, entry: Verbs) -> str | None:
    """The first words decide, wherever the options stand."""
    words = _verbs(call, entry)
    if name == "kubectl" and call.args[:2] == ("get", "--raw") and len(call.args) == 3 and _OPEN_PATH.fullmatch(call.args[2]):
        return None
    if name in ("docker", "podman", "nerdctl") and any(".Env" in value or "json .Config" in value for value in call.args):
        return "the environment of a container is shown, with the secrets in it"
    if name in ("docker", "podman", "nerdctl") and words[:2] == ["compose", "config"] and call.has("-o", "--output"):
        return "the configuration is written to a file"
    if name == "systemctl" and any("nvironment" in value and value != "show-environment" for value in call.args):
        return "the environment of a service is shown, with the secrets in it"
    if any(";" in word for word in words):
        return "several commands of its own language in one"
    denied = next((denied for denied in entry.denied if _is_denied(denied, call, words, entry)), None)
    if denied is not None:
        return f"{name} {denied} is not reading"
    if not words:
        return None if entry.is_bare or call.args in (("--version",), ("--help",), ("-v",), ("-V",)) else f"{name} without a word"
    for reading in entry.reading:
        if reading[0] == "":
            if reading[1] == "*" and any(_READS_AT_THE_END.fullmatch(word) for word in words[1:]):
                return _no_secret_object(words)
            if any(word == reading[1] for word in words[1:]):
                return None
        elif reading[-1].endswith("!"):
            if words == [*reading[:-1], reading[-1][:-1]]:
                return None
        elif len(words) >= len(reading) and all(fnmatch.fnmatchcase(word, want) for word, want in zip(words, reading, strict=False)):
            return _no_secret_object(words) if name not in ("journalctl", "systemctl", "apt", "yum", "dnf") else None
    return f"{name} {shown(' '.join(words[:2]))} is not proven to read only"


def _verbs(call: Call, entry: Verbs) -> list[str]:
    """The words that are no options and no values of options."""
    words: list[str] = []
    args = list(call.args)
    while args:
        value = args.pop(0)
        if value == "--":
            return [*words, *args]
        if value in entry.valued:
            args = args[1:]
        elif not value.startswith("-") or (value,) in entry.reading:
            words.append(value)
    return words


def _is_denied(denied: str, call: Call, words: list[str], entry: Verbs) -> bool:
    """The option or word `denied` is among what the call says; a long option also when it is shortened."""
    if denied.startswith("--") and denied.endswith("*"):
        return any(value.startswith(denied[:-1]) for value in call.args)
    if not denied.startswith("-"):
        return any(fnmatch.fnmatchcase(word, denied) for word in words)
    if any(value == denied or value.startswith(f"{denied}=") for value in call.args):
        return True
    long = [value.partition("=")[0] for value in call.args if len(value) > 4 and value.startswith("--")]
    long = [value for value in long if value not in entry.valued]
    return denied.startswith("--") and any(denied.startswith(value) for value in long)


def _no_secret_object(words: list[str]) -> str | None:
    """Secrets of a cluster or a cloud are not shown."""
    for word in words[1:]:
        if any(re.match(r"secrets?([./]|$)|sealedsecrets?$|serviceaccounts?/token", part) for part in word.lower().split(",")):
            return "it reads secrets"
        if ANY in word and prefix(word) == "" and words[0] in ("get", "describe"):
            return "it could be asked for secrets"
    return None


def _by_tool(call: Call, name: str, tool: Tool) -> str | None:
    if tool.denied and call.has(*tool.denied):
        return f"this option of {name} makes it write or run something"
    # The first word of printf is its format; behind it nothing is an option.
    open_words = call.args[:1] if name == "printf" else call.args
    if tool.denied and any(value[:1] == ANY for value in open_words) and "--" not in call.args:
        return f"{name} could be given an option"
    operands = _operands(call, tool)
    if name == "ps" and any(re.fullmatch(r"[A-Za-z]*e[A-Za-z]*", value) for value in operands):
        return "ps shows the environment of processes, where secrets are kept"
    if name in _ASKERS and any(_TELLS.search(value) for value in operands):
        return "what a command printed is sent away in a name"
    if tool.most is not None and len(operands) > tool.most:
        return f"{name} writes its second operand"
    if tool.kind in ("read", "match"):
        shown = [value for value in call.args if not value.startswith("-")]
        if tool.kind == "match":
            operands = operands if call.has("-e", "--regexp", "-f", "--file") else operands[1:]
            shown = [*operands, *(call.args[index + 1] for index, value in enumerate(call.args[:-1]) if value in ("-f", "--file"))]
        if tool.kind == "match" and (call.has("-r", "-R", "--recursive", "--dereference-recursive") or name in ("rg", "ag", "ack")):
            reason = recursive(call)
            if reason is not None:
                return reason
        if name in ("less", "more", "most") and (call.command.inputs or call.command.redirects) and operands:
            return f"{name} could be told to run something"
        if name in ("less", "more", "most") and any(value.startswith("+") for value in call.args):
            return f"{name} could be told to run something"
        return secret_in(call, [*shown, *_given_files(call)]) or _devices(call)
    return None


def _given_files(call: Call) -> list[str]:
    """Files that an option names: -fFILE, --file=FILE."""
    return [value.partition("=")[2] for value in call.args if value.startswith("--") and "=" in value and ("/" in value or "file" in value)]


def _operands(call: Call, tool: Tool) -> list[str]:
    """The operands, leaving out the values of options."""
    found: list[str] = []
    args = list(call.args)
    while args:
        value = args.pop(0)
        if value == "--":
            return found + args
        if value in tool.valued:
            args = args[1:]
        elif not value.startswith("-") or value == "-":
            found.append(value)
    return found


def _devices(call: Call) -> str | None:
    """The content of disks and of memory is not shown."""
    if any(is_device(value) for value in call.operands) and call.name not in ("find",):
        return "it reads a disk or memory directly"
    if any(is_endless(value) for value in call.operands):
        return None if call.name in STREAMING else "it reads without end"
    return None
