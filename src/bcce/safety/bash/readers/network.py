"""Network tools that fetch from this machine, knock at a port or show a certificate."""

import re

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


def nc(call: Call) -> str | None:
    """A port that is only knocked at."""
    if call.has("-e", "-c", "-l", "--exec", "--sh-exec", "--lua-exec", "-k", "-L", "--listen", "-o", "--output", "-x", "--hex-dump"):
        return "netcat listens or runs something"
    return None if call.has("-z") else "netcat sends and receives"


_OPENSSL_DOES = [
    "-out",
    "-signkey",
    "-CAcreateserial",
    "-keyout",
    "-engine",
    "-provider",
    "-provider_path",
    "-config",
    "-writerand",
    "-CA",
    "-req",
    "-newkey",
    "-new",
    "-sign",
    "-passin",
    "-sess_out",
    "-keylogfile",
    "-provider-path",
    "-msgfile",
    "-early_data",
    "-ssl_client_engine",
    "-respout",
    "-reqout",
    "-port",
    "-index",
]
_OPENSSL_READS = [
    "x509",
    "req",
    "crl",
    "pkcs7",
    "ocsp",
    "verify",
    "version",
    "ciphers",
    "asn1parse",
    "dgst",
    "list",
    "errstr",
    "prime",
    "speed",
    "ec",
    "rsa",
    "pkey",
    "crl2pkcs7",
]


def openssl(call: Call) -> str | None:
    """Certificates shown and connections looked at; nothing written, signed or decrypted."""
    verb = call.args[0] if call.args else ""
    # Two dashes are as good as one.
    options = [re.sub("^--", "-", value) for value in call.args[1:]]
    if any(option.partition("=")[0] in _OPENSSL_DOES for option in options):
        return "openssl writes, signs or loads something"
    if verb not in ("s_client", "ocsp") and any(re.match("https?:", value) for value in call.operands):
        return "openssl fetches from another machine"
    if verb in ("ec", "rsa", "pkey") and ("-noout" not in options or "-text" in options):
        return "openssl shows a private key"
    if verb == "s_client":
        given = [redirect for redirect in call.command.redirects if redirect.operator in ("<", "<<", "<<<")]
        is_quiet = all(redirect.target is not None and redirect.target.raw in ("/dev/null", '""', "''") for redirect in given)
        says = [word.literal for command in call.command.inputs for word in command.argv[:1]]
        computed = any(word.literal is None for command in call.command.inputs for word in command.argv)
        if any(TELLS.search(value) for value in call.operands):
            return "what a command printed is sent away in a name"
        if "-proxy" in options or computed or not is_quiet or not set(says) <= {"echo", "true", "printf", "sleep"}:
            return "openssl sends something to another machine"
        return None
    if verb in _OPENSSL_READS:
        return None
    return f"openssl {verb} is not known to read only"
