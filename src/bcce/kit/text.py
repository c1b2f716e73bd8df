"""Outside text made safe to keep and show, and canonical JSON for whatever is signed or compared."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping

#: What a person would not see: C0 and C1 controls but tab and newline; characters that reorder or hide text on a screen (Trojan Source,
#: CVE-2021-42574); blank letters; line separators; lone surrogates; and the tag block, in which a whole sentence can be hidden from people
#: but not from a model.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\u3164\ud800-\udfff"
    "\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)


#: Made once: `json.dumps` makes a new one for every value.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def clean(text: str, *, limit: int) -> str:
    """`text` in Unicode normal form C without control or direction characters, at most `limit` characters.

    For text that came from outside and will be stored or shown. Carriage returns become newlines. What was cut off ends in an ellipsis.

    Raises:
        ValueError: `limit` is less than 1, so that not even the ellipsis fits.
    """
    if limit < 1:
        raise ValueError("a text needs room for one character")
    head = text[: limit * 2]  # so that a huge text costs no more than a long one
    shown = _HIDDEN.sub("", head.replace("\r\n", "\n").replace("\r", "\n"))
    shown = unicodedata.normalize("NFC", shown)
    return shown if len(shown) <= limit and len(head) == len(text) else shown[: limit - 1] + "…"


def visible(text: str) -> str:
    """`text` in full on a line or several, each character that a person would not see named, such as ⟨U+200B⟩; for what somebody signs."""
    return _HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def has_hidden(text: str) -> bool:
    """`text` holds characters that a person would not see; carriage returns before a newline do not count."""
    return bool(_HIDDEN.search(text.replace("\r\n", "\n")))


class Canonical(dict[str, object]):
    """A JSON object together with its canonical text, so that what was measured need not be encoded again. It is never changed."""

    __slots__ = ("text",)

    def __init__(self, value: Mapping[str, object], text: str | None = None) -> None:
        super().__init__(value)
        self.text = canonical_text(value) if text is None else text


def canonical_json(value: object) -> bytes:
    """The one encoding of a JSON value: sorted keys, no spaces, UTF-8; what is signed and hashed.

    Raises:
        ValueError: not a number (NaN, infinity), or a lone surrogate.
        TypeError: not a JSON value.
    """
    return canonical_text(value).encode()


def canonical_text(value: object) -> str:
    """`canonical_json` as text.

    Raises:
        ValueError: not a number (NaN, infinity), or a lone surrogate.
        TypeError: not a JSON value.
    """
    if type(value) is Canonical:
        return value.text
    text = _ENCODER.encode(value)
    if not text.isascii():
        text.encode()
    return text


def digest(value: object) -> str:
    """`sha256:` and the hex digest of the canonical JSON of `value`; bytes are hashed as they are."""
    data = value if isinstance(value, bytes) else canonical_json(value)
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
