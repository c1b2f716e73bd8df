"""Typed, prefixed ids: `inc_01k…` says what it names, sorts by creation time, and cannot be guessed."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from datetime import datetime
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
ArtifactId = NewType("ArtifactId", str)
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
    "art": "artifact of a run",
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
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = range(120, -1, -10)
_RANDOM_BYTES = 10
#: Digits of the random part: five bits each.
_TAIL = 16
_POOL = 1000
_DIGIT_OF_BYTE = (_ALPHABET * 8).encode("ascii")
_BODY = re.compile(f"[{_ALPHABET}]{{26}}")


class _Tails:
    """The random parts of ids, asked of the system for many at once: on some machines each question costs more than the id."""

    def __init__(self) -> None:
        self._left: list[str] = []
        # A child process would hand out the same ones as its parent.
        os.register_at_fork(after_in_child=self._left.clear)

    def __call__(self) -> str:
        while True:
            try:
                return self._left.pop()
            except IndexError:
                # Of each byte five bits count, so that each digit is a byte's and no arithmetic is needed.
                digits = os.urandom(_TAIL * _POOL).translate(_DIGIT_OF_BYTE).decode("ascii")
                self._left += [digits[at : at + _TAIL] for at in range(0, len(digits), _TAIL)]


_TAILS = _Tails()


class Ids:
    """Makes ids: 48 bits of milliseconds, then 80 random bits, in Crockford base 32 (the ULID layout).

    Args:
        entropy: gives so many random bytes; None for the system's.
    """

    def __init__(self, clock: Clock, entropy: Callable[[int], bytes] | None = None) -> None:
        self._clock = clock
        self._entropy = entropy
        self._last = -1, ""

    def new(self, prefix: str, at: datetime | None = None) -> str:
        """A fresh id of the kind `prefix`; `at` is the moment it says it was made, None for now.

        Raises:
            KeyError: `prefix` is not in `PREFIXES`.
        """
        PREFIXES[prefix]
        millis = int((at or self._clock.now()).timestamp() * 1000)
        if self._entropy is not None:
            return f"{prefix}_{_encode((millis << 80) | int.from_bytes(self._entropy(_RANDOM_BYTES), 'big'))}"
        last, head = self._last
        if last != millis:
            head = _encode(millis << 80)[:-_TAIL]
            # One assignment, so that another thread sees both or neither.
            self._last = millis, head
        return f"{prefix}_{head}{_TAILS()}"


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
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])
