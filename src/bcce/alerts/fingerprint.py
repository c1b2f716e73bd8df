"""Which notifications are about the same alert. Pure and versioned: a changed rule is a new version, never new results for an old one."""

import hashlib
import json
import unicodedata
from collections.abc import Collection, Mapping

VERSION = 1

#: Labels that only tell the members of a highly available group apart (Prometheus, its operator, Thanos, Mimir); all of them mean one
#: alert.
REPLICA_LABELS: tuple[str, ...] = (
    "replica",
    "__replica__",
    "prometheus_replica",
    "rule_replica",
    "receive_replica",
    "thanos_ruler_replica",
)


def fingerprint(provider: str, source: str, labels: Mapping[str, str], *, ignored: Collection[str] = REPLICA_LABELS) -> str:
    """`v1:` and 32 hex digits over provider, source and labels.

    Neither the order of the labels counts, nor their Unicode normal form, nor a label without a value (for Prometheus that is the same as
    no label), nor the labels named in `ignored`. The fingerprint that a monitor sends itself is no substitute: Alertmanager's covers
    the replica labels, and others reuse theirs.

    Args:
        labels: as they came, not cleaned or cut: what was cut off may be what tells two alerts apart.
    """
    dropped = {_normal(name) for name in ignored}
    pairs = sorted({(_normal(name), _normal(value)) for name, value in labels.items() if value})
    identity = [pair for pair in pairs if pair[0] not in dropped]
    # ASCII JSON: unambiguous whatever the labels hold, and defined for lone surrogates, which JSON texts can smuggle in.
    data = json.dumps([provider, source, identity], separators=(",", ":")).encode("ascii")
    return f"v{VERSION}:{hashlib.sha256(data).hexdigest()[:32]}"


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)
