"""What functions of text are worth: formats, conversions, and the methods of strings."""

import base64
import re
from collections.abc import Callable, Mapping, Sequence

Value = str | bytes | int | list["Value"]
MAX_LENGTH = 64 * 1024
_UNITS = {"kb": 2**10, "mb": 2**20, "gb": 2**30, "tb": 2**40, "pb": 2**50}
_PLACE = re.compile(r"\{(\d+)(?:,-?\d+)?(?::[^}]*)?\}|\{\{|\}\}")


def as_text(value: Value | None) -> str | None:
    """The value as PowerShell puts it into a string; None stays None."""
    return None if value is None else text_of(value)


def text_of(value: Value) -> str:
    """The value as PowerShell puts it into a string."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, list):
        return " ".join(text_of(item) for item in value)
    return str(value)


def bounded(value: Value) -> str:
    """A pattern that is matched in one pass; others could take for ever, and a script may bring any.

    Raises:
        ValueError: it is none.
    """
    pattern = text_of(value)
    if re.search(r"[*+{?(|]", pattern):
        raise ValueError("the pattern may take too long")
    return pattern


def number(text: str) -> int | None:
    """The number; None for one with a fraction."""
    unit = 1
    if text[-2:] in _UNITS and not text.startswith("0x"):
        unit, text = _UNITS[text[-2:]], text[:-2]
    text = text.rstrip("lundys") if not text.startswith("0x") else text
    return int(text, 16) if text.startswith("0x") else int(text) * unit if text.isdigit() else None


def formatted(pattern: str, values: Sequence[Value]) -> str:
    """What `-f` makes of a pattern and its values."""
    return _PLACE.sub(lambda found: found[0][0] if found[1] is None else text_of(values[int(found[1])]), pattern)


def item_of(target: "str | bytes | list[Value]", index: int) -> Value:
    """One item, counted from the end when the index is negative."""
    return target[index]


def static(kind: str, name: str, args: list[Value]) -> Value | None:
    """What a static method gives; None for one that is not known."""
    if kind == "convert" and name == "frombase64string":
        return base64.b64decode(text_of(args[0]), validate=False)
    if kind == "convert" and name in ("toint32", "tobyte", "toint16", "tochar"):
        base = args[1] if len(args) > 1 and isinstance(args[1], int) else 10
        number = int(text_of(args[0]), base)
        return chr(number) if name == "tochar" else number
    if kind == "string" and name in ("join", "concat"):
        rest = args[1:] if name == "join" else args
        items = rest[0] if len(rest) == 1 and isinstance(rest[0], list) else rest
        return (text_of(args[0]) if name == "join" else "").join(text_of(item) for item in items)
    if kind == "string" and name == "format":
        return formatted(text_of(args[0]), args[1:])
    if kind == "regex" and name == "replace":
        return re.sub(bounded(args[1]), re.sub(r"\$(\d)", r"\\\1", text_of(args[2])), text_of(args[0]))
    if kind == "regex" and name == "unescape":
        return re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text_of(args[0]))
    if kind in ("uri", "net.webutility") and name in ("unescapedatastring", "urldecode"):
        return re.sub(r"%([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text_of(args[0]))
    if kind == "char" and name == "convertfromutf32" and isinstance(args[0], int):
        return chr(args[0])
    return None


def _substring(text: str, args: list[Value]) -> str | None:
    numbers = [item for item in args if isinstance(item, int)]
    return None if not numbers else text[numbers[0] :] if len(numbers) == 1 else text[numbers[0] : numbers[0] + numbers[1]]


METHODS: Mapping[str, Callable[[str, list[Value]], Value | None]] = {
    "replace": lambda text, args: text.replace(text_of(args[0]), text_of(args[1])),
    "tostring": lambda text, args: text,
    "tolower": lambda text, args: text.lower(),
    "toupper": lambda text, args: text.upper(),
    "trim": lambda text, args: text.strip(text_of(args[0]) if args else None),
    "substring": _substring,
    "remove": lambda text, args: text[: int(str(args[0]))] + (text[int(str(args[0])) + int(str(args[1])) :] if len(args) > 1 else ""),
    "insert": lambda text, args: text[: int(str(args[0]))] + text_of(args[1]) + text[int(str(args[0])) :],
    "tochararray": lambda text, args: list(text),
    "split": lambda text, args: list(re.split("[" + re.escape(text_of(args[0])) + "]", text)) if args else list(text.split()),
    "padleft": lambda text, args: text.rjust(min(int(str(args[0])), MAX_LENGTH)),
}
