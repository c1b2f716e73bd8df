"""Every query on secret inputs. Synchronous: each function works inside the caller's transaction."""

import json
from collections.abc import Mapping

from sqlalchemy import Connection, insert, select

from bcce.kit.ids import RunId, TenantId
from bcce.kit.references import SealedText
from bcce.workflows.inputs.model import Hidden
from bcce.workflows.tables import secret_inputs


def put_secret_inputs(conn: Connection, run: RunId, tenant_id: TenantId, values: Mapping[str, Hidden]) -> None:
    """Keeps what a new run's secret inputs were given, encrypted; of a reference it is the reference."""
    rows: list[dict[str, object]] = []
    for name, given in values.items():
        is_reference = isinstance(given, SealedText)
        value = json.dumps(given.to_dict()) if isinstance(given, SealedText) else given
        rows.append({"run_id": run, "name": name, "tenant_id": tenant_id, "value": value, "is_reference": is_reference})
    if rows:
        conn.execute(insert(secret_inputs), rows)


def get_secret_inputs(conn: Connection, run_id: RunId) -> dict[str, Hidden]:
    """What a run's secret inputs were given, by name."""
    query = select(secret_inputs.c.name, secret_inputs.c.value, secret_inputs.c.is_reference).where(secret_inputs.c.run_id == run_id)
    return {row.name: SealedText.from_dict(json.loads(row.value)) if row.is_reference else str(row.value) for row in conn.execute(query)}
