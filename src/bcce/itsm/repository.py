"""Every query on the embedded book's tables. Synchronous: each function works inside the caller's transaction."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, RowMapping, and_, func, insert, or_, select, update

from bcce.itsm.model import NoteKind, Ticket, TicketNote, TicketRef, TicketState
from bcce.itsm.tables import ticket_notes, tickets
from bcce.kit.findings import Severity
from bcce.kit.ids import TenantId, TicketId


def get(conn: Connection, tenant_id: TenantId, ticket_id: TicketId, *, book: str) -> Ticket | None:
    """The ticket with its notes; None when the tenant has none such."""
    row = conn.execute(select(tickets).where(tickets.c.tenant_id == tenant_id, tickets.c.id == ticket_id)).mappings().first()
    if row is None:
        return None
    query = select(ticket_notes).where(ticket_notes.c.ticket_id == ticket_id).order_by(ticket_notes.c.number)
    return _ticket(row, book, tuple(_note(note) for note in conn.execute(query).mappings()))


def list_tickets(
    conn: Connection, tenant_id: TenantId, *, book: str, state: TicketState | None, before: TicketId | None, limit: int
) -> list[Ticket]:
    """The tenant's tickets without their notes, newest first, from below the ticket `before`."""
    query = select(tickets).where(tickets.c.tenant_id == tenant_id)
    if state is not None:
        query = query.where(tickets.c.state == state)
    if before is not None:
        cursor = select(tickets.c.opened_at).where(tickets.c.id == before).scalar_subquery()
        query = query.where(or_(tickets.c.opened_at < cursor, and_(tickets.c.opened_at == cursor, tickets.c.id < before)))
    rows = conn.execute(query.order_by(tickets.c.opened_at.desc(), tickets.c.id.desc()).limit(limit)).mappings()
    return [_ticket(row, book, ()) for row in rows]


def lock(conn: Connection, tenant_id: TenantId, ticket_id: TicketId) -> TicketState | None:
    """The ticket's state, which nobody else can change before the commit; None when the tenant has no such ticket."""
    query = select(tickets.c.state).where(tickets.c.tenant_id == tenant_id, tickets.c.id == ticket_id)
    state = conn.execute(query.with_for_update()).scalar()
    return None if state is None else TicketState(state)


def add_note(conn: Connection, values: Mapping[str, object]) -> bool:
    """Writes a note behind the others; False when one with its key is there. The caller has locked the ticket."""
    mine = ticket_notes.c.ticket_id == values["ticket_id"]
    if conn.execute(select(ticket_notes.c.note_key).where(mine, ticket_notes.c.note_key == values["note_key"])).first() is not None:
        return False
    last = conn.execute(select(func.max(ticket_notes.c.number)).where(mine)).scalar() or 0
    conn.execute(insert(ticket_notes).values(**values, number=last + 1))
    return True


def close(conn: Connection, ticket_id: TicketId, *, resolution: str, at: datetime) -> None:
    """Makes the ticket closed; the caller has locked it."""
    conn.execute(update(tickets).where(tickets.c.id == ticket_id).values(state=TicketState.CLOSED, resolution=resolution, closed_at=at))


def _ticket(row: RowMapping, book: str, notes: tuple[TicketNote, ...]) -> Ticket:
    return Ticket(
        ref=TicketRef(book=book, tenant_id=row["tenant_id"], id=row["id"]),
        title=row["title"],
        description=row["description"],
        severity=Severity(row["severity"]),
        incident_id=row["incident_id"],
        state=TicketState(row["state"]),
        resolution=row["resolution"],
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        notes=notes,
    )


def _note(row: RowMapping) -> TicketNote:
    return TicketNote(key=row["note_key"], kind=NoteKind(row["kind"]), text=row["text"], at=row["at"])
