"""Alertmanager's bodies become alerts."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.alerts.errors import UnparsableDelivery
from bcce.alerts.fingerprint import fingerprint
from bcce.alerts.model import AlertStatus, NormalizedAlert, ParsedDelivery
from bcce.alerts.providers.alertmanager import Alertmanager
from bcce.alerts.settings import AlertSettings
from bcce.kit.findings import Severity
from bcce.kit.text import has_hidden
from bcce.plugins import Services

FIXTURES = Path(__file__).parents[2] / "fixtures" / "alertmanager"
RECEIVED = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
FIRING, RESOLVED = AlertStatus.FIRING, AlertStatus.RESOLVED


def parse(body: bytes, settings: AlertSettings | None = None) -> ParsedDelivery:
    return Alertmanager(settings or AlertSettings()).parse(body, {}, source="prod", received_at=RECEIVED)


def fixture(name: str) -> ParsedDelivery:
    return parse((FIXTURES / f"{name}.json").read_bytes())


def states(name: str) -> list[tuple[str | None, AlertStatus]]:
    return [(alert.host, alert.status) for alert in fixture(name).alerts]


def with_alert(**fields: object) -> bytes:
    alert = {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-11-20T10:00:00Z", **fields}
    return json.dumps({"version": "4", "alerts": [{key: value for key, value in alert.items() if value is not ...}]}).encode()


def test_every_fixture_names_its_source() -> None:
    rows = [line.split("|")[1:-1] for line in (FIXTURES / "README.md").read_text().splitlines() if line.startswith("| ")][2:]
    named = {row[0].strip(): row[1].strip() for row in rows}

    assert named.keys() == {path.name for path in FIXTURES.glob("*.json")}
    assert [name for name, source in named.items() if not source.startswith(("captured", "constructed"))] == []


def test_an_alert_is_read_with_everything_it_says() -> None:
    labels = {
        "alertname": "ServiceDown",
        "environment": "production",
        "instance": "web-1.example:8080",
        "job": "shop",
        "service": "shop",
        "severity": "critical",
    }
    expected = NormalizedAlert(
        provider="alertmanager",
        source="prod",
        fingerprint=fingerprint("alertmanager", "prod", labels),
        name="ServiceDown",
        status=FIRING,
        severity=Severity.CRITICAL,
        summary="ServiceDown on web-1.example:8080",
        description="web-1.example:8080 of job shop has been down for more than 1 minute.",
        host="web-1.example",
        service="shop",
        environment="production",
        labels=labels,
        annotations={
            "description": "web-1.example:8080 of job shop has been down for more than 1 minute.",
            "runbook_url": "https://runbooks.example/ServiceDown",
            "summary": "ServiceDown on web-1.example:8080",
        },
        links={
            "source": "http://prometheus.example:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
            "alertmanager": "http://alertmanager.example:9093",
            "runbook": "https://runbooks.example/ServiceDown",
        },
        starts_at=datetime(2026, 11, 21, 3, 43, 0, 929000, tzinfo=UTC),
        ends_at=None,
    )

    assert fixture("firing") == ParsedDelivery(alerts=(expected,))


def test_resolved_is_the_same_alert_with_its_end() -> None:
    (fired,), (ended,) = fixture("firing").alerts, fixture("resolved").alerts

    assert (ended.fingerprint, ended.starts_at, ended.status) == (fired.fingerprint, fired.starts_at, RESOLVED)
    assert ended.ends_at is not None
    assert ended.ends_at > ended.starts_at


def test_fired_again_is_the_same_alert_with_a_new_start() -> None:
    (first,), (ended,), (again,) = fixture("firing").alerts, fixture("resolved").alerts, fixture("fired-again").alerts

    assert (again.fingerprint, again.status) == (first.fingerprint, FIRING)
    assert ended.ends_at is not None
    assert again.starts_at > ended.ends_at


def test_a_body_holds_many_alerts() -> None:
    assert states("group-firing") == [("db-1.example", FIRING), ("db-2.example", FIRING), ("db-3.example", FIRING)]


def test_each_alerts_own_status_counts_and_not_the_groups() -> None:
    assert json.loads((FIXTURES / "group-mixed.json").read_bytes())["status"] == "firing"
    assert states("group-mixed") == [("db-1.example", FIRING), ("db-2.example", RESOLVED), ("db-3.example", FIRING)]


def test_an_alert_that_is_missing_from_a_later_body_is_not_reported_at_all() -> None:
    assert states("group-later") == [("db-1.example", RESOLVED), ("db-3.example", FIRING)]


def test_alerts_that_were_cut_off_are_said_to_be_lost() -> None:
    parsed = fixture("truncated")

    assert (len(parsed.alerts), parsed.truncated) == (1, 2)
    assert parsed.notices == (
        "Alertmanager left 2 alerts out (truncatedAlerts) and will not send them; raise `max_alerts` of its webhook_config",
    )


def test_both_members_of_a_pair_report_one_alert_although_alertmanager_gives_it_two_fingerprints() -> None:
    raw = json.loads((FIXTURES / "replica-pair.json").read_bytes())["alerts"]
    one, other = fixture("replica-pair").alerts

    assert raw[0]["fingerprint"] != raw[1]["fingerprint"]
    assert one.fingerprint == other.fingerprint
    assert (one.labels["replica"], other.labels["replica"]) == ("a", "b")


def test_which_labels_tell_replicas_apart_can_be_set() -> None:
    body = (FIXTURES / "replica-pair.json").read_bytes()
    one, other = parse(body, AlertSettings(replica_labels=())).alerts

    assert one.fingerprint != other.fingerprint


def test_fields_that_are_not_known_are_ignored() -> None:
    (alert,) = fixture("unknown-fields").alerts

    assert (alert.name, alert.host, alert.severity) == ("QueueStuck", "worker-7d4f", Severity.MEDIUM)


def test_numbers_truth_values_and_nulls_are_taken_where_text_is_usual() -> None:
    parsed = fixture("loose-types")
    (alert,) = parsed.alerts

    assert alert.labels == {"alertname": "Timeouts", "timeout": "600", "ratio": "1.50", "paging": "true", "instance": "10.0.0.1:9100"}
    assert (alert.status, alert.annotations, alert.ends_at, parsed.truncated) == (FIRING, {}, None, 2)


def test_a_number_that_becomes_text_is_the_same_alert() -> None:
    one, other = (parse(with_alert(labels={"alertname": "A", "timeout": value})).alerts[0] for value in (600, "600"))

    assert one.fingerprint == other.fingerprint


def test_times_are_utc_and_cut_to_microseconds() -> None:
    (alert,) = fixture("nanoseconds").alerts

    assert alert.starts_at == datetime(2026, 11, 20, 3, 47, 17, 113904, tzinfo=UTC)
    assert alert.ends_at == datetime(2026, 11, 20, 3, 52, 17, 999999, tzinfo=UTC)
    assert (alert.host, alert.severity) == ("2001:db8::7", Severity.HIGH)


def test_the_least_body_is_enough() -> None:
    (alert,) = fixture("least").alerts

    assert (alert.summary, alert.description, alert.severity) == ("Watchdog", "", Severity.MEDIUM)
    assert (alert.host, alert.service, alert.environment, alert.links, alert.annotations) == (None, None, None, {}, {})


def test_a_group_without_alerts_is_taken_and_said() -> None:
    assert fixture("empty-group") == ParsedDelivery(alerts=(), notices=("the body holds no alerts",))


def test_hostile_text_stays_text() -> None:
    (alert,) = fixture("hostile").alerts

    assert (alert.name, alert.host, alert.severity) == ("DiskFull", "web-1; rm -rf /", Severity.CRITICAL)
    assert alert.summary == "line one\nline two[2J"
    assert alert.description == "{{ secrets.admin }} $(reboot) <script>alert(1)</script>"
    assert alert.links == {"dashboard": "https://grafana.example/d/1"}
    assert alert.service is None


def test_a_lease_is_not_an_end() -> None:
    (alert,) = parse(with_alert(endsAt="2026-11-20T10:04:00Z")).alerts
    (odd,) = parse(with_alert(endsAt="whatever")).alerts

    assert (alert.ends_at, odd.ends_at) == (None, None)


def test_resolved_without_an_end_has_none() -> None:
    assert parse(with_alert(status="resolved")).alerts[0].ends_at is None


@pytest.mark.parametrize(
    ("annotations", "summary", "description"),
    [
        ({"summary": "s", "description": "d", "message": "m"}, "s", "d"),
        ({"title": "t"}, "t", ""),
        ({"message": "m"}, "m", "m"),
        ({"summary": " ", "title": "t"}, "t", ""),
        ({"summary": "x" * 5_000, "description": "y" * 20_000}, "x" * 3_999 + "…", "y" * 9_999 + "…"),
    ],
)
def test_summary_and_description_come_from_the_usual_annotations(annotations: object, summary: str, description: str) -> None:
    (alert,) = parse(with_alert(annotations=annotations)).alerts

    assert (alert.summary, alert.description) == (summary, description)


def test_labels_that_are_cut_for_showing_still_tell_alerts_apart() -> None:
    one, other = (parse(with_alert(labels={"alertname": "A", "query": "x" * 5_000 + end})).alerts[0] for end in "ab")

    assert one.labels == other.labels
    assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("missing-alerts", "$.alerts"),
        ("missing-status", "$.alerts[0].status"),
        ("missing-start", "$.alerts[0].startsAt"),
        ("missing-name", "$.alerts[1].labels.alertname"),
        ("wrong-types", "$.alerts[0].labels.hosts"),
        ("version-3", "$.version"),
    ],
)
def test_a_fixture_that_lacks_something_is_refused_naming_the_path(name: str, path: str) -> None:
    with pytest.raises(UnparsableDelivery) as caught:
        fixture(name)

    assert caught.value.path == path


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "$: expected an object, got a list"),
        (b'"text"', "$: expected an object, got text"),
        (b"null", "$: an object is missing"),
        (b'{"alerts": {}}', "$.alerts: expected a list, got an object"),
        (b'{"alerts": [3]}', "$.alerts[0]: expected an object, got text"),
        (b'{"alerts": [], "version": []}', "$.version: expected text, got a list"),
        (b'{"alerts": [], "externalURL": {}}', "$.externalURL: expected text, got an object"),
        (b'{"alerts": [], "truncatedAlerts": -1}', "$.truncatedAlerts: '-1' is not a count"),
        (with_alert(labels=...), "$.alerts[0].labels.alertname: the alert's name is missing"),
        (with_alert(labels=[]), "$.alerts[0].labels: expected an object, got a list"),
        (with_alert(labels={"alertname": "\u200b "}), "$.alerts[0].labels.alertname: the alert's name is missing"),
        (with_alert(annotations={"summary": ["a"]}), "$.alerts[0].annotations.summary: expected text, got a list"),
        (with_alert(status="ok\u202e"), "$.alerts[0].status: expected firing or resolved, got 'ok'"),
        (with_alert(status={}), "$.alerts[0].status: expected text, got an object"),
        (with_alert(status=...), "$.alerts[0].status: expected firing or resolved, got nothing"),
        (with_alert(startsAt="0001-01-01T00:00:00Z"), "$.alerts[0].startsAt: the time when it began is missing"),
        (with_alert(startsAt=5), "$.alerts[0].startsAt: '5' is not a time with a zone (RFC 3339)"),
        (with_alert(startsAt="2099-01-01T00:00:00Z"), "$.alerts[0].startsAt: '2099-01-01T00:00:00Z' cannot be the time of an alert"),
        (with_alert(status="resolved", endsAt=True), "$.alerts[0].endsAt: 'true' is not a time with a zone (RFC 3339)"),
        (with_alert(generatorURL=[]), "$.alerts[0].generatorURL: expected text, got a list"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_understood_is_refused_naming_the_path(body: bytes, message: str) -> None:
    with pytest.raises(UnparsableDelivery) as caught:
        parse(body)

    assert caught.value.message == message


def test_a_body_has_a_limit_of_alerts() -> None:
    body = (FIXTURES / "group-firing.json").read_bytes()

    assert len(parse(body, AlertSettings(max_alerts=3)).alerts) == 3
    with pytest.raises(UnparsableDelivery, match="3 items, at most 2 are taken"):
        parse(body, AlertSettings(max_alerts=2))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["firing", "resolved", "2026-11-20T10:00:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.fixed_dictionaries(
    {
        "alerts": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "status": st.sampled_from(["firing", "resolved"]) | JSON,
                    "labels": st.dictionaries(
                        st.sampled_from(["alertname", "severity", "instance"]) | st.text(max_size=8), st.text(max_size=40)
                    )
                    | JSON,
                    "annotations": st.dictionaries(st.sampled_from(["summary", "runbook_url"]), st.text(max_size=40)) | JSON,
                    "startsAt": st.just("2026-11-20T10:00:00Z") | JSON,
                    "endsAt": JSON,
                    "generatorURL": JSON,
                },
            ),
            max_size=3,
        )
    },
    optional={"version": st.just("4") | JSON, "truncatedAlerts": JSON, "externalURL": JSON, "status": JSON},
)


def outcome(body: object) -> ParsedDelivery | str:
    """What a body is understood as, or the complaint about it."""
    try:
        return parse(json.dumps(body).encode())
    except UnparsableDelivery as error:
        return error.message


@given(BODIES | JSON)
def test_any_json_is_understood_or_refused_and_what_is_kept_is_clean(body: object) -> None:
    found = outcome(body)
    assert isinstance(found, ParsedDelivery) or found.startswith("$")
    for alert in found.alerts if isinstance(found, ParsedDelivery) else ():
        assert [text for text in _texts(alert) if has_hidden(text)] == []
        assert 0 < len(alert.name) <= 200


@given(BODIES)
def test_reading_is_pure(body: object) -> None:
    assert outcome(body) == outcome(body)


def test_the_entry_point_builds_it_with_the_operators_settings() -> None:
    services = Services()
    services.add(AlertSettings, AlertSettings(max_alerts=1))

    with pytest.raises(UnparsableDelivery):
        Alertmanager.build(services).parse((FIXTURES / "group-firing.json").read_bytes(), {}, source="s", received_at=RECEIVED)


def _fields(alert: NormalizedAlert) -> dict[str, object]:
    return {name: getattr(alert, name) for name in NormalizedAlert.__slots__}


def _texts(alert: NormalizedAlert) -> list[str]:
    texts: list[str] = []
    for value in _fields(alert).values():
        if isinstance(value, Mapping):
            texts += [*value.keys(), *value.values()]
        elif isinstance(value, str):
            texts.append(value)
    return texts
