"""Reading a webhook body that nobody can vouch for: strict JSON, then values by what they must be, each complaint with its JSON path.

What every provider needs, and nothing of any one monitor. Numbers are read as the text they were written in, so a label that is `600`
today and `"600"` tomorrow stays the same label, and no digit is lost. Pure.
"""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Never

from bcce.alerts.errors import UnparsableDelivery
from bcce.alerts.model import MAX_LABELS, MAX_NAME, MAX_VALUE
from bcce.kit.clock import parse_time
from bcce.kit.text import clean

#: How deep objects and lists may nest, and how many of them and of values there may be. Real bodies have a depth of 4; without these
#: limits the same 16 MiB could become gigabytes of Python objects.
MAX_DEPTH = 64
MAX_CONTAINERS = 200_000
MAX_VALUES = 1_000_000
#: How far ahead of ours a source's clock may be. A start further in the future is refused: it would outrank every true one to come.
MAX_AHEAD = timedelta(days=1)

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
#: Longest piece of the body that a complaint quotes, in characters.
_QUOTED = 40


def read_json(body: bytes) -> object:
    """The JSON value in `body`, numbers as text; a byte order mark is skipped.

    Raises:
        UnparsableDelivery: not UTF-8, not JSON (NaN is none), a key twice in one object (two readers could understand it differently),
            too deep or too much.
    """
    containers = body.count(b"{") + body.count(b"[")
    if containers > MAX_CONTAINERS or body.count(b",") > MAX_VALUES:
        raise UnparsableDelivery("the body holds too many values", hint="send fewer alerts at once")
    try:
        value = json.loads(
            body.decode("utf-8-sig"), object_pairs_hook=_object_of, parse_constant=_no_constant, parse_int=str, parse_float=str
        )
    except UnicodeDecodeError as error:
        raise UnparsableDelivery(f"the body is not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise UnparsableDelivery(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise UnparsableDelivery(f"the body nests deeper than {MAX_DEPTH}") from error
    if containers > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise UnparsableDelivery(f"the body nests deeper than {MAX_DEPTH}")
    return value


def as_object(value: object, path: str) -> dict[str, object]:
    """`value` as an object.

    Raises:
        UnparsableDelivery: it is missing or something else.
    """
    return value if isinstance(value, dict) else _wrong(value, path, "an object")


def as_list(value: object, path: str, *, limit: int) -> list[object]:
    """`value` as a list of at most `limit` items.

    Raises:
        UnparsableDelivery: it is missing, something else, or longer.
    """
    if not isinstance(value, list):
        _wrong(value, path, "a list")
    if len(value) > limit:
        raise UnparsableDelivery(f"{len(value)} items, at most {limit} are taken", path=path, hint="send fewer at once")
    return value


def as_text(value: object, path: str) -> str | None:
    """`value` as text, not cleaned; numbers and truth values as they are written, None for null or nothing.

    Raises:
        UnparsableDelivery: it is an object or a list.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if value is None or isinstance(value, str) else _wrong(value, path, "text")


def as_texts(value: object, path: str) -> dict[str, str]:
    """`value` as an object of texts, not cleaned, without those that are null; empty when it is missing.

    Raises:
        UnparsableDelivery: something else, an entry that is no text, or more than `MAX_LABELS` entries.
    """
    if value is None:
        return {}
    entries = as_object(value, path)
    if len(entries) > MAX_LABELS:
        raise UnparsableDelivery(f"{len(entries)} entries, at most {MAX_LABELS} are taken", path=path)
    texts = ((key, as_text(item, f"{path}.{_shown(key)}")) for key, item in entries.items())
    return {key: text for key, text in texts if text is not None}


def as_time(value: object, path: str, *, received_at: datetime) -> datetime | None:
    """`value` as a moment in UTC; None when it is missing, or in the year 1, which is how Go writes "never".

    Raises:
        UnparsableDelivery: no RFC 3339 time with a zone, before 1970, or further ahead of `received_at` than `MAX_AHEAD`.
    """
    text = as_text(value, path)
    if not text or text.startswith("0001-01-01"):
        return None
    try:
        moment = parse_time(text)
    except ValueError as error:
        raise UnparsableDelivery(f"{_shown(text)!r} is not a time with a zone (RFC 3339)", path=path) from error
    if moment < _EARLIEST or moment > received_at + MAX_AHEAD:
        raise UnparsableDelivery(
            f"{_shown(text)!r} cannot be the time of an alert", path=path, hint="look at the clock of the machine that sent it"
        )
    return moment


def as_count(value: object, path: str) -> int:
    """`value` as a number of things; 0 when it is missing.

    Raises:
        UnparsableDelivery: not a whole number, negative, or of more than nine digits.
    """
    text = as_text(value, path)
    if not text:
        return 0
    if len(text) > 9 or not (text.isascii() and text.isdigit()):
        raise UnparsableDelivery(f"{_shown(text)!r} is not a count", path=path)
    return int(text)


def cleaned(texts: Mapping[str, str]) -> dict[str, str]:
    """Labels or annotations as they may be kept and shown."""
    return {clean(key, limit=MAX_NAME): clean(text, limit=MAX_VALUE) for key, text in texts.items()}


def _object_of(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise UnparsableDelivery(f"the body holds the key {_shown(twice)!r} twice in one object")
    return entries


def _no_constant(name: str) -> Never:
    raise UnparsableDelivery(f"the body holds {name}, which is not JSON")


def _is_deeper(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        level = inner
    return any(isinstance(item, dict | list) for item in level)


def _wrong(value: object, path: str, wanted: str) -> Never:
    if value is None:
        raise UnparsableDelivery(f"{wanted} is missing", path=path)
    kinds: dict[type, str] = {dict: "an object", list: "a list", str: "text", bool: "a truth value"}
    raise UnparsableDelivery(f"expected {wanted}, got {kinds.get(type(value), type(value).__name__)}", path=path)


def _shown(text: str) -> str:
    return clean(text, limit=_QUOTED)
