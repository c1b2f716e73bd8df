"""What an operator can set about alert intake."""

from pydantic import Field

from bcce.alerts.fingerprint import REPLICA_LABELS
from bcce.config.model import Section


class AlertSettings(Section):
    """The section `alerts`."""

    max_body_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024, description="Largest webhook body that is taken, in bytes."
    )
    max_alerts: int = Field(default=10_000, ge=1, le=100_000, description="Most alerts that one webhook body may hold.")
    replica_labels: tuple[str, ...] = Field(
        default=REPLICA_LABELS,
        description=(
            "Labels that only tell the members of a highly available pair apart; they are no part of an alert's identity. "
            "Changing them gives new identities to alerts that have such labels."
        ),
    )
