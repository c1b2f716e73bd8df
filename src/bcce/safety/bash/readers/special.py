"""Tools whose arguments are a language of their own."""

import re
from collections.abc import Callable

from bcce.safety.bash.readers.awk import awk
from bcce.safety.bash.readers.cloud import aws, azure
from bcce.safety.bash.readers.network import curl, nc, openssl, wget
from bcce.safety.bash.readers.text import compressor, find, sed, tar, unzip
from bcce.safety.bash.view import Call


def getent(call: Call) -> str | None:
    """The databases, but not the passwords."""
    return "it reads password hashes" if {"shadow", "gshadow"}.intersection(call.values) else None


def env(call: Call) -> str | None:
    """env without a command shows the environment."""
    if call.is_wrapper:
        return None
    is_plain = all(
        value in ("-0", "--null", "-i", "-", "--help", "--version") or re.fullmatch(r"\w+=.*|-u|--unset=\w+", value) for value in call.args
    )
    return None if is_plain else "env runs something that is not known"


def python(call: Call) -> str | None:
    """A JSON filter and a few words of the standard library."""
    if call.args[:2] in (("-m", "json.tool"), ("-mjson.tool",)) and len(call.args) <= 3:
        return None
    if call.args in (("-m", "site"), ("-m", "sysconfig"), ("-m", "pip", "list"), ("-m", "pip", "freeze"), ("-m", "pip", "--version")):
        return None
    return f"what {call.name} runs is not known"


def redirect_only(call: Call) -> str | None:
    """exec without a command only keeps redirects, which are judged on their own."""
    if any(
        redirect.operator in ("<", "<<<", "<<", "<&") and redirect.target is not None and redirect.descriptor in ("", "0")
        for redirect in call.command.redirects
    ):
        return "the script goes on with what it reads from elsewhere"
    return None if not call.args or call.is_wrapper else "exec runs something"


SPECIAL: dict[str, Callable[[Call], str | None]] = {
    "curl": curl,
    "wget": wget,
    "find": find,
    "sed": sed,
    "gsed": sed,
    "awk": awk,
    "gawk": awk,
    "mawk": awk,
    "nawk": awk,
    "tar": tar,
    "bsdtar": tar,
    "unzip": unzip,
    "gzip": compressor,
    "gunzip": compressor,
    "bzip2": compressor,
    "bunzip2": compressor,
    "xz": compressor,
    "unxz": compressor,
    "zstd": compressor,
    "lz4": compressor,
    "nc": nc,
    "ncat": nc,
    "netcat": nc,
    "openssl": openssl,
    "getent": getent,
    "env": env,
    "aws": aws,
    "az": azure,
    "python": python,
    "exec": redirect_only,
}
