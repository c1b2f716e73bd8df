"""The embedded ticket book's tickets and notes."""

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, Table

from bcce.storage.metadata import metadata
from bcce.storage.types import Id, LongText, Name, UtcDateTime, tenant_column

#: A ticket's id follows from its tenant and its key, so the primary key is also what makes opening happen once.
tickets = Table(
    "tickets",
    metadata,
    Column("id", Id(), primary_key=True),
    tenant_column(),
    Column("open_key", Name(200), nullable=False),
    Column("title", Name(255), nullable=False),
    Column("description", LongText(), nullable=False),
    Column("severity", Name(16), nullable=False),
    Column("incident_id", Id()),
    Column("state", Name(16), nullable=False),
    Column("resolution", LongText()),
    Column("opened_at", UtcDateTime(), nullable=False),
    Column("closed_at", UtcDateTime()),
    Index("ix_tickets_tenant_opened", "tenant_id", "opened_at", "id"),
    Index("ix_tickets_incident", "tenant_id", "incident_id"),
)

ticket_notes = Table(
    "ticket_notes",
    metadata,
    Column("ticket_id", Id(), primary_key=True),
    Column("note_key", Name(200), primary_key=True),
    tenant_column(),
    Column("number", Integer, nullable=False),
    Column("kind", Name(16), nullable=False),
    Column("text", LongText(), nullable=False),
    Column("at", UtcDateTime(), nullable=False),
    ForeignKeyConstraint(["ticket_id"], ["tickets.id"]),
)
