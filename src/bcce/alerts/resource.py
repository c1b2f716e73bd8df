"""What an alert is about, read from its labels: host, service, environment. Pure."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from bcce.alerts.model import MAX_NAME
from bcce.kit.text import clean

#: In the order in which they are believed. `instance` is whoever was asked, which need not be whom the alert is about, so it comes late.
HOST_LABELS = ("host", "hostname", "nodename", "node", "server", "instance", "pod")
SERVICE_LABELS = ("service", "service_name", "app", "app_kubernetes_io_name", "application", "job")
ENVIRONMENT_LABELS = ("environment", "env", "deployment_environment", "stage")


def host_of(labels: Mapping[str, str]) -> str | None:
    """The host's name or address, without scheme and port; None when no label says."""
    found = _first(labels, HOST_LABELS)
    return None if found is None else _without_port(found) or None


def service_of(labels: Mapping[str, str]) -> str | None:
    """The service's name; None when no label says."""
    return _first(labels, SERVICE_LABELS)


def environment_of(labels: Mapping[str, str]) -> str | None:
    """The environment's name; None when no label says."""
    return _first(labels, ENVIRONMENT_LABELS)


def is_link(text: str) -> bool:
    """The text is an http(s) address; anything else (`javascript:` above all) must never become a link on a page."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _first(labels: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    found = (clean(labels[name], limit=MAX_NAME).strip() for name in names if name in labels)
    return next((text for text in found if text), None)


def _without_port(address: str) -> str:
    """`10.0.0.1` of `10.0.0.1:9100`, `::1` of `[::1]:9100`, `shop.example` of `https://shop.example/health`; other texts as they are."""
    try:
        if is_link(address):
            return urlsplit(address).hostname or ""
        is_plain = address.count(":") == 1 or address.startswith("[")
        parts = urlsplit(f"//{address}") if is_plain else None
        if parts is None or parts.port is None or parts.path or parts.username:
            return address.strip("[]") if address.startswith("[") else address
        return parts.netloc.rpartition(":")[0].strip("[]")
    except ValueError:  # a bracket or a port that is none: not an address, so it is kept as it is
        return address
