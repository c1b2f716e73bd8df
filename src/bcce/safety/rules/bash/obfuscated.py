"""Commands that are hidden from whoever reads the script."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.bash.view import INTERPRETERS, Call, View
from bcce.safety.rules.bash import Place

RULE = Rule(
    id="bash.obfuscated",
    title="Decoded text is run as code",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="nobody can see what runs, and hiding it has no honest purpose in a repair",
    instead="write the commands out",
    tags=("T1027", "T1140"),
    examples_match=(
        "echo cm0gLXJmIC8K | base64 -d | sh",
        'eval "$(echo 6c73 | xxd -r -p)"',
        "bash <(base64 --decode payload)",
        "openssl enc -d -aes-256-cbc -in x | bash",
    ),
    examples_pass=("base64 -d cert.b64 > cert.pem", "echo hello | base64", "gunzip -c dump.gz | wc -l"),
)
_DECODES_INSIDE = re.compile(
    r"b64decode|base64\.|decode_base64|fromhex|unhexlify|\bzlib\b|codecs\.decode|rot13|MIME::Base64|pack\(\s*['\"]H|atob\(|"
    r"Buffer\.from\(|base64_decode|gzinflate|str_rot13|chr\(\d+\)|\\\\x[0-9a-f]{2}",
    re.IGNORECASE,
)
_RUNS = re.compile(r"\bexec\b|\beval\b|system|subprocess|popen|child_process|compile\(|__import__|assert\(", re.IGNORECASE)


def find(view: View) -> Iterable[Place]:
    """Interpreters fed by a decoder, and command words that only exist decoded."""
    for call in view.calls:
        if call.name is None:
            words = call.command.argv
            if words and any(part.kind == "output" for part in words[0].parts) and any(_decodes(source) for source in view.sources(call)):
                yield Place(call.command)
            continue
        is_interpreter = call.name in INTERPRETERS or call.name in ("eval", "xargs", "at", "crontab")
        if (
            is_interpreter
            and any(_decodes(source) for source in view.sources(call))
            and not (call.name == "xargs" and call.args and call.args[-1] not in INTERPRETERS)
        ) or (
            call.name in ("python", "perl", "ruby", "node", "php", "lua")
            and any(_DECODES_INSIDE.search(value) and _RUNS.search(value) for value in call.values)
        ):
            yield Place(call.command)


def _decodes(call: Call) -> bool:
    if call.name in ("base64", "base32", "basenc", "gbase64"):
        return call.has("-d", "-D", "--decode")
    if call.name == "xxd":
        return call.has("-r")
    if call.name == "openssl":
        return call.has("-d") or "base64" in call.values
    if call.name == "tr":
        return (
            not call.has("-d", "-s")
            and len(call.operands) == 2
            and not all(re.fullmatch(r"(\[:\w+:\]|a-z|A-Z|\\n|[ ,;:|])", value) for value in call.operands)
        )
    if call.name in ("gzip", "bzip2", "xz", "zstd"):
        return call.has("-d", "--decompress")
    if call.name in ("echo", "printf"):
        return sum(value.count("\\x") + len(re.findall(r"\\[0-7]{3}", value)) for value in call.values) >= 3
    if call.name in ("python", "perl", "ruby", "php"):
        return any(_DECODES_INSIDE.search(value) for value in call.values)
    return call.name in ("gunzip", "zcat", "bzcat", "xzcat", "uudecode", "rev")
