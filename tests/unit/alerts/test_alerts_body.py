"""Reading bodies that nobody can vouch for."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.alerts.body import MAX_DEPTH, as_count, as_list, as_object, as_text, as_texts, as_time, cleaned, read_json
from bcce.alerts.errors import UnparsableDelivery

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def complaint(body: bytes) -> str | None:
    """The path in the complaint about `body`; None when there is none."""
    try:
        read_json(body)
    except UnparsableDelivery as error:
        return error.path
    return None


def numbers_as_text(value: object) -> object:
    if isinstance(value, dict):
        return {key: numbers_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [numbers_as_text(item) for item in value]
    return json.dumps(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


@given(JSON)
def test_json_is_read_with_numbers_as_they_are_written(value: object) -> None:
    assert read_json(json.dumps(value).encode()) == numbers_as_text(value)


@given(st.binary(max_size=200))
def test_any_bytes_are_either_json_or_refused_with_a_reason(body: bytes) -> None:
    assert complaint(body) in (None, "$")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "$: the body is not JSON: Expecting value at line 1, column 1"),
        (b'{"a": 1', "$: the body is not JSON: Expecting ',' delimiter at line 1, column 8"),
        (b'{"a": 1} x', "$: the body is not JSON: Extra data at line 1, column 10"),
        (b"{'a': 1}", "$: the body is not JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        (b'{"a": "\x01"}', "$: the body is not JSON: Invalid control character at at line 1, column 8"),
        (b'{"a": "\xff"}', "$: the body is not UTF-8 at byte 7"),
        (b'{"a": NaN}', "$: the body holds NaN, which is not JSON"),
        (b'{"a": -Infinity}', "$: the body holds -Infinity, which is not JSON"),
        (b'{"a": 1, "b": 2, "a": 1}', "$: the body holds the key 'a' twice in one object"),
        (b'[{"b": {"\\u202ea": 1, "\\u202ea": 2}}]', "$: the body holds the key 'a' twice in one object"),
        (b"[" * 100_000, "$: the body nests deeper than 64"),
        (b"[" * 65 + b"]" * 65, "$: the body nests deeper than 64"),
        (b'{"a":' * 65 + b"[]" + b"}" * 65, "$: the body nests deeper than 64"),
        (b"{}" * 200_001, "$: the body holds too many values"),
        (b"[" + b"1," * 1_000_001 + b"1]", "$: the body holds too many values"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_what_is_no_usable_json_is_refused_with_the_reason(body: bytes, message: str) -> None:
    with pytest.raises(UnparsableDelivery) as caught:
        read_json(body)

    assert caught.value.message == message


def test_nesting_is_counted_in_levels_not_in_values() -> None:
    assert read_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) != []
    assert read_json(b"[" + b"[]," * 200 + b"[]]") == [[]] * 201
    assert read_json(b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH) != {}


def test_a_byte_order_mark_is_skipped() -> None:
    assert read_json(b'\xef\xbb\xbf{"a": 1}') == {"a": "1"}


def test_a_number_of_any_length_loses_no_digit() -> None:
    assert read_json(b'{"a": ' + b"9" * 5_000 + b', "b": 1.50, "c": 1e999}') == {"a": "9" * 5_000, "b": "1.50", "c": "1e999"}


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (as_object, None, "$.x: an object is missing"),
        (as_object, [], "$.x: expected an object, got a list"),
        (as_object, "a", "$.x: expected an object, got text"),
        (as_object, True, "$.x: expected an object, got a truth value"),
        (as_text, {}, "$.x: expected text, got an object"),
        (as_text, [], "$.x: expected text, got a list"),
        (as_texts, [], "$.x: expected an object, got a list"),
        (as_texts, {"a": {}}, "$.x.a: expected text, got an object"),
        (as_texts, {"a\u202eb": []}, "$.x.ab: expected text, got a list"),
        (as_texts, {str(number): "" for number in range(201)}, "$.x: 201 entries, at most 200 are taken"),
        (as_count, "-1", "$.x: '-1' is not a count"),
        (as_count, "1.5", "$.x: '1.5' is not a count"),
        (as_count, "\u0663", "$.x: '\u0663' is not a count"),
        (as_count, "1" * 10, "$.x: '1111111111' is not a count"),
        (as_count, [], "$.x: expected text, got a list"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(read: object, value: object, message: str) -> None:
    with pytest.raises(UnparsableDelivery) as caught:
        read(value, "$.x")  # type: ignore[operator]  # one of the functions above

    assert (caught.value.message, caught.value.details["path"]) == (message, message.partition(":")[0])


def test_a_list_has_a_limit() -> None:
    assert as_list([1, 2], "$.x", limit=2) == [1, 2]
    with pytest.raises(UnparsableDelivery, match=r"^\$\.x: 3 items, at most 2 are taken$"):
        as_list([1, 2, 3], "$.x", limit=2)
    with pytest.raises(UnparsableDelivery, match=r"^\$\.x: a list is missing$"):
        as_list(None, "$.x", limit=2)


def test_scalars_are_taken_as_text() -> None:
    assert as_texts({"a": "x", "b": "600", "c": True, "d": False, "e": None}, "$") == {"a": "x", "b": "600", "c": "true", "d": "false"}
    assert as_texts(None, "$") == {}


def test_a_count_may_be_text_or_missing() -> None:
    assert [as_count(value, "$") for value in (None, "", "0", "17")] == [0, 0, 0, 17]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+09:00", None),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.123456789+09:00", datetime(2026, 1, 1, 18, 4, 5, 123456, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2026-01-03T12:00:00Z", NOON + timedelta(days=1)),
    ],
)
def test_a_time_is_read_as_utc(value: object, expected: datetime | None) -> None:
    assert as_time(value, "$.x", received_at=NOON) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("2026-01-02T03:04:05", "$.x: '2026-01-02T03:04:05' is not a time with a zone (RFC 3339)"),
        ("yesterday", "$.x: 'yesterday' is not a time with a zone (RFC 3339)"),
        ("1767323045", "$.x: '1767323045' is not a time with a zone (RFC 3339)"),
        ("9999-12-31T23:59:59-23:59", "$.x: '9999-12-31T23:59:59-23:59' is not a time with a zone (RFC 3339)"),
        ("1969-12-31T23:59:59Z", "$.x: '1969-12-31T23:59:59Z' cannot be the time of an alert"),
        ("2026-01-03T12:00:00.000001Z", "$.x: '2026-01-03T12:00:00.000001Z' cannot be the time of an alert"),
        ("x" * 500, f"$.x: '{'x' * 39}…' is not a time with a zone (RFC 3339)"),
        ({}, "$.x: expected text, got an object"),
    ],
)
def test_a_time_that_cannot_be_true_is_refused(value: object, message: str) -> None:
    with pytest.raises(UnparsableDelivery) as caught:
        as_time(value, "$.x", received_at=NOON)

    assert caught.value.message == message


def test_labels_are_cleaned_and_cut() -> None:
    assert cleaned({"a\u202eb" + "c" * 300: "x\x00" + "y" * 5_000}) == {"ab" + "c" * 197 + "…": "x" + "y" * 3_998 + "…"}
