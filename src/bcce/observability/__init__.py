"""What the program says about itself: logs, correlation, metrics, health."""

from bcce.observability.correlation import bind_correlation, correlated, current_correlation, new_correlation
from bcce.observability.health import CheckResult, HealthChecks
from bcce.observability.logging import LogFormat, configure_logging
from bcce.observability.metrics import Metrics

__all__ = [
    "CheckResult",
    "HealthChecks",
    "LogFormat",
    "Metrics",
    "bind_correlation",
    "configure_logging",
    "correlated",
    "current_correlation",
    "new_correlation",
]
