"""Typed, prefixed ids: `inc_01k…` says what it names, sorts by creation time, and cannot be guessed."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from typing import NewType

from bcce.kit.clock import Clock
from bcce.kit.errors import InvalidId

TenantId = NewType("TenantId", str)
AlertId = NewType("AlertId", str)
DeliveryId = NewType("DeliveryId", str)
DeadLetterId = NewType("DeadLetterId", str)
IncidentId = NewType("IncidentId", str)
DocumentId = NewType("DocumentId", str)
DefinitionId = NewType("DefinitionId", str)
RunId = NewType("RunId", str)
GateId = NewType("GateId", str)
WorkerId = NewType("WorkerId", str)
PlanId = NewType("PlanId", str)
ApprovalId = NewType("ApprovalId", str)
ClearanceId = NewType("ClearanceId", str)
DispatchId = NewType("DispatchId", str)
TicketId = NewType("TicketId", str)
TokenId = NewType("TokenId", str)
AuditId = NewType("AuditId", str)
EventId = NewType("EventId", str)

DEFAULT_TENANT = TenantId("default")

#: What each prefix names; `new` refuses any other, so a typing mistake cannot make a new kind of id.
PREFIXES: dict[str, str] = {
    "alr": "alert",
    "dlv": "webhook delivery",
    "dead": "dead letter",
    "inc": "incident",
    "doc": "knowledge document",
    "def": "workflow definition",
    "run": "workflow run",
    "gate": "gate",
    "wrk": "worker",
    "plan": "plan",
    "apr": "approval",
    "clr": "clearance",
    "dsp": "dispatch",
    "tkt": "ticket",
    "tok": "token",
    "aud": "audit record",
    "evt": "event",
    "cor": "correlation",
}

#: Crockford's base 32 in lower case: no i, l, o, u, so an id read aloud is not misheard.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_BODY = re.compile(f"[{_ALPHABET}]{{26}}")


class Ids:
    """Makes ids: 48 bits of milliseconds, then 80 random bits, in Crockford base 32 (the ULID layout)."""

    def __init__(self, clock: Clock, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._entropy = entropy

    def new(self, prefix: str) -> str:
        """A fresh id of the kind `prefix`.

        Raises:
            KeyError: `prefix` is not in `PREFIXES`.
        """
        PREFIXES[prefix]
        millis = int(self._clock.now().timestamp() * 1000)
        return f"{prefix}_{_encode((millis << 80) | int.from_bytes(self._entropy(10), 'big'))}"


def derived_id(prefix: str, *parts: str) -> str:
    """The same id for the same parts, for ids that a crash must not change (child = hash(parent, key, attempt))."""
    PREFIXES[prefix]
    # JSON, because no separator is safe: outside text may hold any character, and ("a", "b") must never give the id of ("a b",).
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return f"{prefix}_{_encode(int.from_bytes(digest[:16], 'big'))}"


def parse_id(text: str, prefix: str) -> str:
    """`text` when it is a well-formed id of the kind `prefix`.

    Raises:
        InvalidId: another kind, or not an id at all.
    """
    head, _, body = text.partition("_")
    if head != prefix or not _BODY.fullmatch(body):
        raise InvalidId(
            f"{text[:60]!r} is not the id of a {PREFIXES[prefix]}",
            hint=f"such an id looks like {prefix}_01k3…; list them to see which there are",
        )
    return text


def _encode(number: int) -> str:
    digits = []
    for _ in range(26):
        number, rest = divmod(number, 32)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))
