"""Verdicts and severities are ordered; effects join without losing what is known."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.kit.findings import Effects, Finding, Outcome, Severity, Verdict, worst

SETS = [item.name for item in fields(Effects) if item.name not in ("privileged", "reversible")]
NAMES = st.frozensets(st.sampled_from(["/etc/hosts", "nginx", "*", "a b"]))
EFFECTS = st.builds(Effects, privileged=st.booleans(), reversible=st.sampled_from([True, False, None]), **{name: NAMES for name in SETS})


def test_severities_rise_from_info_to_critical() -> None:
    assert [str(item) for item in sorted(Severity, key=lambda item: item.rank)] == ["info", "low", "medium", "high", "critical"]


def test_verdicts_rise_from_allow_to_block() -> None:
    assert [str(item) for item in sorted(Verdict, key=lambda item: item.rank)] == ["allow", "approve", "block"]


def test_the_words_for_results_are_the_published_ones() -> None:
    assert [str(item) for item in Outcome] == ["pass", "fail", "warn", "manual", "not-applicable", "timed-out"]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], Verdict.ALLOW),
        ([Verdict.ALLOW], Verdict.ALLOW),
        ([Verdict.ALLOW, Verdict.APPROVE, Verdict.ALLOW], Verdict.APPROVE),
        ([Verdict.BLOCK, Verdict.APPROVE], Verdict.BLOCK),
    ],
)
def test_the_strictest_verdict_wins(verdicts: list[Verdict], expected: Verdict) -> None:
    assert expected == worst(verdicts)


@given(st.lists(st.sampled_from(Verdict)), st.sampled_from(Verdict))
def test_one_more_verdict_never_makes_the_whole_milder(verdicts: list[Verdict], more: Verdict) -> None:
    assert worst([*verdicts, more]).rank == max(worst(verdicts).rank, more.rank)


def test_a_finding_shows_what_is_known_as_plain_json_values() -> None:
    finding = Finding(
        rule_id="BASH001", severity=Severity.HIGH, verdict=Verdict.BLOCK, message="pipes the network into a shell", line=3, text="x | sh"
    )

    shown = finding.to_dict()

    assert shown == {
        "rule_id": "BASH001",
        "severity": "high",
        "verdict": "block",
        "message": "pipes the network into a shell",
        "line": 3,
        "text": "x | sh",
    }
    assert {str, int} == {type(value) for value in shown.values()}


def test_a_finding_can_be_read_back() -> None:
    finding = Finding(rule_id="x.y", severity=Severity.LOW, verdict=Verdict.APPROVE, message="m", line=2, hint="h", tags=("T1",))

    assert Finding.from_dict({**finding.to_dict(), "newer": 1}) == finding


def test_nothing_known_is_shown_as_nothing_known() -> None:
    assert Effects().to_dict() == {"privileged": False, "reversible": None}


def test_effects_are_shown_sorted() -> None:
    effects = Effects(writes=frozenset({"/b", "/a"}), network=frozenset({"*"}), privileged=True, reversible=False)

    assert effects.to_dict() == {"writes": ["/a", "/b"], "network": ["*"], "privileged": True, "reversible": False}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (True, True, True),
        (True, False, False),
        (False, False, False),
        (True, None, None),
        (None, None, None),
        # A part that cannot be undone is certain, whatever the unknown part turns out to be.
        (False, None, False),
    ],
)
def test_reversible_together(one: bool | None, other: bool | None, expected: bool | None) -> None:
    assert expected is Effects(reversible=one).merge(Effects(reversible=other)).reversible
    assert expected is Effects(reversible=other).merge(Effects(reversible=one)).reversible


@given(EFFECTS, EFFECTS)
def test_merging_loses_no_effect(one: Effects, other: Effects) -> None:
    both = one.merge(other)

    for name in SETS:
        assert getattr(one, name) | getattr(other, name) == getattr(both, name)
    assert (one.privileged or other.privileged) == both.privileged


@given(EFFECTS, EFFECTS, EFFECTS)
def test_the_order_of_merging_does_not_matter(one: Effects, two: Effects, three: Effects) -> None:
    assert one.merge(two) == two.merge(one)
    assert one.merge(two).merge(three) == one.merge(two.merge(three))
    assert one.merge(one) == one
