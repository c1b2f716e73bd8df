"""Every query on documents. Synchronous: each function works inside the caller's transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, delete, insert, or_, select, update

from bcce.kit.ids import DocumentId, TenantId
from bcce.knowledge.model import Change, DocumentInfo, DocumentVersion, NameKind
from bcce.knowledge.tables import document_names, document_versions, documents
from bcce.storage.upsert import upsert

_INSERT_NEW = upsert(documents, keys=["id"])
_INFO = [documents.c[name] for name in DocumentInfo.__slots__]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredDocument:
    """A document's row. `front` is its front matter as JSON."""

    info: DocumentInfo
    text: str
    front: Mapping[str, object]


def put(conn: Connection, values: Mapping[str, object], names: Sequence[tuple[NameKind, str]], actor: str) -> Change:
    """Makes `values` the document's present state unless it has that text already.

    `values` are the columns of `documents` but for `version`.
    """
    # The row is made empty if it is not there, and locked in any case: of two writers the second sees what the first one wrote.
    conn.execute(_INSERT_NEW, {**values, "version": 0, "digest": ""})
    query = select(documents.c.version, documents.c.digest).where(documents.c.id == values["id"])
    before = conn.execute(query.with_for_update()).one()
    if before.digest == values["digest"]:
        return "unchanged"
    version = before.version + 1
    conn.execute(update(documents).where(documents.c.id == values["id"]).values({**values, "version": version}))
    same = {name: values[name] for name in ("tenant_id", "digest", "body", "origin")}
    conn.execute(
        insert(document_versions).values(**same, document_id=values["id"], version=version, actor=actor, created_at=values["updated_at"])
    )
    conn.execute(delete(document_names).where(document_names.c.document_id == values["id"]))
    rows = [{"document_id": values["id"], "tenant_id": values["tenant_id"], "kind": kind, "name": name} for kind, name in names]
    conn.execute(insert(document_names), rows)
    return "changed" if before.version else "added"


def get(conn: Connection, tenant_id: TenantId, reference: str) -> StoredDocument | None:
    """The document with that id or slug; None when the tenant has none such."""
    query = select(documents).where(documents.c.tenant_id == tenant_id, or_(documents.c.id == reference, documents.c.slug == reference))
    row = conn.execute(query).mappings().first()
    return _stored(row) if row else None


def get_info(conn: Connection, document_id: DocumentId) -> DocumentInfo:
    """The document with that id, which must be there."""
    return _info(conn.execute(select(*_INFO).where(documents.c.id == document_id)).mappings().one())


def get_many(conn: Connection, tenant_id: TenantId, ids: Sequence[DocumentId]) -> list[StoredDocument]:
    """The documents with those ids, in no order; ids that are not there are left out."""
    rows = conn.execute(select(documents).where(documents.c.tenant_id == tenant_id, documents.c.id.in_(list(ids)))).mappings()
    return [_stored(row) for row in rows]


def list_infos(conn: Connection, tenant_id: TenantId, *, after: str | None, limit: int) -> list[DocumentInfo]:
    """The tenant's documents by slug, from behind the slug `after`."""
    query = select(*_INFO).where(documents.c.tenant_id == tenant_id)
    if after is not None:
        query = query.where(documents.c.slug > after)
    return [_info(row) for row in conn.execute(query.order_by(documents.c.slug).limit(limit)).mappings()]


def versions(conn: Connection, tenant_id: TenantId, document_id: DocumentId) -> list[DocumentVersion]:
    """Every text that the document had, newest first."""
    query = select(document_versions).where(document_versions.c.tenant_id == tenant_id, document_versions.c.document_id == document_id)
    rows = conn.execute(query.order_by(document_versions.c.version.desc())).mappings()
    kept = [name for name in DocumentVersion.__slots__ if name != "text"]
    return [DocumentVersion(**{name: row[name] for name in kept}, text=row["body"]) for row in rows]


def digests(conn: Connection, tenant_id: TenantId) -> dict[DocumentId, str]:
    """The digest of every document of the tenant."""
    rows = conn.execute(select(documents.c.id, documents.c.digest).where(documents.c.tenant_id == tenant_id))
    return {DocumentId(row.id): row.digest for row in rows}


def with_name(conn: Connection, tenant_id: TenantId, name: str) -> dict[DocumentId, set[NameKind]]:
    """The documents that are called `name` (normalised), and what calls them so."""
    query = select(document_names.c.document_id, document_names.c.kind)
    found: dict[DocumentId, set[NameKind]] = {}
    for row in conn.execute(query.where(document_names.c.tenant_id == tenant_id, document_names.c.name == name)):
        found.setdefault(DocumentId(row.document_id), set()).add(row.kind)
    return found


def _info(row: RowMapping) -> DocumentInfo:
    return DocumentInfo(**{name: row[name] for name in DocumentInfo.__slots__})


def _stored(row: RowMapping) -> StoredDocument:
    return StoredDocument(info=_info(row), text=row["body"], front=row["front"])
