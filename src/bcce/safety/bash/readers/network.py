"""Network tools that fetch from this machine or knock at a port."""

import re

from bcce.safety.bash.readers.options import given, options
from bcce.safety.bash.values import ANY, is_literal, prefix
from bcce.safety.bash.view import Call

#: An address on this machine.
LOOPBACK = re.compile(r"(https?://)?(localhost|127(\.\d{1,3}){3}|\[::1\]|0\.0\.0\.0|ip6-localhost)(:\d+)?([/?#].*)?", re.DOTALL)


#: A name that is put together from what a command printed.
TELLS = re.compile("[\ue000\ue001].*[.@]|@.*[\ue000\ue001]|[\ue001].* ")
_CURL_VALUED = frozenset(
    [
        "-m",
        "-w",
        "-A",
        "-e",
        "-H",
        "-x",
        "-u",
        "-b",
        "-c",
        "-E",
        "-T",
        "-F",
        "-d",
        "-X",
        "-o",
        "-K",
        "-D",
        "-C",
        "-r",
        "-y",
        "-Y",
        "-z",
        "-P",
        "-Q",
        "-t",
    ]
)


_CURL_SAFE_SHORT = re.compile(r"-[sSfILkv046igG#jNOqlanR]*(?:[mwAeHXor].*)?", re.DOTALL)


_CURL_SAFE_LONG = re.compile(
    r"--(silent|show-error|fail|fail-with-body|head|include|verbose|insecure|location|compressed|max-time|"
    r"connect-timeout|retry|retry-delay|retry-max-time|retry-connrefused|write-out"
    r"|http1\.1|http2|ipv4|ipv6|get|no-progress-meter|progress-bar|header|user-agent|referer|request|"
    r"max-redirs|globoff|path-as-is|noproxy|output|unix-socket|trace-time|interface|no-buffer|parallel|stderr|"
    r"tlsv1\.\d)"
)


def curl(call: Call) -> str | None:
    """A GET of this machine, printed or thrown away."""
    urls: list[str] = []
    args = list(call.args)
    while args:
        value = args.pop(0)
        if value.startswith("--"):
            name, equals, given = value.partition("=")
            if not _CURL_SAFE_LONG.fullmatch(name):
                return f"curl {name} is not known to read only"
            takes = name in (
                "--max-time",
                "--connect-timeout",
                "--retry",
                "--retry-delay",
                "--retry-max-time",
                "--write-out",
                "--header",
                "--user-agent",
                "--referer",
                "--request",
                "--max-redirs",
                "--noproxy",
                "--output",
                "--unix-socket",
                "--interface",
                "--stderr",
            )
            given = given if equals or not takes or not args else args.pop(0)
            if name in ("--output", "--stderr") and given not in ("/dev/null", "-"):
                return "curl writes a file"
            if name == "--request" and given.upper() not in ("GET", "HEAD", "OPTIONS"):
                return "curl sends something"
            if name in ("--write-out", "--header") and (given.startswith("@") or "%output{" in given):
                return "curl reads or writes a file"
        elif value.startswith("-") and len(value) > 1:
            if not _CURL_SAFE_SHORT.fullmatch(value):
                return f"curl {value} is not known to read only"
            at = next((index for index, char in enumerate(value) if index and f"-{char}" in _CURL_VALUED), None)
            if "O" in value[:at]:
                return "curl writes a file"
            if at is not None:
                letter, given = value[at], value[at + 1 :] or (args.pop(0) if args else "")
                if letter == "o" and given not in ("/dev/null", "-"):
                    return "curl writes a file"
                if letter == "X" and given.upper() not in ("GET", "HEAD", "OPTIONS"):
                    return "curl sends something"
                if letter in "wH" and (given.startswith("@") or "%output{" in given):
                    return "curl reads a file"
        else:
            urls.append(value)
    if urls and all(LOOPBACK.fullmatch(url) and ANY not in url and not _host_is_open(url) for url in urls):
        return None
    return "curl talks to another machine"


def _host_is_open(url: str) -> bool:
    """The host may turn out to be another one: a hole right behind it."""
    start = prefix(url)
    return not is_literal(url) and not re.match(r"(https?://)?[\w.\[\]:]+[:/?]", start)


def wget(call: Call) -> str | None:
    """A GET of this machine that is printed or only tested."""
    valued = re.compile(r"-[qnvS]*[OTt]|--(?:output-document|timeout|tries|max-redirect)")
    urls = [
        value
        for before, value in zip(("", *call.args), call.args, strict=False)
        if not (value.startswith("-") and value != "-") and not valued.fullmatch(before)
    ]
    if sum(value.startswith(("-O", "-qO", "--output-document", "-nvO")) for value in call.args) > 1:
        return "wget writes a file"
    prints = call.has("--spider") or any(re.fullmatch(r"-[qnv]*O-?|--output-document=(-|/dev/null)", value) for value in call.args)
    target = [call.args[index + 1] for index, value in enumerate(call.args[:-1]) if re.fullmatch(r"-[qnv]*O|--output-document", value)]
    known = all(
        re.fullmatch(
            (
                r"-(q|nv|qO-?|O-?|T|t|S|4|6|qS|SO-?)|--(spider|quiet|timeout|tries|no-verbose|server-response|"
                r"no-check-certificate|output-document|max-redirect|no-proxy)(=.*)?|-[Tt]\d+"
            ),
            value,
        )
        for value in call.args
        if value.startswith("-") and value != "-"
    )
    is_here = bool(urls) and all(LOOPBACK.fullmatch(url) and not _host_is_open(url) for url in urls)
    if prints and known and is_here and all(value in ("-", "/dev/null") for value in target):
        return None
    return "wget fetches from another machine or writes a file"


_NC = options("!-z -vnu46dNtrCSh -wipsqGTIO= --zero --wait= --verbose --udp --source= --source-port=")


def nc(call: Call) -> str | None:
    """A port that is only knocked at."""
    said = given(call.args, _NC)
    if said.unknown is not None or said.misses(_NC):
        return "netcat sends and receives, listens or runs something"
    return None
