"""A secret shows only as a mask, wherever text leaves the process."""

import copy
import json
import pickle
import random
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.kit.redact import _SHAPES, MASK, Secret, mask_text, redact

HIDDEN = "hunter2-and-more"
#: Built here, not written out, so that no scanner takes this file for a leak.
TOKEN = "bcce_pat_" + "A1b2C3d4E5f6G7h8I9j0_-K"
KEY_BLOCK = "-----BEGIN EC " + "PRIVATE KEY-----\nMIIabc\n"


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        "{}".format,
        "{!r}".format,
        "%s".__mod__,
        "{:>20}".format,
        lambda secret: f"{[secret]}",
        lambda secret: json.dumps(secret, default=str),
    ],
    ids=["str", "repr", "format", "format-repr", "percent", "padded", "in-a-list", "json"],
)
def test_no_way_of_printing_shows_a_secret(show: Callable[[Secret], str]) -> None:
    shown = show(Secret(HIDDEN))

    assert HIDDEN not in shown
    assert MASK in shown


def test_reveal_is_the_way_to_the_value() -> None:
    assert Secret(HIDDEN).reveal() == HIDDEN


def test_secrets_are_equal_by_value_and_never_equal_to_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


@pytest.mark.parametrize("copying", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_not_serialized(copying: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError, match="never pickled"):
        copying(Secret(HIDDEN))


def test_a_secret_has_no_dictionary_to_dump() -> None:
    with pytest.raises(TypeError):
        vars(Secret(HIDDEN))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"token {TOKEN}.", f"token {MASK}."),
        ("Authorization: Bearer abc.def-123", f"Authorization: {MASK}"),
        ("authorization: basic dXNlcjpwYXNz", f"authorization: {MASK}"),
        ("AKIA" + "Z" * 16, MASK),
        ("x ASIA" + "0" * 16 + " y", f"x {MASK} y"),
        (f"a {KEY_BLOCK}-----END EC PRIVATE KEY----- b", f"a {MASK} b"),
        (f"a {KEY_BLOCK}cut off here", f"a {MASK}"),
        ("postgresql://bcce:pass@db:5432/bcce", f"postgresql://{MASK}@db:5432/bcce"),
        ("redis://:pass@cache:6379", f"redis://{MASK}@cache:6379"),
        ("mysql://bcce:p@ss@db/bcce", f"mysql://{MASK}@db/bcce"),
        ("see http://a:1@b/x and http://c:2@d/y", f"see http://{MASK}@b/x and http://{MASK}@d/y"),
    ],
)
def test_what_is_shaped_like_a_credential_is_masked(text: str, expected: str) -> None:
    assert expected == mask_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bcce_pat_short",
        "the bearer of bad news",
        "AKIA1234",
        "https://db.example:5432/path",
        "ssh://ops@host/path",
        "mail ops@example.org: now",
        "-----BEGIN CERTIFICATE-----",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert text == mask_text(text)


def test_known_secrets_are_masked_longest_first() -> None:
    """Otherwise the shorter one would leave the rest of the longer one in the text."""
    assert mask_text("abcd abcdef", [Secret("abcd"), Secret("abcdef")]) == f"{MASK} {MASK}"


def test_a_secret_of_three_characters_is_not_searched_for() -> None:
    assert mask_text("abc", [Secret("abc")]) == "abc"


