"""Every query on secret inputs. Synchronous: each function works inside the caller's transaction."""

from collections.abc import Mapping

from sqlalchemy import Connection, insert, select

from bcce.kit.ids import RunId, TenantId
from bcce.workflows.tables import secret_inputs


def put_secret_inputs(conn: Connection, run: RunId, tenant_id: TenantId, values: Mapping[str, str]) -> None:
    """Keeps the values of a new run's secret inputs, encrypted."""
    if values:
        conn.execute(
            insert(secret_inputs), [{"run_id": run, "name": name, "tenant_id": tenant_id, "value": values[name]} for name in values]
        )


def get_secret_inputs(conn: Connection, run_id: RunId) -> dict[str, str]:
    """The values of a run's secret inputs, by name."""
    query = select(secret_inputs.c.name, secret_inputs.c.value).where(secret_inputs.c.run_id == run_id)
    return {row.name: str(row.value) for row in conn.execute(query)}
