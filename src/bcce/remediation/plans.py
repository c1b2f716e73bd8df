"""Writes plans down and reads them back, with the severity of the incident that they are for."""

from datetime import datetime

from sqlalchemy import Connection

from bcce.execution.model import Plan
from bcce.incidents import repository as incidents
from bcce.kit.findings import Severity
from bcce.kit.ids import IncidentId, RunId, TenantId
from bcce.remediation import repository
from bcce.remediation.errors import UnknownPlan


def store_plan(conn: Connection, tenant_id: TenantId, run_id: RunId, plan: Plan, at: datetime) -> None:
    """Keeps the plan byte for byte; one that is there already stays."""
    values = {"id": plan.id, "tenant_id": tenant_id, "incident_id": plan.incident_id, "run_id": run_id}
    repository.put_plan(conn, {**values, "digest": plan.digest, "body": plan.to_dict(), "created_at": at})


def load_plan(conn: Connection, tenant_id: TenantId, plan_id: str) -> tuple[Plan, Severity]:
    """The plan exactly as it was written, and its incident's severity; without an incident the highest, since nobody can tell.

    Raises:
        UnknownPlan: there is none in this tenant, or its bytes no longer match their digest.
    """
    row = repository.get_plan(conn, tenant_id, plan_id)
    if row is None:
        raise UnknownPlan(f"there is no plan {plan_id}")
    plan = Plan.from_dict(row["body"])
    if plan.digest != row["digest"]:
        raise UnknownPlan(f"plan {plan_id} was changed in the database: its digest no longer fits")
    incident = incidents.get(conn, tenant_id, IncidentId(plan.incident_id)) if plan.incident_id is not None else None
    return plan, incident.severity if incident else Severity.CRITICAL


def load_repair(conn: Connection, tenant_id: TenantId, plan_id: str) -> tuple[Plan, Severity, IncidentId]:
    """The same of a plan that repairs an incident.

    Raises:
        UnknownPlan: as above, or it is for no incident.
    """
    plan, severity = load_plan(conn, tenant_id, plan_id)
    if plan.incident_id is None:
        raise UnknownPlan(f"plan {plan_id} is for no incident", hint="a step of type shell starts its own script itself")
    return plan, severity, IncidentId(plan.incident_id)
