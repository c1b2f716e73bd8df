"""What becomes an artifact, and under which name."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.kit.ids import ArtifactId, RunId
from bcce.kit.redact import Secret
from bcce.kit.text import canonical_json, digest
from bcce.workflows.artifacts.model import (
    BYTES,
    JSON,
    MAX_FILES,
    MAX_INLINE_BYTES,
    TEXT,
    Kind,
    RunArtifact,
    bytes_value,
    file_name,
    has_reference,
    pack,
    pack_files,
    referenced,
    unpacked,
)
from bcce.workflows.errors import OutputTooLarge
from bcce.workflows.model import Artifact, StepResult, completed

LIMIT = 8 * 1024 * 1024


def test_a_small_output_stays_as_it_is() -> None:
    assert pack({"a": "x" * 16_000}, limit_bytes=LIMIT) == ({"a": "x" * 16_000}, ())


def test_only_the_largest_values_leave() -> None:
    output = {"body": "x" * 20_000, "status": 200, "more": "y" * 10_000}

    packed, (piece,) = pack(output, limit_bytes=LIMIT)

    assert packed == {"status": 200, "more": "y" * 10_000, "body": {"artifact": piece.digest, "bytes": 20_000, "type": TEXT}}
    assert (piece.name, piece.kind, piece.content, piece.digest) == (
        *("output.body", Kind.OUTPUT, b"x" * 20_000),
        digest(b"x" * 20_000),
    )


def test_an_output_of_very_many_small_values_leaves_as_a_whole() -> None:
    output = {f"k{number:05}": number for number in range(3000)}

    packed, (piece,) = pack(output, limit_bytes=LIMIT)

    assert (piece.name, piece.media_type) == ("output", JSON)
    assert packed == piece.reference
    assert unpacked(piece.content, piece.media_type) == output


@pytest.mark.parametrize("value", ["x" * 20_000, list(range(9000)), {"k": ["ü" * 20_000]}])
def test_what_was_packed_comes_back(value: object) -> None:
    _, (piece,) = pack({"v": value}, limit_bytes=LIMIT)

    assert unpacked(piece.content, piece.media_type) == value


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=50) | st.integers(10_000, 40_000).map("z".__mul__), max_size=6))
def test_whatever_the_output_is_the_journal_gets_little_and_nothing_is_lost(output: dict[str, Any]) -> None:
    packed, pieces = pack(output, limit_bytes=LIMIT)

    contents = {piece.digest: unpacked(piece.content, piece.media_type) for piece in pieces}
    back = {key: contents.get(referenced(value) or "", value) for key, value in packed.items()}
    assert len(canonical_json(packed)) <= MAX_INLINE_BYTES
    assert (contents[str(packed["artifact"])] if referenced(packed) else back) == output
    assert len({piece.name for piece in pieces}) == len(pieces)


def test_a_value_above_the_limit_is_named_with_its_size() -> None:
    with pytest.raises(OutputTooLarge, match=r"output\.body has 30000 bytes; an artifact may have 20000") as caught:
        pack({"body": "x" * 30_000}, limit_bytes=20_000)

    assert caught.value.details == {"name": "output.body", "bytes": 30_000, "limit": 20_000}


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"artifact": "sha256:" + "0" * 64, "bytes": 1},
        {"artifact": "sha256:0", "bytes": 1, "type": TEXT},
        {"artifact": 1, "bytes": 1, "type": TEXT},
        {"artifact": "sha256:" + "0" * 64, "bytes": 1, "type": TEXT, "more": 1},
    ],
)
def test_what_only_looks_like_a_reference_is_none(value: object) -> None:
    assert referenced(value) is None
    assert has_reference({"v": value}) is False


def test_files_are_masked_and_named_apart() -> None:
    token = "bcce_pat_" + "a" * 32
    files = [
        Artifact(name="report\u202e.txt", content=f"the token {token} leaked"),
        Artifact(name="report.txt", content="two", media_type="Text/CSV; charset=utf-8"),
        Artifact(name="image", content=b"\x89PNG\xff" + token.encode(), media_type="no type"),
    ]

    first, second, third = pack_files(files, limit_bytes=LIMIT)

    assert (first.name, first.media_type, first.content) == ("report.txt", TEXT, b"the token [redacted] leaked")
    assert (second.name, second.media_type) == ("report.txt~2", "text/csv")
    assert (third.name, third.media_type, third.content) == ("image", BYTES, b"\x89PNG\xff[redacted]")
    assert {piece.kind for piece in (first, second, third)} == {Kind.FILE}


def test_too_many_files_are_refused() -> None:
    with pytest.raises(OutputTooLarge, match="more than 100 files"):
        pack_files([Artifact(name=str(number), content="") for number in range(MAX_FILES + 1)], limit_bytes=LIMIT)


@pytest.mark.parametrize(
    ("name", "kind", "media_type", "expected"),
    [
        ("output.body", Kind.OUTPUT, TEXT, "output.body.txt"),
        ("output", Kind.OUTPUT, JSON, "output.json"),
        ("report.csv", Kind.FILE, TEXT, "report.csv"),
        ("../../etc/passwd", Kind.FILE, BYTES, "_.._etc_passwd"),
        (".bashrc", Kind.FILE, TEXT, "bashrc"),
        ('a"b\nc', Kind.FILE, TEXT, "a_b_c"),
    ],
)
def test_a_file_name_leads_nowhere(name: str, kind: Kind, media_type: str, expected: str) -> None:
    about = {"step": "a", "attempt": 1, "digest": "sha256:0", "bytes": 1, "created_at": datetime(2026, 1, 1, tzinfo=UTC)}
    artifact = RunArtifact(id=ArtifactId("art_1"), run_id=RunId("run_1"), kind=kind, name=name, media_type=media_type, **about)  # type: ignore[arg-type]  # fields by name

    assert file_name(artifact) == expected


def test_the_public_form_of_a_result_shows_its_artifacts() -> None:
    result = completed({}, artifacts=(Artifact(name="a", content="text"), Artifact(name="b", content=b"\xff")))

    assert result.to_wire()["artifacts"] == [{"name": "a", "content": "text"}, {"name": "b", "content": "/w==", "encoding": "base64"}]
    assert StepResult(status="completed").to_wire()["artifacts"] == []


@pytest.mark.parametrize(
    ("media_type", "kept"), [("image/PNG; q=1", "image/png"), (None, BYTES), ("no type", BYTES), ("text/plain", BYTES), (JSON, BYTES)]
)
def test_bytes_in_an_output_are_stored_as_they_are_and_seen_in_base64(media_type: str | None, kept: str) -> None:
    reference, artifact = bytes_value("body", b"\x89PNG\xff", media_type)

    (piece,) = pack_files([artifact], limit_bytes=LIMIT)

    assert reference == piece.reference == {"artifact": digest(b"\x89PNG\xff"), "bytes": 5, "type": kept}
    assert (piece.kind, piece.name, piece.content) == (Kind.OUTPUT, "output.body", b"\x89PNG\xff")
    assert unpacked(piece.content, piece.media_type) == "iVBOR/8="
    with pytest.raises(OutputTooLarge):
        pack_files([artifact], limit_bytes=4)


def test_what_is_secret_in_bytes_is_masked_before_their_digest_is_made() -> None:
    content = b"\xffgr\xc3\xbc\xc3\x9fe\x00AKIAABCDEFGHIJKLMNOP\x00"
    reference, artifact = bytes_value("body", content, "image/png", [Secret("grüße")])

    (piece,) = pack_files([artifact], limit_bytes=LIMIT)

    assert piece.content == b"\xff[redacted]\x00[redacted]\x00"
    assert piece.reference == reference


def test_a_file_made_of_bytes_in_an_output_has_the_ending_of_its_type() -> None:
    about = {"id": ArtifactId("art_1"), "run_id": RunId("run_1"), "step": "a", "attempt": 1, "digest": "", "bytes": 1}
    made = RunArtifact(**about, kind=Kind.OUTPUT, name="output.body", media_type="image/png", created_at=datetime.now(UTC))  # type: ignore[arg-type]  # fields by name

    assert file_name(made) == "output.body.png"
