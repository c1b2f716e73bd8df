"""How names compare, how text becomes a search, and when a search's answer counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.kit.ids import DocumentId
from bcce.knowledge.index import IndexHit
from bcce.knowledge.matching import clear_leader, confident_hit
from bcce.knowledge.names import MAX_TERMS, alert_terms, match_expression, normalize_name, search_terms, slug_of, split_words


@pytest.mark.parametrize("name", ["HighCPU", "high_cpu", "High CPU!", "high-cpu", "\uff28igh CPU"])
def test_names_that_differ_in_style_only_are_one(name: str) -> None:
    assert normalize_name(name) == "highcpu"


@pytest.mark.parametrize(("name", "expected"), [("", ""), ("--", ""), ("ディスク満杯", "ディスク満杯"), ("x" * 1000, "x" * 200)])
def test_a_normalized_name_keeps_letters_and_digits_of_any_script(name: str, expected: str) -> None:
    assert normalize_name(name) == expected


@given(st.text())
def test_normalizing_twice_changes_nothing_more(name: str) -> None:
    once = normalize_name(name)
    assert normalize_name(once)[: len(once)] == normalize_name(once)
    assert len(once) <= 200


@pytest.mark.parametrize(
    ("text", "expected"), [("Disk Full!", "disk-full"), ("  Ünïcode ", "unicode"), ("ディスク", ""), ("a" * 300, "a" * 100), ("-_-", "")]
)
def test_a_slug_is_short_lower_case_and_plain(text: str, expected: str) -> None:
    assert slug_of(text) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("KubePodCrashLooping", "Kube Pod Crash Looping"), ("HTTPErrors", "HTTP Errors"), ("node5Down", "node5 Down"), ("plain", "plain")],
)
def test_a_name_opens_where_its_case_changes(name: str, expected: str) -> None:
    assert split_words(name) == expected


def test_search_terms_are_words_without_stop_words_numbers_and_repeats() -> None:
    assert search_terms('The disk DISK is 95 % full on "/var" a b and x') == ("disk", "full", "var")


def test_a_search_has_at_most_forty_terms() -> None:
    assert len(search_terms(" ".join(f"word{letter}{other}" for letter in "abcdefghij" for other in "abcdefghij"))) == MAX_TERMS


def test_values_of_labels_that_only_say_where_are_no_part_of_a_search() -> None:
    terms = alert_terms(
        "DiskFull",
        "Disk of web-1.example.com is full for checkout",
        "Filesystem on WEB-1.EXAMPLE.COM, zone eu",
        {"alertname": "DiskFull", "instance": "web-1.example.com", "service": "checkout", "zone": "eu", "x": "f"},
    )
    assert terms == ("disk", "full", "checkout", "filesystem", "zone")


def test_a_very_long_name_leaves_room_for_the_texts() -> None:
    name = "".join(f"Word{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
    terms = alert_terms(name, "filesystem", "", {})
    assert (len(terms), terms[-1]) == (21, "filesystem")


def test_terms_are_quoted_so_that_no_syntax_is_left() -> None:
    assert match_expression(("near", 'a"b', "or")) == '"near" OR "a""b" OR "or"'


def hits(*pairs: tuple[float, int]) -> list[IndexHit]:
    """Hits of these scores and numbers of matched words."""
    return [IndexHit(document_id=DocumentId(f"doc_{index}"), score=score, matched=matched) for index, (score, matched) in enumerate(pairs)]


@pytest.mark.parametrize(
    ("found", "is_clear"),
    [([], False), ([(0.1, 1)], True), ([(1.3, 1), (1.0, 9)], True), ([(1.29, 1), (1.0, 9)], False), ([(1.0, 1), (1.0, 1)], False)],
)
def test_a_leader_is_clear_when_it_is_far_ahead(found: list[tuple[float, int]], is_clear: bool) -> None:
    assert (clear_leader(hits(*found)) is not None) is is_clear


@pytest.mark.parametrize(
    ("matched", "words", "counts"),
    [
        (1, 1, False),
        (1, 2, False),
        (2, 2, True),
        (2, 3, False),
        (3, 3, True),
        (3, 12, True),
        (3, 13, False),
        (4, 13, True),
        (10, 40, True),
        (9, 40, False),
    ],
)
def test_an_answer_counts_when_it_holds_enough_of_the_words(matched: int, words: int, counts: bool) -> None:
    assert (confident_hit(hits((5.0, matched), (1.0, 1)), words) is not None) is counts


def test_an_answer_that_is_not_clear_never_counts() -> None:
    assert confident_hit(hits((5.0, 10), (4.9, 10)), 10) is None
