"""Metrics: the published names, what counts as what, and a bounded number of series."""

from collections.abc import Callable

import pytest

from bcce.observability import Metrics
from bcce.observability.metrics import LABELS


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_a_completed_step_is_counted_and_timed_under_the_published_names() -> None:
    metrics = Metrics()
    metrics.step_ended("plan.create", status="completed", duration_ms=12.5, error=None)
    assert value(metrics, "bcce_step_execution_duration_milliseconds_sum", stepType="plan.create", status="completed") == 12.5
    assert value(metrics, "bcce_step_execution_completed_total", stepType="plan.create") == 1


def test_a_failed_step_is_counted_by_its_error_and_not_as_completed() -> None:
    metrics = Metrics()
    metrics.step_ended("script.dispatch", status="failed", duration_ms=3.0, error="unavailable")
    assert value(metrics, "bcce_step_execution_failed_total", stepType="script.dispatch", errorType="unavailable") == 1
    assert value(metrics, "bcce_step_execution_duration_milliseconds_count", stepType="script.dispatch", status="failed") == 1
    assert value(metrics, "bcce_step_execution_completed_total", stepType="script.dispatch") is None


def test_a_skipped_step_is_timed_and_neither_completed_nor_failed() -> None:
    metrics = Metrics()
    metrics.step_ended("wait", status="skipped", duration_ms=0.0, error=None)
    assert value(metrics, "bcce_step_execution_duration_milliseconds_count", stepType="wait", status="skipped") == 1
    assert value(metrics, "bcce_step_execution_completed_total", stepType="wait") is None


@pytest.mark.parametrize(
    ("act", "name", "labels", "expected"),
    [
        (
            lambda metrics: metrics.alerts_received("alertmanager", "prod", 3),
            "bcce_alerts_received_total",
            {"provider": "alertmanager", "source": "prod"},
            3,
        ),
        (lambda metrics: metrics.webhook_refused("too-large"), "bcce_webhooks_refused_total", {"reason": "too-large"}, 1),
        (
            lambda metrics: metrics.request_answered("GET", "/alerts/{id}", 200),
            "bcce_http_requests_total",
            {"method": "GET", "route": "/alerts/{id}", "status": "200"},
            1,
        ),
        (lambda metrics: metrics.health_checked("database", is_passing=True), "bcce_health_check_passing", {"check": "database"}, 1),
        (lambda metrics: metrics.health_checked("database", is_passing=False), "bcce_health_check_passing", {"check": "database"}, 0),
    ],
)
def test_each_fact_has_its_metric(act: Callable[[Metrics], None], name: str, labels: dict[str, str], expected: float) -> None:
    metrics = Metrics()
    act(metrics)
    assert value(metrics, name, **labels) == expected


def test_invented_methods_share_one_series() -> None:
    metrics = Metrics()
    for method in ("BREW", "get", "WHEN"):
        metrics.request_answered(method, "unmatched", 405)
    assert value(metrics, "bcce_http_requests_total", method="other", route="unmatched", status="405") == 3


def test_two_runtimes_in_one_process_do_not_mix() -> None:
    one, other = Metrics(), Metrics()
    one.webhook_refused("too-large")
    assert value(other, "bcce_webhooks_refused_total", reason="too-large") is None


def test_the_text_is_what_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.webhook_refused("too-large")
    assert b'bcce_webhooks_refused_total{reason="too-large"} 1.0\n' in metrics.render()


def test_every_metric_and_every_label_is_described() -> None:
    metrics = Metrics()
    families = {family.name: family for family in metrics.registry.collect()}

    assert {metric.name.removesuffix("_total") for metric in metrics.catalogue} == families.keys()
    assert {label for metric in metrics.catalogue for label in metric.labels} == LABELS.keys()
    assert all(families[metric.name.removesuffix("_total")].documentation == metric.meaning for metric in metrics.catalogue)
    assert all(families[metric.name.removesuffix("_total")].type == metric.kind for metric in metrics.catalogue)
