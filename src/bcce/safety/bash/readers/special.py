"""Tools whose arguments are a language of their own."""

import re
from collections.abc import Callable

from bcce.safety.bash.readers.awk import awk
from bcce.safety.bash.readers.cloud import aws, azure
from bcce.safety.bash.readers.network import curl, nc, wget
from bcce.safety.bash.readers.openssl import openssl
from bcce.safety.bash.readers.options import given, options
from bcce.safety.bash.readers.text import compressor, find, sed, tar, unzip
from bcce.safety.bash.view import Call

_GETENT = options("-A --no-addrconfig")


def getent(call: Call) -> str | None:
    """The databases, but not the passwords."""
    if given(call.args, _GETENT).unknown is not None:
        return "getent could ask another service"
    return "it reads password hashes" if {"shadow", "gshadow"}.intersection(call.values) else None


def env(call: Call) -> str | None:
    """env without a command shows the environment."""
    if call.is_wrapper:
        return None
    is_plain = all(
        value in ("-0", "--null", "-i", "-", "--help", "--version") or re.fullmatch(r"\w+=.*|-u|--unset=\w+", value) for value in call.args
    )
    return None if is_plain else "env runs something that is not known"


_DATE = options("-uRj -dv= -r= -I=? --utc --universal --rfc-email --debug --resolution --date= --reference= --iso-8601=? --rfc-3339=")


def date(call: Call) -> str | None:
    """The time shown in some way; any other operand sets it."""
    said = given(call.args, _DATE)
    if said.unknown is not None or not all(value.startswith("+") for value in said.operands):
        return "date could set the clock"
    return None


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
    "date": date,
    "aws": aws,
    "az": azure,
    "python": python,
    "exec": redirect_only,
}
