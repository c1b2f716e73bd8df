"""Counters and histograms in a registry of their own, so that two runtimes in one process do not mix.

`step.execution.duration`, `.completed` and `.failed` are the product's public metric names; Prometheus gets them with underscores.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Anyone can invent a method, and each would be a time series of its own.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


M = TypeVar("M", Counter, Gauge, Histogram)

#: What the labels of all metrics say.
LABELS: dict[str, str] = {
    "stepType": "the type of the step, such as `http`",
    "status": "of an attempt how it ended: `completed`, `failed`, `retrying` (it failed, and the step is tried again), `skipped` or "
    "`cancelled`; of a request the HTTP status",
    "errorType": "the code of the [error](errors.md)",
    "provider": "which kind of monitor sent the alert, such as `alertmanager`",
    "source": "the name of the source in the configuration",
    "reason": "the code of the [error](errors.md)",
    "connector": "the type of the integration, such as `webhook`",
    "outcome": "`delivered`; `failed`, which is tried again; or `given-up`",
    "method": "the HTTP method; `other` for one that is not in the list of those that there are",
    "route": "the pattern of the endpoint, never the path itself",
    "check": "the name of the readiness check, as in `/health/ready`",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricInfo:
    """What one metric is. `name` is what Prometheus gets, without what it adds for the parts of a histogram."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str


class Metrics:
    """Everything BCCE counts. Methods may be called from any thread and never raise."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        #: Every metric there is, for whoever describes them.
        self.catalogue: list[MetricInfo] = []
        self._duration = self._add(
            partial(Histogram, buckets=(1, 5, 25, 100, 500, 2_500, 10_000, 60_000, 600_000, 3_600_000)),
            "bcce_step_execution_duration_milliseconds",
            "How long attempts of steps took, each from its own start to its end, waiting included; a step that is tried again is counted "
            "once for each attempt, without the time between them.",
            "stepType",
            "status",
        )
        self._completed = self._add(Counter, "bcce_step_execution_completed", "Steps that ended well.", "stepType")
        self._failed = self._add(Counter, "bcce_step_execution_failed", "Attempts of steps that failed.", "stepType", "errorType")
        self._steps: dict[tuple[str, str], tuple[Histogram, Counter | None]] = {}
        self._alerts = self._add(Counter, "bcce_alerts_received", "Alerts that were stored.", "provider", "source")
        self._refused = self._add(Counter, "bcce_webhooks_refused", "Webhook bodies that were refused, by reason.", "reason")
        tries = "Tries to hand an event to a connector, by how they ended."
        self._deliveries = self._add(Counter, "bcce_integration_deliveries", tries, "connector", "outcome")
        self._requests = self._add(Counter, "bcce_http_requests", "Requests that were answered.", "method", "route", "status")
        self._deaths = self._add(Counter, "bcce_worker_deaths", "Workers that died while they held runs.")
        self._suspects = self._add(Counter, "bcce_runs_suspected", "Runs that became suspect because their worker died.")
        self._dead = self._add(Counter, "bcce_runs_dead", "Runs in the dead letter: each killed its worker again and again.")
        self._healthy = self._add(Gauge, "bcce_health_check_passing", "1 while a readiness check passes, else 0.", "check")

    def _add(self, make: Callable[..., M], name: str, meaning: str, *labels: str) -> M:
        metric = make(name, meaning, labels, registry=self.registry)
        if isinstance(metric, Counter):
            self.catalogue.append(MetricInfo(name=f"{name}_total", kind="counter", labels=labels, meaning=meaning))
        else:
            kind: Literal["gauge", "histogram"] = "gauge" if isinstance(metric, Gauge) else "histogram"
            self.catalogue.append(MetricInfo(name=name, kind=kind, labels=labels, meaning=meaning))
        return metric

    def step_ended(self, step_type: str, *, status: str, duration_ms: float, error: str | None) -> None:
        """One attempt of a step ended; `error` is the error's code when it failed, else None."""
        if (step_type, status) not in self._steps:
            # To find a child by its labels takes longer than to count.
            completed = self._completed.labels(step_type) if status == "completed" else None
            self._steps[step_type, status] = self._duration.labels(step_type, status), completed
        duration, completed = self._steps[step_type, status]
        duration.observe(duration_ms)
        if error is not None:
            self._failed.labels(step_type, error).inc()
        elif completed is not None:
            completed.inc()

    def alerts_received(self, provider: str, source: str, count: int) -> None:
        """`count` alerts of one delivery are durable."""
        self._alerts.labels(provider, source).inc(count)

    def webhook_refused(self, reason: str) -> None:
        """A body was not taken; `reason` is the error's code."""
        self._refused.labels(reason).inc()

    def delivery_ended(self, connector: str, outcome: str) -> None:
        """One try to hand an event to a connector ended: `delivered`, `failed` (to be tried again) or `given-up`."""
        self._deliveries.labels(connector, outcome).inc()

    def request_answered(self, method: str, route: str, status: int) -> None:
        """A request was answered; `route` is the pattern, never the path, so that the number of series is bounded."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()

    def health_checked(self, check: str, *, is_passing: bool) -> None:
        """A readiness check gave this result."""
        self._healthy.labels(check).set(1 if is_passing else 0)

    def worker_died(self, runs: int) -> None:
        """A worker died that held so many runs; this process found out."""
        self._deaths.inc()
        self._suspects.inc(runs)

    def run_died(self) -> None:
        """A run was put into the dead letter."""
        self._dead.inc()

    def render(self) -> bytes:
        """The metrics in Prometheus's text format."""
        return generate_latest(self.registry)
