"""What monitors' words for severity mean."""

import pytest

from bcce.alerts.severity import SEVERITY_WORDS, severity_of
from bcce.kit.findings import Severity


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("critical", Severity.CRITICAL),
        ("page", Severity.CRITICAL),
        ("P1", Severity.CRITICAL),
        ("  Critical ", Severity.CRITICAL),
        ("error", Severity.HIGH),
        ("major", Severity.HIGH),
        ("warning", Severity.MEDIUM),
        ("average", Severity.MEDIUM),
        ("minor", Severity.LOW),
        ("information", Severity.INFO),
        ("none", Severity.INFO),
    ],
)
def test_a_known_word_has_its_place_on_the_scale(word: str, expected: Severity) -> None:
    assert severity_of(word) is expected


@pytest.mark.parametrize("word", [None, "", "purple", "critical!", "5"])
def test_an_unknown_word_is_neither_ignored_nor_an_emergency(word: str | None) -> None:
    assert severity_of(word) is Severity.MEDIUM


def test_every_severity_has_its_own_name_as_a_word() -> None:
    assert {severity: SEVERITY_WORDS[str(severity)] for severity in Severity} == {severity: severity for severity in Severity}


def test_words_are_in_the_form_in_which_they_are_looked_up() -> None:
    assert [word for word in SEVERITY_WORDS if word != word.strip().lower()] == []
