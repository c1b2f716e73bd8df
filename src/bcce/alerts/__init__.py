"""Alert intake: a monitor's webhook becomes alerts in one durable commit, and every re-fire stays visible."""

from bcce.alerts.errors import (
    AlreadyReplayed,
    InvalidSource,
    UnknownAlert,
    UnknownDeadLetter,
    UnknownProvider,
    UnparsableDelivery,
)
from bcce.alerts.fingerprint import fingerprint
from bcce.alerts.model import Alert, AlertStatus, DeadLetter, NormalizedAlert, Notification, ParsedDelivery, Receipt
from bcce.alerts.provider import AlertProvider
from bcce.alerts.service import AlertService
from bcce.alerts.settings import AlertSettings

__all__ = [
    "Alert",
    "AlertProvider",
    "AlertService",
    "AlertSettings",
    "AlertStatus",
    "AlreadyReplayed",
    "DeadLetter",
    "InvalidSource",
    "NormalizedAlert",
    "Notification",
    "ParsedDelivery",
    "Receipt",
    "UnknownAlert",
    "UnknownDeadLetter",
    "UnknownProvider",
    "UnparsableDelivery",
    "fingerprint",
]
