"""Queries on the audit log; synchronous, inside the caller's transaction."""

from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select

from bcce.security.audit.tables import audit, audit_heads

if TYPE_CHECKING:
    from bcce.security.audit.log import AuditRecord


def unchained(conn: Connection, limit: int) -> "list[AuditRecord]":
    """Records that the sequencer has not seen, in the order in which they were made."""
    return _records(conn.execute(select(audit).where(audit.c.seq.is_(None)).order_by(audit.c.at, audit.c.id).limit(limit)).mappings())


def head(conn: Connection, tenant_id: str) -> tuple[int, str] | None:
    """The last number and link of a tenant's chain; None before its first record."""
    row = conn.execute(select(audit_heads.c.seq, audit_heads.c.chain).where(audit_heads.c.tenant_id == tenant_id)).first()
    return (row.seq, row.chain) if row else None


def heads(conn: Connection) -> dict[str, tuple[int, str]]:
    """Every tenant's head."""
    return {row.tenant_id: (row.seq, row.chain) for row in conn.execute(select(audit_heads))}


def tenants(conn: Connection) -> list[str]:
    """Every tenant that has a record."""
    return list(conn.execute(select(audit.c.tenant_id).distinct().order_by(audit.c.tenant_id)).scalars())


def page(conn: Connection, tenant_id: str, after: int, limit: int) -> "list[AuditRecord]":
    """Chained records of a tenant after the number `after`, in order."""
    query = select(audit).where(audit.c.tenant_id == tenant_id, audit.c.seq > after).order_by(audit.c.seq).limit(limit)
    return _records(conn.execute(query).mappings())


def count_unchained(conn: Connection, tenant_id: str) -> int:
    """How many records of a tenant wait for the sequencer."""
    return conn.scalar(select(func.count()).select_from(audit).where(audit.c.tenant_id == tenant_id, audit.c.seq.is_(None))) or 0


def _records(rows: object) -> "list[AuditRecord]":
    from bcce.security.audit.log import AuditRecord  # noqa: PLC0415 - the record's module imports this one

    return [AuditRecord(**row) for row in rows]  # type: ignore[attr-defined]  # an iterable of mappings
