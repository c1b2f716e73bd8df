"""Queries on tokens; synchronous, inside the caller's transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, or_, select, update

from bcce.security.authz import Role
from bcce.security.tokens.tables import tokens


def add(conn: Connection, values: Mapping[str, Any]) -> None:
    """Stores a token's row."""
    conn.execute(insert(tokens), [dict(values)])


def by_hash(conn: Connection, hashed: str) -> RowMapping | None:
    """The token with this hash."""
    return conn.execute(select(tokens).where(tokens.c.hash == hashed)).mappings().first()


def by_id(conn: Connection, tenant_id: str, token_id: str) -> RowMapping | None:
    """The token with this id."""
    return conn.execute(select(tokens).where(tokens.c.tenant_id == tenant_id, tokens.c.id == token_id)).mappings().first()


def all_of(conn: Connection, tenant_id: str) -> list[RowMapping]:
    """A tenant's tokens, newest first."""
    return list(conn.execute(select(tokens).where(tokens.c.tenant_id == tenant_id).order_by(tokens.c.id.desc())).mappings())


def count_admins(conn: Connection, tenant_id: str, now: datetime) -> int:
    """How many administrator tokens work at `now`."""
    is_valid = (tokens.c.revoked_at.is_(None), or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now))
    query = select(func.count()).select_from(tokens).where(tokens.c.tenant_id == tenant_id, tokens.c.role == Role.ADMIN, *is_valid)
    return conn.scalar(query) or 0


def revoke(conn: Connection, token_id: str, now: datetime) -> None:
    """Ends a token's life; a revoked one keeps its first moment."""
    conn.execute(update(tokens).where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None)).values(revoked_at=now))


def touch(conn: Connection, token_id: str, now: datetime) -> None:
    """Remembers that a token was used."""
    conn.execute(update(tokens).where(tokens.c.id == token_id).values(last_used_at=now))
