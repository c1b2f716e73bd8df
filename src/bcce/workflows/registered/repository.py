"""Every query on the definitions that are registered. Synchronous: each function works inside the caller's transaction."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, RowMapping, and_, insert, select, update

from bcce.kit.ids import DefinitionId, TenantId
from bcce.workflows.tables import definitions


def get_definition(conn: Connection, definition_id: DefinitionId) -> RowMapping | None:
    """A definition's row by id."""
    return conn.execute(select(definitions).where(definitions.c.id == definition_id)).mappings().first()


def current_definitions(
    conn: Connection, tenant_id: TenantId, name: str | None = None, *, after: str | None = None, limit: int | None = None
) -> Sequence[RowMapping]:
    """The definitions that new runs use, by name: at most `limit` (None: all) from behind the name `after`."""
    query = select(definitions).where(definitions.c.tenant_id == tenant_id, definitions.c.is_current)
    if name is not None:
        query = query.where(definitions.c.name == name)
    if after is not None:
        query = query.where(definitions.c.name > after)
    return conn.execute(query.order_by(definitions.c.name).limit(limit)).mappings().all()


def definitions_of(conn: Connection, tenant_id: TenantId, name: str, version: str | None) -> Sequence[RowMapping]:
    """The definition that new runs of `name` use, or those whose digest begins with `version`, the newest first."""
    if version is None:
        return current_definitions(conn, tenant_id, name)
    prefix = version if version.startswith("sha256:") else f"sha256:{version}"
    query = select(definitions).where(definitions.c.tenant_id == tenant_id, definitions.c.name == name)
    matching = query.where(definitions.c.digest.startswith(prefix, autoescape=True))
    return conn.execute(matching.order_by(definitions.c.created_at.desc())).mappings().all()


def make_current(conn: Connection, values: Mapping[str, object]) -> None:
    """Stores a definition unless it is there, and makes it the one that new runs of its name use."""
    same_name = and_(definitions.c.tenant_id == values["tenant_id"], definitions.c.name == values["name"])
    if get_definition(conn, DefinitionId(str(values["id"]))) is None:
        conn.execute(insert(definitions), [dict(values)])
    conn.execute(update(definitions).where(same_name).values(is_current=definitions.c.id == values["id"]))
