"""Prometheus Alertmanager, webhook version 4.

Facts that shape this (prometheus/alertmanager `template/template.go` and `notify/webhook/webhook.go`; issues #1718, #2447, #4008):

- each alert has its own status; the group's stays `firing` while some of its alerts are resolved already;
- `endsAt` of a firing alert is in the year 1;
- `truncatedAlerts` counts alerts that `max_alerts` cut off: they never come;
- a resolved alert is sent once and is missing from later bodies, so a missing alert says nothing;
- both members of a highly available pair may send, and one may send firing after the other sent resolved;
- `fingerprint` covers all labels, also those that tell the members of a pair of Prometheus servers apart, so it is not used.
"""

from collections.abc import Mapping
from datetime import datetime

from bcce.alerts.body import as_count, as_list, as_object, as_text, as_texts, as_time, cleaned, read_json
from bcce.alerts.errors import UnparsableDelivery
from bcce.alerts.fingerprint import fingerprint
from bcce.alerts.model import MAX_NAME, MAX_TEXT, MAX_VALUE, AlertStatus, NormalizedAlert, ParsedDelivery
from bcce.alerts.resource import environment_of, host_of, is_link, service_of
from bcce.alerts.settings import AlertSettings
from bcce.alerts.severity import severity_of
from bcce.kit.text import clean
from bcce.plugins import Services

_HINT = "use Alertmanager's `webhook_configs` without a custom payload"
_STATUSES = {str(status): status for status in AlertStatus}


class Alertmanager:
    """Understands the webhook bodies of Alertmanager 0.16 and later; unknown fields are ignored."""

    name = "alertmanager"

    def __init__(self, settings: AlertSettings) -> None:
        self._max_alerts = settings.max_alerts
        self._ignored = frozenset(settings.replica_labels)

    @classmethod
    def build(cls, services: Services) -> "Alertmanager":
        """The provider with the operator's limits."""
        return cls(services.get(AlertSettings))

    def parse(self, body: bytes, headers: Mapping[str, str], *, source: str, received_at: datetime) -> ParsedDelivery:
        """The body's alerts, each by its own status.

        Raises:
            UnparsableDelivery: names the JSON path of the first thing that is wrong.
        """
        root = as_object(read_json(body), "$")
        version = as_text(root.get("version"), "$.version")
        if version not in (None, "4"):
            raise UnparsableDelivery(f"{clean(version or '', limit=MAX_NAME)!r} is not the version 4", path="$.version", hint=_HINT)
        items = as_list(root.get("alerts"), "$.alerts", limit=self._max_alerts)
        group_link = as_text(root.get("externalURL"), "$.externalURL")
        alerts = tuple(
            self._alert(as_object(item, path), path, group_link, source, received_at)
            for path, item in ((f"$.alerts[{index}]", item) for index, item in enumerate(items))
        )
        truncated = as_count(root.get("truncatedAlerts"), "$.truncatedAlerts")
        return ParsedDelivery(alerts=alerts, notices=_notices(len(alerts), truncated), truncated=truncated)

    def _alert(self, raw: Mapping[str, object], path: str, group_link: str | None, source: str, received_at: datetime) -> NormalizedAlert:
        labels = as_texts(raw.get("labels"), f"{path}.labels")
        shown = cleaned(labels)
        name = clean(labels.get("alertname", ""), limit=MAX_NAME).strip()
        if not name:
            raise UnparsableDelivery("the alert's name is missing", path=f"{path}.labels.alertname", hint=_HINT)
        annotations = as_texts(raw.get("annotations"), f"{path}.annotations")
        status = _status(raw.get("status"), f"{path}.status")
        starts_at = as_time(raw.get("startsAt"), f"{path}.startsAt", received_at=received_at)
        if starts_at is None:
            raise UnparsableDelivery("the time when it began is missing", path=f"{path}.startsAt", hint=_HINT)
        # While it fires, a time here is a lease that is extended again and again, not an end.
        is_over = status is AlertStatus.RESOLVED
        ends_at = as_time(raw.get("endsAt"), f"{path}.endsAt", received_at=received_at) if is_over else None
        return NormalizedAlert(
            provider=self.name,
            source=source,
            fingerprint=fingerprint(self.name, source, labels, ignored=self._ignored),
            name=name,
            status=status,
            severity=severity_of(shown.get("severity")),
            summary=_first(annotations, ("summary", "title", "message"), limit=MAX_VALUE) or name,
            description=_first(annotations, ("description", "message"), limit=MAX_TEXT),
            host=host_of(labels),
            service=service_of(labels),
            environment=environment_of(labels),
            labels=shown,
            annotations=cleaned(annotations),
            links=_links(as_text(raw.get("generatorURL"), f"{path}.generatorURL"), group_link, annotations),
            starts_at=starts_at,
            ends_at=ends_at,
        )


def _status(value: object, path: str) -> AlertStatus:
    text = as_text(value, path)
    status = _STATUSES.get(text.strip().lower()) if text is not None else None
    if status is None:
        found = "nothing" if text is None else repr(clean(text, limit=MAX_NAME))
        raise UnparsableDelivery(f"expected firing or resolved, got {found}", path=path, hint=_HINT)
    return status


def _first(texts: Mapping[str, str], names: tuple[str, ...], *, limit: int) -> str:
    found = (clean(texts[name], limit=limit).strip() for name in names if name in texts)
    return next((text for text in found if text), "")


def _links(generator: str | None, group: str | None, annotations: Mapping[str, str]) -> dict[str, str]:
    found = {
        "source": generator,
        "alertmanager": group,
        "runbook": annotations.get("runbook_url"),
        "dashboard": annotations.get("dashboard_url"),
    }
    shown = {name: clean(link, limit=MAX_VALUE).strip() for name, link in found.items() if link}
    return {name: link for name, link in shown.items() if is_link(link)}


def _notices(count: int, truncated: int) -> tuple[str, ...]:
    lost = f"Alertmanager left {truncated} alerts out (truncatedAlerts) and will not send them; raise `max_alerts` of its webhook_config"
    return (("the body holds no alerts",) if count == 0 else ()) + ((lost,) if truncated else ())
