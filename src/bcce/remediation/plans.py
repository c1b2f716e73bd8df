"""Reads stored plans back, with the severity of the incident that they are for."""

from sqlalchemy import Connection

from bcce.execution.model import Plan
from bcce.incidents import repository as incidents
from bcce.kit.findings import Severity
from bcce.kit.ids import IncidentId, TenantId
from bcce.remediation import repository
from bcce.remediation.errors import UnknownPlan


def load_plan(conn: Connection, tenant_id: TenantId, plan_id: str) -> tuple[Plan, Severity]:
    """The plan exactly as it was written, and its incident's severity.

    Raises:
        UnknownPlan: there is none in this tenant, or its bytes no longer match their digest.
    """
    row = repository.get_plan(conn, tenant_id, plan_id)
    if row is None:
        raise UnknownPlan(f"there is no plan {plan_id}")
    plan = Plan.from_dict(row["body"])
    if plan.digest != row["digest"]:
        raise UnknownPlan(f"plan {plan_id} was changed in the database: its digest no longer fits")
    incident = incidents.get(conn, tenant_id, IncidentId(plan.incident_id))
    return plan, incident.severity if incident else Severity.CRITICAL
