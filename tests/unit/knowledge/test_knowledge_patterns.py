"""Patterns that a hostile value could keep busy for ever are told from those that it cannot."""

import math
import re
import time

import pytest

from bcce.knowledge.patterns import MAX_COST, check_pattern, match_cost
from bcce.knowledge.sop import SopParameter


@pytest.mark.parametrize(
    ("pattern", "length", "cost"),
    [
        ("abc", 256, 1),
        ("a{5}", 256, 1),
        ("a?", 256, 2),
        ("a{2,5}", 256, 4),
        ("a|b", 256, 2),
        ("[a-z]+", 256, 257),
        ("[a-z]{3,}", 256, 257),
        ("[a-z]{,}", 256, 257),
        ("[a-z]{,4}", 256, 5),
        ("a*b*", 4, math.comb(6, 2)),
        ("[]+*]", 256, 1),
        ("[^]+*]", 256, 1),
        (r"[\]+*]", 256, 1),
        (r"\(\+\*\{3,5\}", 256, 1),
        ("a{}b{x}", 256, 1),
        ("a+?b*+", 4, math.comb(6, 2)),
        ("(?:abc)+", 256, 257),
        ("(a|b)", 256, 2),
        (r"([0-9]{1,3}\.){3}[0-9]{1,3}", 15, 81),
        ("(?P<name>a{1,3})?", 256, 6),
    ],
)
def test_the_ways_to_try_a_pattern_are_counted(pattern: str, length: int, cost: float) -> None:
    assert match_cost(pattern, length) == cost


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+",
        "(a*)*b",
        "(?:a|a)*",
        "(a?){30}",
        "((a+))*",
        "(a{1,3}){9}",
        r"(\.[a-z.]+)*",
        ".*.*.*.*=",
        "a?" * 40 + "a" * 40,
        "(a|b|ab)+c",
    ],
)
def test_a_pattern_that_can_take_for_ever_is_refused(pattern: str) -> None:
    assert match_cost(pattern, 256) > MAX_COST
    with pytest.raises(ValueError, match="busy for ever"):
        SopParameter(source="host", pattern=pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "[a-z0-9.-]{1,253}",
        "[a-z]+-[0-9]+",
        r"([0-9]{1,3}\.){3}[0-9]{1,3}",
        "(prod|stage)-[a-z]{1,20}",
        "[A-Za-z]+ [a-z]+ [a-z]+",
        "(?i)abc",
    ],
)
def test_patterns_of_everyday_are_taken(pattern: str) -> None:
    assert SopParameter(source="host", pattern=pattern).pattern == pattern


def test_the_dearest_pattern_that_is_taken_answers_in_bearable_time() -> None:
    pattern = "[a-z]*[a-z]*[a-z]*="  # 2.9 million ways at 256 characters
    assert match_cost(pattern, 256) <= MAX_COST
    began = time.process_time()

    assert re.fullmatch(pattern, "a" * 256) is None
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("[a-z", "not a regular expression: unterminated character set at position 0"),
        ("(", "not a regular expression"),
        ("a{99999999999}", "not a regular expression"),
        ("(" * 5000 + ")" * 5000, "not a regular expression"),
        ("(?x) a # (", "a pattern holds no comments and no verbose mode"),
        ("a(?#))b", "not a regular expression"),
        ("a(?#()b", "a pattern holds no comments and no verbose mode"),
        ("(?ix:a)", "a pattern holds no comments and no verbose mode"),
    ],
)
def test_what_is_no_plain_pattern_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check_pattern(pattern)
