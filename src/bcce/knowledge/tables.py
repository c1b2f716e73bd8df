"""Documents, every text that they had, and the names under which alerts find them."""

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, Table, UniqueConstraint

from bcce.storage.metadata import metadata
from bcce.storage.types import Id, Json, LongText, Name, UtcDateTime, tenant_column

documents = Table(
    "documents",
    metadata,
    Column("id", Id(), primary_key=True),
    tenant_column(),
    Column("kind", Name(16), nullable=False),
    Column("slug", Name(100), nullable=False),
    Column("title", Name(200), nullable=False),
    Column("digest", Name(80), nullable=False),
    Column("body", LongText(), nullable=False),
    Column("front", Json(), nullable=False),
    Column("version", Integer, nullable=False),
    Column("origin", Name(255), nullable=False),
    Column("updated_at", UtcDateTime(), nullable=False),
    UniqueConstraint("tenant_id", "kind", "slug", name="uq_documents_slug"),
)

document_versions = Table(
    "document_versions",
    metadata,
    Column("document_id", Id(), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    tenant_column(),
    Column("digest", Name(80), nullable=False),
    Column("body", LongText(), nullable=False),
    Column("origin", Name(255), nullable=False),
    Column("actor", Name(255), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    ForeignKeyConstraint(["document_id"], ["documents.id"]),
)

document_names = Table(
    "document_names",
    metadata,
    Column("document_id", Id(), primary_key=True),
    Column("kind", Name(16), primary_key=True),
    Column("name", Name(200), primary_key=True),
    tenant_column(),
    ForeignKeyConstraint(["document_id"], ["documents.id"]),
    Index("ix_document_names_name", "tenant_id", "name"),
)
