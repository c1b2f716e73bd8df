"""The fingerprint says which notifications are about the same alert."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.alerts.fingerprint import REPLICA_LABELS, fingerprint

LABELS = {"alertname": "ServiceDown", "instance": "web-1:8080", "severity": "critical"}
TEXTS = st.text(max_size=12)
LABEL_SETS = st.dictionaries(TEXTS, TEXTS, max_size=6)


def of(labels: dict[str, str]) -> str:
    return fingerprint("alertmanager", "prod", labels)


def test_version_1_never_changes() -> None:
    """These values stand in databases: another result needs a new version."""
    assert of(LABELS) == "v1:252abe104ef397d87fad84e5a9099c0e"
    assert of({}) == "v1:2ac932094ba68cf46c3cd217783c4d89"


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=6, unique_by=lambda pair: pair[0]), st.randoms())
def test_the_order_of_labels_does_not_count(pairs: list[tuple[str, str]], random: object) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis gives a random.Random

    assert of(dict(pairs)) == of(dict(shuffled))


@given(LABEL_SETS)
def test_the_unicode_normal_form_does_not_count(labels: dict[str, str]) -> None:
    forms = [
        of({unicodedata.normalize(form, name): unicodedata.normalize(form, value) for name, value in labels.items()})
        for form in ("NFC", "NFD")
    ]

    assert forms[0] == forms[1]


@given(LABEL_SETS, st.dictionaries(st.sampled_from(REPLICA_LABELS), TEXTS))
def test_replica_labels_do_not_count(labels: dict[str, str], replicas: dict[str, str]) -> None:
    bare = {name: value for name, value in labels.items() if name not in REPLICA_LABELS}

    assert of({**bare, **replicas}) == of(bare)


@given(LABEL_SETS, TEXTS)
def test_a_label_without_a_value_is_no_label(labels: dict[str, str], name: str) -> None:
    bare = {key: value for key, value in labels.items() if key != name}

    assert of({**bare, name: ""}) == of(bare)


@given(LABEL_SETS, LABEL_SETS)
def test_different_labels_are_different_alerts(one: dict[str, str], other: dict[str, str]) -> None:
    def meant(labels: dict[str, str]) -> set[tuple[str, str]]:
        pairs = {(unicodedata.normalize("NFC", name), unicodedata.normalize("NFC", value)) for name, value in labels.items()}
        return {pair for pair in pairs if pair[1] and pair[0] not in REPLICA_LABELS}

    assert (of(one) == of(other)) == (meant(one) == meant(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": "b", "c": "d"}, {"a": "b,c=d"}),
        ({"ab": "c"}, {"a": "bc"}),
        ({"host": "web-1"}, {"host": "WEB-1"}),
        ({"host": "web-1"}, {"host": "web-1 "}),
        ({"host": "web-1"}, {"host": "web-1\u200b"}),
        ({"host": "\ud800"}, {"host": "\ud801"}),
    ],
)
def test_near_misses_are_kept_apart(one: dict[str, str], other: dict[str, str]) -> None:
    assert of(one) != of(other)


def test_provider_and_source_are_part_of_the_identity() -> None:
    found = {fingerprint(provider, source, LABELS) for provider, source in (("a", "bc"), ("ab", "c"), ("a", "b"), ("b", "bc"))}

    assert len(found) == 4


def test_what_is_ignored_can_be_chosen() -> None:
    labels = {**LABELS, "zone": "a", "replica": "1"}

    assert fingerprint("p", "s", labels, ignored=["zone"]) == fingerprint("p", "s", {**LABELS, "replica": "1"}, ignored=[])
    assert fingerprint("p", "s", labels, ignored=[]) != fingerprint("p", "s", labels)
