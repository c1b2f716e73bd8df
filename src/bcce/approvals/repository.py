"""Every query on approvals. Synchronous: each function works inside the caller's transaction."""

from datetime import datetime

from sqlalchemy import Connection, RowMapping, and_, func, insert, or_, select, update

from bcce.approvals.model import Approval, ApprovalState, Decision, DecisionRecord
from bcce.approvals.tables import approval_decisions, approvals
from bcce.kit.ids import ApprovalId, GateId, RunId, TenantId


def add(conn: Connection, approval: Approval) -> None:
    """Writes a new approval's row."""
    values = {name: getattr(approval, name) for name in Approval.__slots__}
    conn.execute(
        insert(approvals).values(
            {**values, "shown": dict(approval.shown), "reasons": list(approval.reasons), "asked_by": list(approval.asked_by)}
        )
    )


def get(conn: Connection, approval_id: ApprovalId, tenant_id: TenantId) -> Approval | None:
    """The approval; None when the tenant has none such."""
    row = conn.execute(select(approvals).where(approvals.c.id == approval_id, approvals.c.tenant_id == tenant_id)).mappings().first()
    return _approval(row) if row else None


def at_gate(conn: Connection, gate_id: GateId, tenant_id: TenantId) -> Approval | None:
    """The newest approval that was asked for at a gate; None when none was."""
    query = select(approvals).where(approvals.c.gate_id == gate_id, approvals.c.tenant_id == tenant_id)
    row = conn.execute(query.order_by(approvals.c.requested_at.desc(), approvals.c.id.desc()).limit(1)).mappings().first()
    return _approval(row) if row else None


def lock(conn: Connection, approval_id: ApprovalId) -> Approval:
    """The approval as it is now; nobody else can change it before the commit. It must be there: approvals are never deleted."""
    return _approval(conn.execute(select(approvals).where(approvals.c.id == approval_id).with_for_update()).mappings().one())


def set_state(conn: Connection, approval_id: ApprovalId, state: ApprovalState, *, decided_at: datetime, expires_at: datetime) -> None:
    """Writes a new state; the caller has locked the row."""
    conn.execute(update(approvals).where(approvals.c.id == approval_id).values(state=state, decided_at=decided_at, expires_at=expires_at))


def add_decision(conn: Connection, approval: Approval, record: DecisionRecord) -> None:
    """Writes one person's word."""
    values = {name: getattr(record, name) for name in DecisionRecord.__slots__}
    conn.execute(insert(approval_decisions).values(**values, approval_id=approval.id, tenant_id=approval.tenant_id))


def decisions(conn: Connection, approval_id: ApprovalId) -> tuple[DecisionRecord, ...]:
    """Every decision about an approval, in order."""
    query = select(approval_decisions).where(approval_decisions.c.approval_id == approval_id)
    rows = conn.execute(query.order_by(approval_decisions.c.decided_at, approval_decisions.c.actor_id)).mappings()
    return tuple(_decision(row) for row in rows)


def is_granted(conn: Connection, approval_id: ApprovalId, digest: str, now: datetime) -> bool:
    """Whether enough people agreed to exactly `digest` and the approval still holds.

    The decisions are counted again rather than believed from the state, so that a row changed by hand grants nothing by itself.
    """
    agreed = select(func.count()).where(
        approval_decisions.c.approval_id == approvals.c.id,
        approval_decisions.c.decision == Decision.APPROVE,
        approval_decisions.c.digest_seen == digest,
    )
    query = select(approvals.c.id).where(
        approvals.c.id == approval_id,
        approvals.c.digest == digest,
        approvals.c.state == ApprovalState.APPROVED,
        approvals.c.expires_at > now,
        approvals.c.required_count <= agreed.scalar_subquery(),
    )
    return conn.execute(query).first() is not None


def was_refused(conn: Connection, tenant_id: TenantId, correlation_id: str) -> bool:
    """Whether anything that was asked in this connection was rejected or taken back."""
    ended = approvals.c.state.in_((ApprovalState.REJECTED, ApprovalState.REVOKED))
    query = select(approvals.c.id).where(approvals.c.tenant_id == tenant_id, approvals.c.correlation_id == correlation_id, ended)
    return conn.execute(query.limit(1)).first() is not None


def overdue_gate(conn: Connection, now: datetime) -> tuple[RunId, GateId] | None:
    """The run and the gate whose approval has been waiting in vain for longest; None when none has."""
    query = select(approvals.c.run_id, approvals.c.gate_id).where(approvals.c.state == ApprovalState.PENDING, approvals.c.expires_at <= now)
    row = conn.execute(query.order_by(approvals.c.expires_at, approvals.c.id).limit(1)).first()
    return (RunId(row.run_id), GateId(row.gate_id)) if row else None


def lock_overdue(conn: Connection, gate_id: GateId, now: datetime) -> list[Approval]:
    """The approvals at a gate that are overdue, locked."""
    query = select(approvals).where(
        approvals.c.gate_id == gate_id, approvals.c.state == ApprovalState.PENDING, approvals.c.expires_at <= now
    )
    return [_approval(row) for row in conn.execute(query.order_by(approvals.c.id).with_for_update()).mappings()]


def list_approvals(
    conn: Connection, tenant_id: TenantId, *, state: ApprovalState | None, before: ApprovalId | None, limit: int
) -> list[Approval]:
    """The tenant's approvals, newest first, from below the approval `before`."""
    query = select(approvals).where(approvals.c.tenant_id == tenant_id)
    if state is not None:
        query = query.where(approvals.c.state == state)
    if before is not None:
        cursor = select(approvals.c.requested_at).where(approvals.c.id == before).scalar_subquery()
        older = approvals.c.requested_at < cursor
        query = query.where(or_(older, and_(approvals.c.requested_at == cursor, approvals.c.id < before)))
    rows = conn.execute(query.order_by(approvals.c.requested_at.desc(), approvals.c.id.desc()).limit(limit)).mappings()
    return [_approval(row) for row in rows]


def _approval(row: RowMapping) -> Approval:
    same = {name: row[name] for name in Approval.__slots__ if name not in ("state", "reasons", "asked_by")}
    state, asked_by = ApprovalState(row["state"]), tuple(row["asked_by"] or ())
    return Approval(**same, state=state, reasons=tuple(row["reasons"]), asked_by=asked_by)


def _decision(row: RowMapping) -> DecisionRecord:
    same = {name: row[name] for name in DecisionRecord.__slots__ if name != "decision"}
    return DecisionRecord(**same, decision=Decision(row["decision"]))