@pytest.mark.parametrize("value", [None, True, False, 0, 12, 1.5])
def test_numbers_and_nothing_stay(value: object) -> None:
    assert value == redact(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Secret(HIDDEN), MASK),
        (f"Bearer {HIDDEN}", MASK),
        (f"Bearer {HIDDEN}".encode(), MASK),
        (b"\xff ok", "\ufffd ok"),
        ([TOKEN, 1], [MASK, 1]),
        ((TOKEN,), [MASK]),
        ({TOKEN}, [MASK]),
        (frozenset({TOKEN}), [MASK]),
        ({"a": {"b": [TOKEN]}}, {"a": {"b": [MASK]}}),
        ({TOKEN: 1, 2: 3}, {MASK: 1, "2": 3}),
        (ValueError(TOKEN), MASK),
    ],
    ids=["secret", "text", "bytes", "broken-bytes", "list", "tuple", "set", "frozenset", "nested", "key", "object"],
)
def test_nothing_secret_is_left_in_a_copy(value: object, expected: object) -> None:
    assert expected == redact(value)


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "db_passwd",
        "passPhrase",
        "PASS",
        "smtp_pass",
        "clientSecret",
        "token",
        "access_token",
        "api_key",
        "apiKey",
        "api-key",
        "Authorization",
        "Set-Cookie",
        "credentials",
        "privateKey",
        "session_key",
    ],
)
def test_what_stands_under_a_secret_key_is_masked_whatever_it_is(key: str) -> None:
    assert redact({key: "x"}) == {key: MASK}
    assert redact({key: ["x"]}) == {key: MASK}


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"passed": "3 of 4"}, "a test's result"),
        ({"bypass": "none"}, "another word"),
        ({"author": "ops"}, "another word"),
        ({"monkey": "x"}, "another word"),
        ({"input_tokens": 812}, "a count"),
        ({"cookie_max_age_s": 60}, "a limit"),
        ({"has_password": True}, "a claim about a password"),
        ({"password": None}, "no password"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_near_miss_stays(entry: dict[str, object], why: str) -> None:
    assert entry == redact(entry), why


@pytest.mark.parametrize("key", ["password", "db_pass", "secret", "credential"])
def test_a_numeric_password_is_masked(key: str) -> None:
    """YAML reads `password: 123456` as a number."""
    assert redact({key: 123456}) == {key: MASK}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just(f"x {HIDDEN} y"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just(HIDDEN), inner),
    max_leaves=20,
)


@given(JSON)
def test_a_known_secret_is_nowhere_in_the_result(value: object) -> None:
    assert HIDDEN not in json.dumps(redact(value, [Secret(HIDDEN)]))


@given(st.text())
def test_masking_twice_changes_nothing_more(text: str) -> None:
    once = mask_text(text)

    assert once == mask_text(once)


def test_masking_stays_fast_on_hostile_text() -> None:
    """A pattern that tries every split of such texts would run for hours."""
    for text in ("://" * 100_000, "://a:" + "b" * 500_000, "-----BEGIN " * 50_000, "basic " * 100_000):
        assert isinstance(mask_text(text), str)


def test_a_shape_is_found_whatever_stands_around_it() -> None:
    """Only shapes whose words a text holds are looked for; that must never lose one."""
    parts = [
        "bcce_tok_",
        "A" * 16,
        "Bearer ",
        "ba\u017fic ",
        "BASIC  ",
        "AKIA",
        "ASIA" + "Q" * 16,
        "http://",
        "u:p@",
        "@",
        " ",
        "\n",
        "é",
        "\u212a",
    ]
    parts += ["\n", "é", "\u212a", "-----BEGIN RSA PRIVATE KEY-----", "-----END PRIVATE KEY-----", "a" * 20]
    every = re.compile("|".join(pattern for _, pattern in _SHAPES))
    chance = random.Random(1)  # noqa: S311 - no secret
    texts = ["".join(chance.choices(parts, k=chance.randint(1, 8))) for _ in range(5_000)]

    assert [mask_text(text) for text in texts] == [every.sub(MASK, text) for text in texts]
    assert sum(MASK in mask_text(text) for text in texts) > 1_000


def test_the_shortest_text_of_a_shape_is_masked() -> None:
    assert mask_text("://:p@") == f"://{MASK}@"


def test_a_key_that_was_judged_before_hides_its_values_the_same_way_again() -> None:
    known = Secret("rack-7")
    for _ in range(2):
        assert redact({"token": "abc", "rack-7": 1, "pin password": 7}) == {"token": MASK, "rack-7": 1, "pin password": MASK}
        assert redact({"rack-7": 1, "x" * 70 + TOKEN: "y"}, [known]) == {MASK: 1, "x" * 70 + MASK: "y"}
