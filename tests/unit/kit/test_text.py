"""Outside text is made safe to show, and what is signed has one encoding."""

import hashlib
import json
import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.kit.text import Canonical, canonical_json, canonical_text, clean, digest, has_hidden

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
HIDING = {
    "nul": "\x00",
    "escape": "\x1b",
    "c1": "\x9b",
    "soft hyphen": "\u00ad",
    "arabic letter mark": "\u061c",
    "hangul filler": "\u3164",
    "zero width space": "\u200b",
    "line separator": "\u2028",
    "right-to-left override": "\u202e",
    "word joiner": "\u2060",
    "first strong isolate": "\u2068",
    "byte order mark": "\ufeff",
    "lone surrogate": "\ud800",
    "tag letter": "\U000e0041",
    "variation selector 17": "\U000e0100",
}


@pytest.mark.parametrize("character", HIDING.values(), ids=HIDING.keys())
def test_what_nobody_sees_is_found_and_removed(character: str) -> None:
    assert has_hidden(f"a{character}b")
    assert clean(f"a{character}b", limit=10) == "ab"


@pytest.mark.parametrize("text", ["", "plain", "tab\tand\nnewline", "Grüße", "日本語", "❤️", "a\r\nb"])
def test_ordinary_text_hides_nothing(text: str) -> None:
    assert not has_hidden(text)


def test_a_carriage_return_alone_hides_what_stands_before_it() -> None:
    assert has_hidden("rm -rf /\recho hello")


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("", 1, ""),
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("abcd", 1, "…"),
        ("a\r\nb\rc", 10, "a\nb\nc"),
        ("e\u0301", 1, "é"),
        # The part that was never looked at counts as cut off, also when the part before it was mostly hidden.
        ("\x00" * 9 + "a" + "b" * 9, 5, "a…"),
    ],
)
def test_text_is_cut_to_the_limit(text: str, limit: int, expected: str) -> None:
    assert expected == clean(text, limit=limit)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_a_programming_error(limit: int) -> None:
    with pytest.raises(ValueError, match="room for one"):
        clean("abc", limit=limit)


@given(ANY_TEXT, st.integers(1, 50))
def test_clean_text_is_short_visible_normal_and_stays_so(text: str, limit: int) -> None:
    shown = clean(text, limit=limit)

    assert len(shown) <= limit
    assert not has_hidden(shown)
    assert unicodedata.is_normalized("NFC", shown)
    assert shown == clean(shown, limit=limit)
    shown.encode()


@given(st.text(alphabet="abc \n", max_size=60), st.integers(1, 50))
def test_text_is_unchanged_exactly_when_it_fits(text: str, limit: int) -> None:
    assert (clean(text, limit=limit) == text) == (len(text) <= limit)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": [True, None, "é"]}, '{"a":[true,null,"é"],"b":1}'.encode()),
        ((1, 2), b"[1,2]"),
        ("\u2028", b'"\xe2\x80\xa8"'),
    ],
)
def test_the_encoding_is_sorted_tight_and_utf_8(value: object, expected: bytes) -> None:
    assert expected == canonical_json(value)


@given(JSON)
def test_canonical_json_is_read_back(value: object) -> None:
    assert value == json.loads(canonical_json(value))


@given(st.dictionaries(st.text(), JSON))
def test_the_order_of_keys_does_not_matter(value: dict[str, object]) -> None:
    assert canonical_json(value) == canonical_json(dict(reversed(value.items())))


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf], "\ud800"])
def test_what_json_does_not_have_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_json(value)


@pytest.mark.parametrize("value", [b"x", {1, 2}, object()])
def test_what_is_no_json_value_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


def test_the_digest_is_that_of_the_canonical_json() -> None:
    assert digest({"b": 1, "a": 2}) == "sha256:" + hashlib.sha256(b'{"a":2,"b":1}').hexdigest()


def test_bytes_are_hashed_as_they_are() -> None:
    assert digest(b"#!/bin/sh\n") == "sha256:" + hashlib.sha256(b"#!/bin/sh\n").hexdigest()


@given(JSON, JSON)
def test_different_values_have_different_digests(one: object, other: object) -> None:
    assert (canonical_json(one) == canonical_json(other)) == (digest(one) == digest(other))


def test_an_object_with_its_text_is_encoded_as_itself_at_the_top_and_inside() -> None:
    value = Canonical({"b": 1, "a": "\u00fc"})

    assert canonical_text(value) == value.text == '{"a":"\u00fc","b":1}'
    assert canonical_text({"inner": value}) == '{"inner":{"a":"\u00fc","b":1}}'
    assert digest(value) == digest({"b": 1, "a": "\u00fc"})
