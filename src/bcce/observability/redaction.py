"""The last thing that happens to a log line before it is written: nothing secret is left in it, and nothing that could forge another line.

`kit.redact` masks secrets by their type, their key and their looks. Logs need more than that: exceptions and third-party libraries put
headers, connection strings and SQL parameters into free text.
"""

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final

from bcce.kit.redact import MASK, Secret, redact

#: A text in a log line longer than this is cut; whole webhook bodies have no place in a log.
MAX_TEXT: Final = 20_000

_HEADER_NAME = r"(?:proxy-)?authorization|(?:set-)?cookie|x-api-key|x-amz-security-token|x-vault-token"
#: A header in free text: as a line, in the representation of a mapping, or in one of a pair. The mask takes the rest of the line, since
#: the value of an authorization header may hold blanks, commas and quotes.
_HEADER_TEXT = re.compile(rf"(?i)\b({_HEADER_NAME})(\s*[:=]|\\*['\"]\s*[:=,])[^\r\n]*")
#: `password=…` in connection strings and query strings.
_ASSIGNED = re.compile(r"(?i)((?:pass(?:word|wd|phrase)?|secret|api[_-]?key|token|signature)=)[^\s&;,'\"]+")
#: SQLAlchemy's errors show the values that a statement was run with.
_SQL_PARAMETERS = re.compile(r"(\[parameters: )[^\r\n]*")
_HEADER_ITEM = re.compile(rf"(?i)(?:{_HEADER_NAME})")
#: What would move the cursor, colour the screen or reorder what follows, if a line is printed as it is.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


class Redactor:
    """A structlog processor for the place in front of the renderer.

    Args:
        secrets: values that are masked wherever they turn up, for example those of the configuration.
        is_printed: the renderer prints text as it is, so control characters are shown as escapes; JSON does that by itself.
    """

    def __init__(self, secrets: Iterable[Secret] = (), *, is_printed: bool = False) -> None:
        self._secrets = tuple(secrets)
        self._is_printed = is_printed

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The line's values, safe to write. Never raises: a line that cannot be made safe is replaced by one that says so."""
        try:
            return {
                str(self._safe(key)): self._safe(value, is_traceback=key in ("exception", "stack")) for key, value in self._masked(event)
            }
        except Exception as error:  # a value's own __str__ may raise anything, and logging must not break what it reports on
            return {"event": "log.unprintable", "level": "error", "reason": type(error).__name__}

    def _masked(self, event: MutableMapping[str, Any]) -> Iterable[tuple[str, object]]:
        masked = redact(dict(event), self._secrets)
        return masked.items() if isinstance(masked, Mapping) else ()

    def _safe(self, value: object, *, is_traceback: bool = False) -> object:
        if isinstance(value, str):
            return self._text(value, is_traceback=is_traceback)
        if isinstance(value, Mapping):
            return {str(self._safe(key)): self._safe(item) for key, item in value.items()}
        if isinstance(value, list):
            # Servers keep headers as pairs; a pair has no key that `redact` could see.
            if len(value) == 2 and isinstance(value[0], str) and _HEADER_ITEM.fullmatch(value[0]):
                return [value[0], MASK]
            return [self._safe(item) for item in value]
        return value

    def _text(self, text: str, *, is_traceback: bool) -> str:
        text = _HEADER_TEXT.sub(rf"\1\2 {MASK}", text)
        text = _ASSIGNED.sub(rf"\1{MASK}", text)
        text = _SQL_PARAMETERS.sub(rf"\1{MASK}]", text)
        if len(text) > MAX_TEXT:
            text = f"{text[:MAX_TEXT]}… ({len(text) - MAX_TEXT} characters more)"
        if self._is_printed:
            text = _CONTROL.sub(_escape, text)
            if not is_traceback:
                text = text.replace("\n", "\\n")
        return text


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")
