"""YAML and JSON with line numbers: what is read, what is refused and where, and that no text breaks the reader."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bcce.config.document import MAX_BYTES, MAX_DEPTH, read_json, read_yaml, sentence
from bcce.kit.errors import InvalidDocument


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("# only a comment\n", None),
        ("5", 5),
        ("- 1\n- a", [1, "a"]),
        ("a: 1\nb: 1.5\nc: true\nd: null\ne: ~\nf:", {"a": 1, "b": 1.5, "c": True, "d": None, "e": None, "f": None}),
        ("a: yes\nb: on\nc: no", {"a": "yes", "b": "on", "c": "no"}),
        ("a: 0x1F\nb: 0o17\nc: 1_000\nd: 017", {"a": 31, "b": 15, "c": 1000, "d": 17}),
        ("a: 2026-01-02\nb: 2026-13-45\nc: 2026-01-02T03:04:05Z", {"a": "2026-01-02", "b": "2026-13-45", "c": "2026-01-02T03:04:05Z"}),
        ("a: |\n  x\n  y\nb: >\n  x\n  y\nc: 'q'\nd: \"d\"", {"a": "x\ny\n", "b": "x y\n", "c": "q", "d": "d"}),
        ("8080: web\n2026-01-02: day", {"8080": "web", "2026-01-02": "day"}),
        ("a: <<\nb: '*x'\nc: '&x'\nd: '!x'", {"a": "<<", "b": "*x", "c": "&x", "d": "!x"}),
        ("a: {b: [1, {c: 2}]}", {"a": {"b": [1, {"c": 2}]}}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("a: \U0001f600 ünï", {"a": "\U0001f600 ünï"}),
    ],
)
def test_a_document_becomes_plain_values(text: str, expected: Any) -> None:
    value = read_yaml(text).value
    assert value == expected
    assert type(value) is type(expected)


def test_values_are_the_builtin_types_and_not_the_librarys() -> None:
    value = read_yaml("a: 0x1F\nb: 'q'\nc: [1]\nd: {e: 1.0}\nf: |\n  x\n").value
    assert [type(item) for item in (value, *value.values())] == [dict, int, str, list, dict, str]


TEXT = """\
version: "1.0"
aws:
  region: us-east-1   # comment
  8080: web
targets:
  - name: a
  - name: b
    tags: [x, y]
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((), (1, 1)),
        (("version",), (1, 1)),
        (("aws",), (2, 1)),
        (("aws", "region"), (3, 3)),
        (("aws", "8080"), (4, 3)),
        (("aws", "nothing"), (2, 1)),
        (("aws", "region", "deeper"), (3, 3)),
        (("targets", 1), (7, 5)),
        (("targets", 1, "tags"), (8, 5)),
        (("targets", 1, "tags", 1), (8, 15)),
        (("targets", 9), (5, 1)),
        (("targets", "x"), (5, 1)),
        (("nothing",), (1, 1)),
    ],
)
def test_a_place_is_that_of_the_key_or_its_nearest_ancestor(path: tuple[str | int, ...], expected: tuple[int, int]) -> None:
    assert read_yaml(TEXT).place(path) == expected


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 1\na: secret-2", 2, 1, "the key 'a' stands here for the second time"),
        ("a: {b: 1, b: 2}", 1, 11, "the key 'b' stands here for the second time"),
        ("8: 1\n'8': 2", 1, 1, "the key '8' stands here as text and as a number"),
        ("a:\n\tb: 1", 2, 1, "a tab cannot indent YAML"),
        ("a: &x 1", 1, 4, "anchors (&name) are not supported"),
        ("a: 1\nb: *x", 2, 4, "aliases (*name) are not supported"),
        ("<<: {a: 1}", 1, 1, "merge keys (<<) are not supported"),
        ("a: !!python/object:os.system x", 1, 4, "tags (!name) are not supported"),
        ("a: !x", 1, 4, "tags (!name) are not supported"),
        ("%YAML 1.1\n---\na: yes", 1, 1, "directives (%YAML, %TAG) are not supported"),
        ("a: .nan", 1, 1, "only finite numbers are supported"),
        ("- 1\n- .inf", 2, 3, "only finite numbers are supported"),
        ("true: 1", 1, 1, "a key must be text"),
        ("1.5: 1", 1, 1, "a key must be text"),
        ("? [a]\n: 1", 1, 3, "a key must be text"),
        ("? {a: 1}\n: 1", 1, 3, "a key must be text"),
        ('a: "\\ud83d"', 1, 1, "half of a surrogate pair is no character"),
        ("a: b\nc: \x00", 2, 4, "the character U+0000 may not stand here"),
        (f"a: {'9' * 5000}", 1, 4, "this number cannot be read"),
        ("a: +_", 1, 4, "this number cannot be read"),
        ("a: [1", 1, 6, "this is no valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: b: c", 1, 5, "this is no valid YAML: mapping values are not allowed here"),
        ("a: 1\n---\nb: 2", 2, 1, "this is no valid YAML: but found another document"),
        (f"a: {'[' * 100}", 1, MAX_DEPTH + 3, f"nested deeper than {MAX_DEPTH} levels"),
    ],
)
def test_what_has_no_one_obvious_meaning_is_refused_with_its_place(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_yaml(text, "file.yaml")
    assert (sentence(caught.value), caught.value.line, caught.value.column) == (message, line, column)
    assert caught.value.path == "file.yaml"
    assert "secret-2" not in str(caught.value)


def test_a_key_that_stands_twice_tells_where_the_first_is() -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_yaml("\n\na: 1\nb: 2\na: 3")
    assert caught.value.hint == "the first is in line 3"


def test_a_few_lines_cannot_grow_to_gigabytes() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20))
    with pytest.raises(InvalidDocument, match="anchors"):
        read_yaml(bomb)


