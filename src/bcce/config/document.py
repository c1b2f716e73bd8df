"""YAML, and so JSON, with the line and column of everything in it.

Knows nothing of settings: configuration, workflow files and the front matter of SOPs are all read here. Only the part of YAML that has one
obvious meaning is taken: no anchors and aliases (a few lines of them can grow to gigabytes, and they hide what a reader sees), no merge
keys, no tags, no dates (`2026-01-02` is text), and a key stands once in its mapping.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.composer import Composer, MaxDepthExceededError
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, ScalarEvent
from ruamel.yaml.reader import ReaderError

from bcce.kit.errors import InvalidDocument

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
Where = tuple[str | int, ...]

#: Half of a surrogate pair is no character, and cannot be stored or sent.
_SURROGATE = re.compile("[\ud800-\udfff]")
_DIRECTIVE = re.compile("^%", re.MULTILINE)
_PREFIX = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed text. `value` holds plain dicts with text keys, lists and scalars; `raw` keeps the marks and is not for others."""

    value: Any
    raw: Any

    def place(self, path: Where) -> tuple[int, int]:
        """Line and column, from 1, of the key or item at `path`, or of its nearest ancestor that is in the text."""
        node, line, column = self.raw, 1, 1
        for part in path:
            if isinstance(node, CommentedMap):
                # A key such as 8080 is a number in the text and text in `value`.
                key = next((key for key in node if str(key) == str(part)), None)
                if key is None:
                    break
                row, col = node.lc.key(key)
                node = node[key]
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                row, col = node.lc.item(part)
                node = node[part]
            else:
                break
            line, column = row + 1, col + 1
        return line, column


def read_yaml(text: str, path: str | None = None) -> Document:
    """The document in `text`. No I/O: `path` only says in errors where the text came from, None when it came without a file.

    Raises:
        InvalidDocument: no YAML, more than `MAX_BYTES` or `MAX_DEPTH`, or something that YAML can do and a document here may not.
            The message never holds a value of the text, which may be a secret.
    """
    raw = _load(text, path)
    return Document(_Plain(raw, path).value(raw, ()), raw)


def read_json(text: str, path: str | None = None) -> Document:
    """As `read_yaml`, for a text that must be JSON.

    Raises:
        InvalidDocument: no JSON, a key twice in its object, or one of the limits of `read_yaml`.
    """
    refusal: InvalidDocument
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        message, hint = f"this is no valid JSON: {error.msg}", "check quotes, commas and brackets; JSON has no comments"
        refusal = InvalidDocument(message, path=path, line=error.lineno, column=error.colno, hint=hint)
    except RecursionError:
        refusal = InvalidDocument(f"nested deeper than {MAX_DEPTH} levels", path=path)
    except ValueError:
        refusal = InvalidDocument("a number in this JSON has too many digits", path=path)
    else:
        return _with_marks(value, text, path)
    raise refusal  # outside the handler, since the library's error holds the whole text and would come along as its context


def _with_marks(value: Any, text: str, path: str | None) -> Document:
    # Inside valid JSON a raw tab can only be white space, which YAML would not take; blanks leave the columns as they are.
    raw = _load(text.replace("\t", " "), path)
    return Document(_Plain(raw, path).value(value, ()), raw)


def is_text(value: str) -> bool:
    """Whether all of `value` is characters: what the system could not decode as UTF-8 comes in as halves of surrogate pairs."""
    return not _SURROGATE.search(value)


def sentence(error: InvalidDocument) -> str:
    """The error's message without the place in front of it."""
    place = ":".join(str(part) for part in (error.path, error.line, error.column) if part is not None)
    return error.message.removeprefix(f"{place}: ")


class _Refused(MarkedYAMLError):
    """Something that YAML can do and a document here may not."""

    def __init__(self, problem: str, mark: Any, hint: str | None) -> None:
        super().__init__(None, None, problem, mark)
        self.hint = hint


