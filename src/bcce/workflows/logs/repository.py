"""Every query on the table of logs. Synchronous: each function works inside the caller's transaction."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select

from bcce.kit.ids import RunId, TenantId
from bcce.kit.text import canonical_json
from bcce.storage.doors import Item
from bcce.workflows.logs.tables import run_logs

_INSERT = insert(run_logs)


def lines_item(
    event_id: str, lines: Sequence[Mapping[str, object]], *, tenant_id: TenantId, run_id: RunId, step_key: str, attempt: int
) -> Item:
    """The row with what an attempt said, under the event that is published with it."""
    place = {"event_id": event_id, "tenant_id": tenant_id, "run_id": run_id, "step_key": step_key, "attempt": attempt}
    return _INSERT, {**place, "count": len(lines), "bytes": len(canonical_json(lines)), "lines": list(lines)}


def stored(conn: Connection, run_id: RunId, step_key: str, attempt: int) -> tuple[int, int]:
    """Lines and bytes that are stored of an attempt."""
    query = select(func.coalesce(func.sum(run_logs.c.count), 0), func.coalesce(func.sum(run_logs.c.bytes), 0))
    row = conn.execute(query.where(run_logs.c.run_id == run_id, run_logs.c.step_key == step_key, run_logs.c.attempt == attempt)).one()
    return int(row[0]), int(row[1])


def lines_of(conn: Connection, run_id: RunId, event_ids: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """What was said, by the event that it was stored under."""
    query = select(run_logs.c.event_id, run_logs.c.lines).where(run_logs.c.run_id == run_id, run_logs.c.event_id.in_(sorted(event_ids)))
    return {row.event_id: row.lines for row in conn.execute(query)}
