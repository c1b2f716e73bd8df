"""Queries on plans; synchronous, inside the caller's transaction."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from bcce.approvals.model import ApprovalState
from bcce.approvals.tables import approvals
from bcce.execution.model import Dispatch
from bcce.kit.ids import ApprovalId, GateId, IncidentId, TenantId
from bcce.remediation.tables import plans
from bcce.storage.outbox import outbox_cursors
from bcce.workflows.model import LIVE_STEPS
from bcce.workflows.repository import ENDED, get_records, get_run
from bcce.workflows.tables import gates


def put_plan(conn: Connection, values: Mapping[str, object]) -> None:
    """Stores a plan unless one with its id is there: a step that is called again after a crash finds its own."""
    if conn.execute(select(plans.c.id).where(plans.c.id == values["id"])).first() is None:
        conn.execute(insert(plans), [dict(values)])


def get_plan(conn: Connection, tenant_id: TenantId, plan_id: str) -> Mapping[str, Any] | None:
    """A plan's row by id; None when the tenant has none such."""
    return conn.execute(select(plans).where(plans.c.tenant_id == tenant_id, plans.c.id == plan_id)).mappings().first()  # type: ignore[return-value]  # a row mapping is a mapping


def latest_plan(conn: Connection, tenant_id: TenantId, incident_id: str) -> Mapping[str, Any] | None:
    """The incident's newest plan; None when it has none."""
    query = select(plans).where(plans.c.tenant_id == tenant_id, plans.c.incident_id == incident_id)
    return conn.execute(query.order_by(plans.c.created_at.desc(), plans.c.id.desc()).limit(1)).mappings().first()  # type: ignore[return-value]  # a row mapping is a mapping


def is_followed(conn: Connection, dispatch: Dispatch) -> bool:
    """Whether the step that asked for the dispatch is still there to find out what becomes of it; it may be waiting."""
    run = get_run(conn, dispatch.run_id, dispatch.tenant_id)
    if run is None or run.state in ENDED:
        return False
    step = get_records(conn, dispatch.run_id).get(dispatch.step_key)
    return step is not None and step.state in LIVE_STEPS


def is_gate_open(conn: Connection, gate_id: GateId) -> bool:
    """Whether a step still waits at the gate."""
    return conn.execute(select(gates.c.id).where(gates.c.id == gate_id, gates.c.state == "open")).first() is not None


def step_cursor(conn: Connection, name: str, position: int) -> bool:
    """Takes the event at `position` for this transaction; False when another process has handled it.

    The update waits for a competitor's transaction and then sees its result, so of two processes one handles the event.
    """
    table = outbox_cursors
    if conn.execute(update(table).where(table.c.name == name, table.c.position < position).values(position=position)).rowcount == 1:
        return True
    if conn.execute(select(table.c.position).where(table.c.name == name)).first() is not None:
        return False
    conn.execute(insert(table).values(name=name, position=position))
    return True


def approvals_of(
    conn: Connection, tenant_id: TenantId, incident_id: IncidentId, states: Collection[ApprovalState] = tuple(ApprovalState)
) -> list[ApprovalId]:
    """The approvals that were asked for an incident and are in one of `states`, oldest first."""
    table = approvals
    query = select(table.c.id).where(table.c.tenant_id == tenant_id, table.c.incident_id == incident_id, table.c.state.in_(sorted(states)))
    return [ApprovalId(value) for value in conn.execute(query.order_by(table.c.requested_at, table.c.id)).scalars()]