class _Composer(Composer):
    """Refuses what would make a document mean more than it shows, before anything is built from it."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        if isinstance(event, AliasEvent):
            raise _Refused("aliases (*name) are not supported", event.start_mark, "write the value out")
        if getattr(event, "anchor", None) is not None:
            raise _Refused("anchors (&name) are not supported", event.start_mark, "text that begins with & needs quotes")
        if getattr(event, "tag", None) is not None:
            raise _Refused("tags (!name) are not supported", event.start_mark, "text that begins with ! needs quotes")
        is_key = parent is not None and index is None
        if is_key and not isinstance(event, ScalarEvent):
            raise _Refused("a key must be text", event.start_mark, "put it in quotes")
        node = super().compose_node(parent, index)
        if is_key and str(node.tag) == f"{_PREFIX}merge":
            raise _Refused("merge keys (<<) are not supported", node.start_mark, "write the keys out")
        return node


class _Constructor(RoundTripConstructor):
    """Says where a key stands twice and a number is too long; leaves dates as text, which they are in YAML 1.2."""

    def check_mapping_key(self, node: Any, key_node: Any, mapping: Any, key: Any, value: Any) -> bool:
        # The library's own message would show both values, and one may be a secret.
        if key in mapping:
            first = next((other.start_mark.line + 1 for other, _ in node.value if other.value == key_node.value), None)
            message = f"the key {str(key)[:60]!r} stands here for the second time"
            raise _Refused(message, key_node.start_mark, f"the first is in line {first}")
        return True


def _number(constructor: Any, node: Any) -> Any:
    try:
        return RoundTripConstructor.construct_yaml_int(constructor, node)
    except (ValueError, IndexError):
        # Python refuses to read thousands of digits, since that takes quadratic time; and the library takes +_ for a number.
        raise _Refused("this number cannot be read", node.start_mark, "put it in quotes if it is text") from None


_Constructor.add_constructor(f"{_PREFIX}timestamp", lambda _constructor, node: node.value)
_Constructor.add_constructor(f"{_PREFIX}int", _number)


def _load(text: str, path: str | None) -> Any:
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise InvalidDocument(f"larger than {MAX_BYTES} bytes", path=path)
    directive = _DIRECTIVE.search(text)
    if directive is not None:
        line, column = _position(text, directive.start())
        raise InvalidDocument("directives (%YAML, %TAG) are not supported", path=path, line=line, column=column, hint="delete the line")
    loader = YAML(typ="rt", pure=True)
    loader.max_depth = MAX_DEPTH
    loader.Composer = _Composer
    loader.Constructor = _Constructor
    try:
        return loader.load(text)
    except MarkedYAMLError as error:
        refusal = _translated(error, text, path)
    except ReaderError as error:
        line, column = _position(text, error.position)
        message = f"the character U+{ord(text[error.position]):04X} may not stand here"
        hint = "delete it, or write it as an escape in quotes"
        refusal = InvalidDocument(message, path=path, line=line, column=column, hint=hint)
    except (YAMLError, AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # The library gives up on some malformed texts by stumbling instead of complaining; fuzzing found several.
        refusal = InvalidDocument(f"this is no valid YAML ({type(error).__name__})", path=path)
    raise refusal  # outside the handlers: the library's errors quote the text, and would come along as the context


def _position(text: str, index: int) -> tuple[int, int]:
    before = text[:index]
    return before.count("\n") + 1, index - before.rfind("\n")


def _translated(error: MarkedYAMLError, text: str, path: str | None) -> InvalidDocument:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (None, None)
    if isinstance(error, _Refused):
        return InvalidDocument(str(error.problem), path=path, line=line, column=column, hint=error.hint)
    if isinstance(error, MaxDepthExceededError):
        return InvalidDocument(f"nested deeper than {MAX_DEPTH} levels", path=path, line=line, column=column)
    row = text.split("\n")[line - 1] if line is not None and line <= text.count("\n") + 1 else ""
    if "\t" in row[: len(row) - len(row.lstrip())]:
        return InvalidDocument("a tab cannot indent YAML", path=path, line=line, column=column, hint="indent with spaces")
    problem = (error.problem or error.context or "it cannot be read").split("\n")[0]
    message, hint = f"this is no valid YAML: {problem}", "check indentation, colons and quotes"
    return InvalidDocument(message, path=path, line=line, column=column, hint=hint)


class _Plain:
    """Turns the loader's own types into ordinary values, and refuses those that could not be stored as JSON."""

    def __init__(self, raw: Any, path: str | None) -> None:
        self._marks = Document(None, raw)
        self._path = path

    def value(self, node: Any, at: Where) -> Any:
        if isinstance(node, Mapping):
            result: dict[str, Any] = {}
            for key, item in node.items():
                name = self._key(key, at)
                if name in result:
                    self._fail(f"the key {name[:60]!r} stands here as text and as a number", (*at, name), "keep one of them")
                result[name] = self.value(item, (*at, name))
            return result
        if isinstance(node, list):
            return [self.value(item, (*at, index)) for index, item in enumerate(node)]
        if node is None or isinstance(node, bool):
            return node
        if isinstance(node, int):
            return int(node)
        if isinstance(node, float):
            if not math.isfinite(node):
                self._fail("only finite numbers are supported", at)
            return float(node)
        return self._text(str(node), at)

    def _key(self, key: Any, at: Where) -> str:
        if isinstance(key, bool) or not isinstance(key, str | int):
            self._fail("a key must be text", (*at, str(key)), "put it in quotes")
        return self._text(str(key), (*at, str(key)))

    def _text(self, text: str, at: Where) -> str:
        if _SURROGATE.search(text):
            self._fail("half of a surrogate pair is no character", at, "write the character itself")
        return text

    def _fail(self, message: str, at: Where, hint: str | None = None) -> NoReturn:
        line, column = self._marks.place(at)
        raise InvalidDocument(message, path=self._path, line=line, column=column, hint=hint)
