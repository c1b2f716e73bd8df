"""What an artifact is: a piece of content with its digest, and the reference that stands in a step's output instead of a large value. Pure.

A reference is `{"artifact": "sha256:…", "bytes": n, "type": "…"}`. Text from outside can have the same form, so a reference counts only
for contents that the same run has stored.
"""

import base64
import json
import mimetypes
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from bcce.kit.ids import ArtifactId, RunId
from bcce.kit.redact import Secret, mask_text
from bcce.kit.text import Canonical, canonical_json, clean, digest
from bcce.workflows.errors import OutputTooLarge
from bcce.workflows.model import Artifact

#: JSON bytes that an output may have in the journal; what is more becomes artifacts.
MAX_INLINE_BYTES = 16 * 1024
#: Files that one attempt of a step may leave.
MAX_FILES = 100
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
BYTES = "application/octet-stream"
#: Without the system's own lists, so that a name means the same everywhere.
_TYPES = mimetypes.MimeTypes()
#: Types of which expressions see the text or the value, and not bytes in Base64.
_READABLE = (TEXT, "text/plain", JSON)
#: The step of a run's own outputs.
OF_RUN = ""

#: A smaller value stays where it is: its reference would save nothing.
_WORTH_BYTES = 512
_NAME_LIMIT = 150
_REFERENCE = frozenset({"artifact", "bytes", "type"})
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,50}/[a-z0-9!#$&^_.+-]{1,49}", re.IGNORECASE)


class Kind(StrEnum):
    """What an artifact was: a value of the step's output, or a file that the step left."""

    OUTPUT = "output"
    FILE = "file"


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactLimits:
    """Bytes that one artifact may have, and all artifacts of one run together."""

    artifact_bytes: int
    run_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A content that is to be stored. `digest` is of the bytes as they are."""

    kind: Kind
    name: str
    media_type: str
    content: bytes
    digest: str

    @property
    def reference(self) -> dict[str, object]:
        """What stands in the output instead of it."""
        return {"artifact": self.digest, "bytes": len(self.content), "type": self.media_type}


@dataclass(frozen=True, kw_only=True, slots=True)
class RunArtifact:
    """An artifact of a run. `step` is the key of the step that left it, null for the run's own outputs."""

    id: ArtifactId
    run_id: RunId
    step: str | None
    attempt: int
    kind: Kind
    name: str
    digest: str
    bytes: int
    media_type: str
    created_at: datetime


def referenced(value: object) -> str | None:
    """The digest that `value` refers to; None when it has not the form of a reference."""
    if not isinstance(value, dict) or value.keys() != _REFERENCE:
        return None
    found = value["artifact"]
    return found if isinstance(found, str) and _DIGEST.fullmatch(found) else None


def has_reference(output: Mapping[str, object] | None) -> bool:
    """Whether an output, or one of its values, has the form of a reference."""
    return bool(output) and (referenced(output) is not None or any(referenced(value) for value in (output or {}).values()))


def pack(output: Mapping[str, object], *, limit_bytes: int) -> tuple[dict[str, object], tuple[Piece, ...]]:
    """The output as the journal takes it, and what became artifacts: its largest values, or all of it when it has very many.

    Raises:
        OutputTooLarge: a value is larger than an artifact may be.
    """
    inline = Canonical(output)
    left = len(inline.text) if inline.text.isascii() else len(inline.text.encode())
    if left <= MAX_INLINE_BYTES:
        return inline, ()
    packed = dict(output)
    pieces: list[Piece] = []
    sizes = {key: len(canonical_json(value)) for key, value in output.items()}
    for key in sorted(sizes, key=lambda name: (-sizes[name], name)):
        if left <= MAX_INLINE_BYTES or sizes[key] < _WORTH_BYTES:
            break
        piece = _value(f"output.{key}", output[key], limit_bytes)
        pieces.append(piece)
        packed[key] = piece.reference
        left += len(canonical_json(piece.reference)) - sizes[key]
    if left > MAX_INLINE_BYTES:
        whole = _value("output", output, limit_bytes)
        return whole.reference, (whole,)
    return packed, _named_apart(pieces)


def pack_value(name: str, value: object, *, limit_bytes: int) -> Piece:
    """One value as an artifact, whatever its size.

    Raises:
        OutputTooLarge: it is larger than an artifact may be.
    """
    return _value(name, value, limit_bytes)


def pack_files(files: Iterable[Artifact], *, limit_bytes: int) -> tuple[Piece, ...]:
    """The files that a step left, with everything shaped like a credential masked.

    Raises:
        OutputTooLarge: one is larger than an artifact may be, or they are too many.
    """
    pieces: list[Piece] = []
    for file in files:
        if len(pieces) == MAX_FILES:
            raise OutputTooLarge(f"the step left more than {MAX_FILES} files", details={"limit": MAX_FILES})
        content = file.content.encode() if isinstance(file.content, str) else file.content
        kind = _media_type(file.media_type) or (TEXT if isinstance(file.content, str) else BYTES)
        if kind in _READABLE and file.is_value:
            kind = BYTES
        elif kind == "text/plain":
            kind = TEXT
        # What is masked already stays as it is, and with it the digest in the output.
        pieces.append(_piece(Kind.OUTPUT if file.is_value else Kind.FILE, file.name, kind, _masked(content), limit_bytes))
    return _named_apart(pieces)


def bytes_value(
    key: str, content: bytes, media_type: str | None = None, secrets: Iterable[Secret] = ()
) -> tuple[dict[str, object], Artifact]:
    """What stands in an output under `key` for bytes that are no text, and what a step gives back beside it so that they are stored.

    Expressions see them in Base64. Everything shaped like a credential, and `secrets`, are masked in them.
    """
    kind = _media_type(media_type) or BYTES
    kind = BYTES if kind in _READABLE else kind
    masked = _masked(content, secrets)
    piece = Piece(kind=Kind.OUTPUT, name=f"output.{key}", media_type=kind, content=masked, digest=digest(masked))
    return piece.reference, Artifact(name=piece.name, content=masked, media_type=kind, is_value=True)


def file_name(artifact: RunArtifact) -> str:
    """A name for a file with the artifact's content: no folder, not hidden, and an ending that says what a value of an output is."""
    name = re.sub(r"[^\w.+ -]", "_", artifact.name).lstrip(".") or "artifact"
    ending = {TEXT: ".txt", JSON: ".json"}.get(artifact.media_type) or _TYPES.guess_extension(artifact.media_type) or ""
    return name + (ending if artifact.kind is Kind.OUTPUT else "")


def unpacked(content: bytes, media_type: str) -> object:
    """The value that was packed; bytes that are no text are in Base64."""
    if media_type not in (JSON, TEXT):
        return base64.b64encode(content).decode("ascii")
    return json.loads(content) if media_type == JSON else content.decode()


def _masked(content: bytes, secrets: Iterable[Secret] = ()) -> bytes:
    # Every byte is a character of Latin-1, so the patterns work on any content and nothing else of it changes.
    known = [Secret(secret.reveal().encode().decode("latin-1")) for secret in secrets]
    return mask_text(content.decode("latin-1"), known).encode("latin-1")


def _media_type(given: str | None) -> str | None:
    kind = given.partition(";")[0].strip() if given else ""
    return kind.lower() if _MEDIA_TYPE.fullmatch(kind) else None


def _value(name: str, value: object, limit_bytes: int) -> Piece:
    if isinstance(value, str):
        return _piece(Kind.OUTPUT, name, TEXT, value.encode(), limit_bytes)
    return _piece(Kind.OUTPUT, name, JSON, canonical_json(value), limit_bytes)


def _piece(kind: Kind, name: str, media_type: str, content: bytes, limit_bytes: int) -> Piece:
    shown = " ".join(clean(mask_text(name), limit=_NAME_LIMIT).split()) or "unnamed"
    if len(content) > limit_bytes:
        raise OutputTooLarge(
            f"{shown} has {len(content)} bytes; an artifact may have {limit_bytes}",
            hint="give back less, or ask the operator for a larger workflows.artifactMaxBytes",
            details={"name": shown, "bytes": len(content), "limit": limit_bytes},
        )
    return Piece(kind=kind, name=shown, media_type=media_type, content=content, digest=digest(content))


def _named_apart(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """The same with a number behind each name that is there already: cleaning and cutting can make two names one."""
    named: dict[str, Piece] = {}
    for piece in pieces:
        name, number = piece.name, 2
        while name in named:
            name, number = f"{piece.name}~{number}", number + 1
        named[name] = replace(piece, name=name)
    return tuple(named.values())