def test_a_text_at_the_limit_is_read_and_one_byte_more_is_not() -> None:
    at_limit = "a: '" + "x" * (MAX_BYTES - 5) + "'"
    assert len(read_yaml(at_limit).value["a"]) == MAX_BYTES - 5
    with pytest.raises(InvalidDocument, match=f"larger than {MAX_BYTES} bytes"):
        read_yaml(f"{at_limit} ")


def test_the_limit_counts_bytes_and_not_characters() -> None:
    with pytest.raises(InvalidDocument, match="larger than"):
        read_yaml("#" + "é" * (MAX_BYTES // 2))


@pytest.mark.parametrize(
    ("text", "expected", "place"),
    [
        ('{"a": 1}', {"a": 1}, (1, 2)),
        ('{\n\t"b": 1,\n\t"a": [true, null]\n}', {"b": 1, "a": [True, None]}, (3, 2)),
        ('{"a": "\\ud83d\\ude00 \\/ \\u0041"}', {"a": "\U0001f600 / A"}, (1, 2)),
        ('{"a":1e3,"b":{}}', {"a": 1000.0, "b": {}}, (1, 2)),
    ],
)
def test_json_is_read_as_json(text: str, expected: Any, place: tuple[int, int]) -> None:
    document = read_json(text)
    assert (document.value, document.place(("a",))) == (expected, place)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("", 1, 1, "this is no valid JSON: Expecting value"),
        ('{"a": 1,}', 1, 9, "this is no valid JSON: Expecting property name enclosed in double quotes"),
        ('// no\n{"a": 1}', 1, 1, "this is no valid JSON: Expecting value"),
        ("a: 1", 1, 1, "this is no valid JSON: Expecting value"),
        ('{"a": 1,\n "a": 2}', 2, 2, "the key 'a' stands here for the second time"),
        ('{"a": NaN}', 1, 2, "only finite numbers are supported"),
        ('{"a": 1e999}', 1, 2, "only finite numbers are supported"),
        ('{"a": "\\ud83d"}', 1, 2, "half of a surrogate pair is no character"),
        (f'{{"a": {"9" * 5000}}}', None, None, "a number in this JSON has too many digits"),
        ('{"a":' * 100 + "1" + "}" * 100, 1, 5 * MAX_DEPTH - 3, f"nested deeper than {MAX_DEPTH} levels"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, None, None, f"nested deeper than {MAX_DEPTH} levels"),
        (f'"{"x" * MAX_BYTES}"', None, None, f"larger than {MAX_BYTES} bytes"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(text: str, line: int | None, column: int | None, message: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_json(text)
    assert (sentence(caught.value), caught.value.line, caught.value.column) == (message, line, column)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None)
@given(value=JSON, indent=st.sampled_from([None, 1, "\t"]))
def test_whatever_json_writes_is_read_back(value: Any, indent: int | str | None) -> None:
    assert read_json(json.dumps(value, indent=indent)).value == value


FRAGMENTS = [
    *("a", "b", ":", ": ", "- ", "\n", "  ", "\t", "[", "]", "{", "}", ",", "'", '"', "|", ">", "|-", "#", "# c", "&x", "*x", "!t", "?"),
    *("? ", "<<", "---", "...", "%YAML 1.2", "@", "`", "\\", "\\u", "0x", "1", ".5", "null", "\r", "\u2028", "é", "=", "+_", "-", "|9"),
]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.lists(st.sampled_from(FRAGMENTS), max_size=20).map("".join) | st.text(max_size=20))
def test_no_text_makes_the_reader_fail_in_any_other_way(text: str) -> None:
    for read in (read_yaml, read_json):
        # A text that is no document is refused; anything else than that refusal would fail this test.
        with contextlib.suppress(InvalidDocument):
            assert read(text).place(()) == (1, 1)


@pytest.mark.parametrize("text", ["\r# c]`<<`# c|\r|- #? \nnull|&x\u2028@"])
def test_texts_over_which_the_library_stumbles_are_no_valid_yaml(text: str) -> None:
    with pytest.raises(InvalidDocument, match="this is no valid YAML"):
        read_yaml(text)


@pytest.mark.parametrize("path", ["f.yaml", None])
def test_sentence_is_the_message_without_the_place(path: str | None) -> None:
    assert sentence(InvalidDocument("it is: wrong", path=path, line=2, column=3)) == "it is: wrong"
