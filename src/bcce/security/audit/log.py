"""Writing the audit log: records go in with the transaction of what they tell; the one sequencer chains them afterwards."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection, bindparam, insert, update

from bcce.kit.clock import Clock, format_time
from bcce.kit.ids import Ids
from bcce.kit.redact import redact
from bcce.kit.text import canonical_json
from bcce.security.actor import Actor
from bcce.security.audit import repository
from bcce.security.audit.tables import audit, audit_heads
from bcce.security.crypto import mac
from bcce.storage.doors import Item

log = structlog.get_logger(__name__)

#: What the chain of every tenant begins with.
GENESIS = "0" * 64
_INSERT = insert(audit)
_PLACE = update(audit).where(audit.c.id == bindparam("record_id")).values(seq=bindparam("record_seq"), chain=bindparam("record_chain"))
_PAGE = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRecord:
    """One record as stored. `seq` and `chain` are None until the sequencer has seen it."""

    id: str
    tenant_id: str
    at: datetime
    actor: str
    action: str
    subject: str
    body: Mapping[str, object]
    correlation_id: str | None
    digest: str
    mac: str
    seq: int | None = None
    chain: str | None = None

    def own_digest(self) -> str:
        """SHA-256 over everything that the record says, in hex."""
        said = {
            "id": self.id,
            "tenant": self.tenant_id,
            "at": format_time(self.at),
            "actor": self.actor,
            "action": self.action,
            "subject": self.subject,
            "body": dict(self.body),
            "correlation": self.correlation_id,
        }
        return hashlib.sha256(canonical_json(said)).hexdigest()


def link(previous: str, seq: int, record: AuditRecord) -> str:
    """The chain's value at `record`: it depends on every record before it."""
    return hashlib.sha256(f"{previous}:{seq}:{record.digest}:{record.mac}".encode()).hexdigest()


class AuditLog:
    """Makes records, and chains them."""

    def __init__(self, key: bytes, clock: Clock, ids: Ids) -> None:
        self._key = key
        self._clock = clock
        self._ids = ids

    def item(self, actor: Actor, action: str, subject: str, body: Mapping[str, object], *, correlation_id: str | None = None) -> Item:
        """The insertion of one record, for `append` or for a write; secrets are masked first."""
        values: dict[str, Any] = {
            "id": self._ids.new("aud"),
            "tenant_id": actor.tenant_id,
            "at": self._clock.now(),
            "actor": actor.id[:160],
            "action": action,
            "subject": subject[:160],
            "body": redact(dict(body)),
            "correlation_id": correlation_id,
        }
        digest = AuditRecord(**values, digest="", mac="").own_digest()
        return _INSERT, {**values, "digest": digest, "mac": mac(self._key, digest.encode()), "seq": None, "chain": None}

    def is_genuine(self, record: AuditRecord) -> bool:
        """The record says what it said when this installation wrote it."""
        return record.own_digest() == record.digest and hmac.compare_digest(mac(self._key, record.digest.encode()), record.mac)

    def sequence(self, conn: Connection) -> bool:
        """Gives every new record its number and link; only the sequencer may call it. True when there were any.

        A record whose MAC is wrong is chained all the same: leaving it out would hide it. It is logged here and reported by `verify`.
        """
        heads: dict[str, tuple[int, str]] = {}
        found = False
        while records := repository.unchained(conn, _PAGE):
            found = True
            placed = []
            for record in records:
                if not self.is_genuine(record):
                    log.error("audit.forged_record", record_id=record.id)
                seq, chain = heads.get(record.tenant_id) or repository.head(conn, record.tenant_id) or (0, GENESIS)
                seq, chain = seq + 1, link(chain, seq + 1, record)
                heads[record.tenant_id] = (seq, chain)
                placed.append({"record_id": record.id, "record_seq": seq, "record_chain": chain})
            conn.execute(_PLACE, placed)
            if len(records) < _PAGE:
                break
        for tenant_id, (seq, chain) in heads.items():
            changed = conn.execute(update(audit_heads).where(audit_heads.c.tenant_id == tenant_id).values(seq=seq, chain=chain))
            if changed.rowcount == 0:
                conn.execute(insert(audit_heads).values(tenant_id=tenant_id, seq=seq, chain=chain))
        return found
