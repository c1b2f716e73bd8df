"""Reads an SOP: Markdown with YAML front matter and fenced scripts. Pure; every complaint knows its line."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NoReturn

from pydantic import BaseModel, ValidationError

from bcce.config.document import Document, read_yaml
from bcce.kit.errors import InvalidDocument
from bcce.kit.text import has_hidden
from bcce.knowledge.errors import InvalidSop
from bcce.knowledge.sop import SHELLS, HttpVerification, Sop, SopFront, SopParameter, SopVerification, cross_problems

MAX_SOP_BYTES = 256 * 1024

_ROLES = ("script", "undo")
_FENCE = re.compile(r"( {0,3})(`{3,}|~{3,})[ \t]*(.*)")
_FRONT_MARK = "---"


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A fenced block. `info` holds the words behind the opening fence; `line` is the fence's, counted from 1."""

    info: tuple[str, ...]
    text: str
    line: int


def normalize_text(text: str) -> str:
    """`text` with newlines only and without a byte order mark: what is stored, and what a digest is taken of."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def read_sop(text: str, path: str | None = None) -> Sop:
    """The SOP that `text` holds.

    Args:
        text: what `normalize_text` returns.
        path: where it came from, for the errors; None for text without a file.

    Raises:
        InvalidSop: with the line of the first thing that is wrong.
    """
    return _Reader(text, path).sop()


class _Reader:
    """One reading; `_fail` is where every complaint gets its place."""

    def __init__(self, text: str, path: str | None) -> None:
        self._text = text
        self._path = path

    def sop(self) -> Sop:
        self._check_text()
        lines = self._text.split("\n")
        end = self._front_end(lines)
        front = self._front(lines[1:end])
        blocks = self._scripts(front, list(self._fenced(lines[end + 1 :], first_line=end + 2)), end + 1)
        undo = blocks.get("undo")
        parts = {name: getattr(front, name) for name in SopFront.model_fields}
        return Sop(**parts, script=blocks["script"].text, undo=undo.text if undo else None, body="\n".join(lines[end + 1 :]).strip("\n"))

    def _check_text(self) -> None:
        if len(self._text) > MAX_SOP_BYTES or len(self._text.encode(errors="replace")) > MAX_SOP_BYTES:
            self._fail(f"an SOP has at most {MAX_SOP_BYTES // 1024} KiB", hint="keep long background in a document of its own and link it")
        for number, line in enumerate(self._text.split("\n"), 1):
            if "\x00" in line or any("\ud800" <= char <= "\udfff" for char in line):
                self._fail("the text holds a character that is no text", line=number, hint="save the file as UTF-8")

    def _front_end(self, lines: Sequence[str]) -> int:
        """The index of the line that closes the front matter."""
        if lines[0].rstrip() != _FRONT_MARK:
            self._fail(
                "an SOP begins with front matter", line=1, hint="make the first line --- and close the front matter with another ---"
            )
        for index, line in enumerate(lines[1:], 1):
            if line.rstrip() == _FRONT_MARK:
                return index
        self._fail("the front matter is not closed", line=1, hint="put a line with --- behind it")

    def _front(self, lines: Sequence[str]) -> SopFront:
        for number, line in enumerate(lines, 2):
            if has_hidden(line):
                self._fail("the front matter holds an invisible character", line=number, hint="delete the line and type it again")
        try:
            # An empty line stands for the opening mark, so that line numbers are those of the whole file.
            document = read_yaml("\n".join(("", *lines, "")), self._path)
        except InvalidDocument as error:
            raise InvalidSop(_bare(error), path=self._path, line=error.line, column=error.column, hint=error.hint) from error
        if not isinstance(document.value, dict):
            self._fail("the front matter must be a mapping of keys to values", line=2, hint="begin with title: …")
        try:
            front = SopFront.model_validate(document.value)
        except ValidationError as error:
            self._fail_validation(error, document)
        for place, message in cross_problems(front):
            self._fail_at(document, place, message)
        for where, text in _texts(front.model_dump(by_alias=True), ()):
            if has_hidden(text):
                # YAML can write such a character as an escape, which the look at the lines above does not see.
                self._fail_at(document, where, "the value holds an invisible character", "write it without an escape such as \\u202e")
        return front

    def _fenced(self, lines: Sequence[str], first_line: int) -> Iterator[Block]:
        """The fenced blocks; a block inside a longer fence is text, as CommonMark says."""
        fence: re.Match[str] | None = None
        start = 0
        for index, line in enumerate(lines):
            found = _FENCE.fullmatch(line)
            if fence is None:
                if found is not None and not (found[2][0] == "`" and "`" in found[3]):
                    fence, start = found, index
            elif found is not None and found[2].startswith(fence[2]) and not found[3].strip():
                inner = [_unindented(text, len(fence[1])) for text in lines[start + 1 : index]]
                yield Block(info=tuple(fence[3].split()), text="".join(f"{text}\n" for text in inner), line=first_line + start)
                fence = None
        if fence is not None:
            self._fail("the fenced block that begins here is not closed", line=first_line + start, hint=f"end it with {fence[2]}")

    def _scripts(self, front: SopFront, blocks: Sequence[Block], body_line: int) -> dict[str, Block]:
        """The blocks that are run, by role."""
        found: dict[str, Block] = {}
        for block in blocks:
            role = self._role(front, block)
            if role is None:
                continue
            if role in found:
                self._fail(
                    f"a second block `{role}` (the first is in line {found[role].line})", line=block.line, hint=f"an SOP has one {role}"
                )
            self._check_script(block)
            found[role] = block
        if "script" not in found:
            self._fail("the SOP has no script", line=body_line, hint=f"add a fenced block that begins with ```{front.shell} script")
        return found

    def _role(self, front: SopFront, block: Block) -> str | None:
        """`script` or `undo`; None for a block that is only shown."""
        if len(block.info) < 2:
            return None
        language, role = block.info[0], block.info[1]
        if role not in _ROLES:
            near = get_close_matches(role, _ROLES, n=1, cutoff=0.7) if language in SHELLS else []
            if near:
                self._fail(f"a block cannot be a {role!r}", line=block.line, hint=f"did you mean {near[0]!r}?")
            return None
        if language != front.shell:
            self._fail(
                f"the {role} is marked {language!r}, but the SOP's shell is {front.shell!r}",
                line=block.line,
                hint=f"known shells: {', '.join(SHELLS)}",
            )
        if len(block.info) > 2:
            self._fail(f"{' '.join(block.info[2:])!r} behind {role!r} means nothing", line=block.line, hint=f"write ```{language} {role}")
        return role

    def _check_script(self, block: Block) -> None:
        if not block.text.strip():
            self._fail("the block is empty", line=block.line, hint="write the script between its fences")
        for number, line in enumerate(block.text.split("\n"), block.line + 1):
            if "{{" in line:
                self._fail(
                    "nothing is ever filled into a script, so `{{` has no meaning in it",
                    line=number,
                    hint='declare a parameter and read it as an environment variable, such as "$SERVICE"',
                )
            if has_hidden(line):
                self._fail(
                    "the script holds an invisible character, so it does not do what it shows",
                    line=number,
                    hint="delete the line and type it again",
                )

    def _fail_validation(self, error: ValidationError, document: Document) -> NoReturn:
        """The first complaint in the order of the file; an unknown key before all others, because it explains what seems to be missing."""
        problems = []
        for item in error.errors(include_url=False, include_context=False, include_input=False):
            where = tuple(part for part in item["loc"] if part != "[key]")
            message, hint = _explain(where, item["type"], item["msg"])
            problems.append((item["type"] != "extra_forbidden", document.place(where), where, message, hint))
        _, _, where, message, hint = min(problems, key=lambda problem: problem[:2])
        self._fail_at(document, where, message, hint)

    def _fail_at(self, document: Document, where: tuple[str | int, ...], message: str, hint: str | None = None) -> NoReturn:
        line, column = document.place(where)
        raise InvalidSop(message, path=self._path, line=line, column=column, field=".".join(map(str, where)) or None, hint=hint)

    def _fail(self, message: str, *, line: int | None = None, hint: str | None = None) -> NoReturn:
        raise InvalidSop(message, path=self._path, line=line, hint=hint)


def _explain(where: tuple[str | int, ...], kind: str, message: str) -> tuple[str, str | None]:
    """Pydantic's complaint as one for the author of an SOP: what is wrong, and what to write instead."""
    key = str(where[-1]) if where else ""
    if kind == "extra_forbidden":
        known = _known_keys(where[:-1])
        near = get_close_matches(key, known, n=1)
        return f"unknown key {key!r}", f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
    if kind == "missing":
        return f"the key {key!r} is missing", None
    if kind == "literal_error":
        return f"unknown {key}", f"known: {', '.join(SHELLS)}"
    if kind == "string_type":
        return f"{key!r} must be text", "put the value in quotes"
    if kind == "string_pattern_mismatch" and where[:1] == ("parameters",):
        return f"{key!r} cannot name a parameter", "use capital letters, digits and _, such as SERVICE_NAME"
    return message.removeprefix("Value error, "), None


def _known_keys(parents: tuple[str | int, ...]) -> list[str]:
    """The keys that may stand below `parents`, as an author writes them."""
    model: type[BaseModel] = SopFront
    if parents[:1] == ("parameters",):
        model = SopParameter
    elif parents[:1] == ("verify",):
        model = HttpVerification if len(parents) > 1 else SopVerification
    return [field.alias or name for name, field in model.model_fields.items()]


def _texts(value: object, where: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text in a mapping of mappings and lists, with its place."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*where, key))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _texts(item, (*where, index))


def _unindented(line: str, columns: int) -> str:
    """`line` without up to `columns` leading spaces: the indent of its block's fence."""
    return line[min(columns, len(line) - len(line.lstrip(" "))) :]


def _bare(error: InvalidDocument) -> str:
    """The error's sentence without its place, which the new error puts in front again."""
    place = ":".join(str(part) for part in (error.path, error.line, error.column) if part is not None)
    return error.message.removeprefix(f"{place}: ")
