"""What every alert provider keeps to, whoever wrote it: the specification is the docstring of `AlertProvider`.

A new provider adds its bodies to `SAMPLES`; the rest of the suite then holds for it too.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.alerts_support import fixture

from bcce.alerts import AlertProvider, AlertSettings, AlertStatus, NormalizedAlert, UnparsableDelivery
from bcce.alerts.model import MAX_NAME, MAX_TEXT, MAX_VALUE
from bcce.alerts.resource import is_link
from bcce.kit.text import has_hidden
from bcce.plugins import Registry, Services

RECEIVED = datetime(2026, 11, 21, 4, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Bodies of one alert that fires, is over, and fires again; of a group with both; and one full of hostile text."""

    firing: bytes
    resolved: bytes
    fired_again: bytes
    mixed: bytes
    hostile: bytes
    with_unknown_fields: bytes


SAMPLES: Mapping[str, Samples] = {
    "alertmanager": Samples(
        firing=fixture("firing"),
        resolved=fixture("resolved"),
        fired_again=fixture("fired-again"),
        mixed=fixture("group-mixed"),
        hostile=fixture("hostile"),
        with_unknown_fields=fixture("unknown-fields"),
    ),
}


def built() -> dict[str, AlertProvider]:
    services = Services()
    services.add(AlertSettings, AlertSettings())
    return Registry("bcce.alert_providers", AlertProvider).build_all(services)  # type: ignore[type-abstract]  # a door


PROVIDERS = built()
each_provider = pytest.mark.parametrize("name", sorted(PROVIDERS))


def parse(name: str, body: bytes, *, source: str = "prod", received_at: datetime = RECEIVED) -> tuple[NormalizedAlert, ...]:
    return PROVIDERS[name].parse(body, {}, source=source, received_at=received_at).alerts


def outcome(name: str, body: bytes) -> tuple[NormalizedAlert, ...] | str:
    try:
        return parse(name, body)
    except UnparsableDelivery as error:
        return error.path


def test_every_installed_provider_has_samples() -> None:
    assert sorted(PROVIDERS) == sorted(SAMPLES)


@each_provider
def test_a_provider_has_the_name_that_it_is_installed_under(name: str) -> None:
    assert PROVIDERS[name].name == name


@each_provider
def test_firing_resolved_and_fired_again_are_one_alert(name: str) -> None:
    samples = SAMPLES[name]
    (firing,), (resolved,), (again,) = (parse(name, body) for body in (samples.firing, samples.resolved, samples.fired_again))

    assert [alert.status for alert in (firing, resolved, again)] == [AlertStatus.FIRING, AlertStatus.RESOLVED, AlertStatus.FIRING]
    assert len({alert.fingerprint for alert in (firing, resolved, again)}) == 1
    assert resolved.starts_at == firing.starts_at < again.starts_at
    assert firing.ends_at is None


@each_provider
def test_each_alert_has_its_own_status(name: str) -> None:
    assert {alert.status for alert in parse(name, SAMPLES[name].mixed)} == set(AlertStatus)


@each_provider
def test_alerts_say_where_they_come_from(name: str) -> None:
    (alert,) = parse(name, SAMPLES[name].firing, source="berlin")

    assert (alert.provider, alert.source) == (name, "berlin")
    assert alert.fingerprint.startswith("v1:")
    assert alert.starts_at.utcoffset() == timedelta(0)


@each_provider
def test_the_same_body_from_another_source_is_another_alert(name: str) -> None:
    one, other = (parse(name, SAMPLES[name].firing, source=source)[0] for source in ("berlin", "tokyo"))

    assert one.fingerprint != other.fingerprint


@each_provider
def test_a_repeat_is_read_the_same_whenever_it_comes(name: str) -> None:
    body = SAMPLES[name].firing

    assert parse(name, body) == parse(name, body, received_at=RECEIVED + timedelta(days=3))


@each_provider
def test_every_text_is_clean_and_capped(name: str) -> None:
    for body in (SAMPLES[name].hostile, SAMPLES[name].mixed):
        for alert in parse(name, body):
            short = (alert.name, alert.host, alert.service, alert.environment, *alert.labels, *alert.annotations, *alert.links)
            long = (alert.summary, *alert.labels.values(), *alert.annotations.values(), *alert.links.values())
            assert [text for text in (*short, *long, alert.description) if text and has_hidden(text)] == []
            assert max(len(text or "") for text in short) <= MAX_NAME
            assert max(map(len, long)) <= MAX_VALUE
            assert len(alert.description) <= MAX_TEXT
            assert [link for link in alert.links.values() if not is_link(link)] == []


@each_provider
def test_unknown_fields_do_no_harm(name: str) -> None:
    assert len(parse(name, SAMPLES[name].with_unknown_fields)) == 1


@each_provider
def test_parsing_may_be_done_in_any_thread(name: str) -> None:
    body = SAMPLES[name].mixed
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: parse(name, body), range(20)))

    assert found == [parse(name, body)] * 20


@each_provider
@pytest.mark.parametrize("body", [b"", b"\xff", b"{", b"[]", b"null", b"3", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 10_000])
def test_what_is_no_body_at_all_is_refused_with_a_path(name: str, body: bytes) -> None:
    with pytest.raises(UnparsableDelivery) as caught:
        parse(name, body)

    assert caught.value.path.startswith("$")
    assert caught.value.details["path"] == caught.value.path


@each_provider
@given(data=st.data())
def test_a_damaged_body_is_understood_or_refused_and_nothing_else(name: str, data: st.DataObject) -> None:
    body = bytearray(SAMPLES[name].mixed)
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), max_size=4)):
        body[place] = byte
    cut = data.draw(st.integers(0, len(body)) | st.just(len(body)))

    found = outcome(name, bytes(body[:cut]))
    assert isinstance(found, tuple) or found.startswith("$")
