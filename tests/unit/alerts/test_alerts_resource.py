"""What an alert is about, read from its labels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.alerts.resource import environment_of, host_of, is_link, service_of


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, None),
        ({"instance": "10.0.0.1:9100"}, "10.0.0.1"),
        ({"instance": "web-1.example:8080"}, "web-1.example"),
        ({"instance": "web-1"}, "web-1"),
        ({"instance": "[2001:db8::7]:9204"}, "2001:db8::7"),
        ({"instance": "[2001:db8::7]"}, "2001:db8::7"),
        ({"instance": "2001:db8::7"}, "2001:db8::7"),
        ({"instance": "https://shop.example:8443/health"}, "shop.example"),
        ({"instance": "https://"}, "https://"),
        ({"instance": "i-0abc:cpu"}, "i-0abc:cpu"),
        ({"instance": "a:99999"}, "a:99999"),
        ({"instance": "[x]y:1"}, "[x]y:1"),
        ({"instance": "http://[x"}, "http://[x"),
        ({"instance": "user@web-1:80"}, "user@web-1:80"),
        ({"instance": "web-1:80/metrics"}, "web-1:80/metrics"),
        ({"instance": " \n"}, None),
        ({"instance": "kube-state-metrics:8080", "node": "node-3"}, "node-3"),
        ({"pod": "worker-7d4f", "instance": "", "host": "web-1"}, "web-1"),
        ({"host": "", "hostname": "web-2"}, "web-2"),
        ({"host": "web\u202e-1"}, "web-1"),
    ],
)
def test_the_host_is_the_name_without_scheme_and_port(labels: dict[str, str], expected: str | None) -> None:
    assert host_of(labels) == expected


@given(st.dictionaries(st.sampled_from(["host", "instance", "pod"]), st.text(max_size=300)))
def test_any_host_is_short_and_visible_text(labels: dict[str, str]) -> None:
    found = host_of(labels)

    assert found is None or 0 < len(found) <= 200


def test_the_service_is_named_by_the_most_telling_label() -> None:
    assert service_of({"job": "node", "app": "shop"}) == "shop"
    assert service_of({"job": "node"}) == "node"
    assert service_of({"team": "shop"}) is None


def test_the_environment_is_named_by_the_most_telling_label() -> None:
    assert environment_of({"env": "test", "environment": "production"}) == "production"
    assert environment_of({"stage": "test"}) == "test"
    assert environment_of({"cluster": "eu"}) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://grafana.example/d/1", True),
        ("http://10.0.0.1:9090/graph?g0.expr=up", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("file:///etc/passwd", False),
        ("//grafana.example", False),
        ("https://", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_only_web_addresses_become_links(text: str, expected: bool) -> None:
    assert is_link(text) is expected
