"""Looking at alerts."""

from typing import Any

from fastapi import APIRouter, Query

from bcce.api.context import ActorDep, RuntimeDep
from bcce.api.wire import wire

router = APIRouter(prefix="/api/v1", tags=["alerts"])


@router.get("/alerts", summary="List alerts, the most recently seen first")
async def list_alerts(
    runtime: RuntimeDep,
    actor: ActorDep,
    status: str | None = None,
    name: str | None = None,
    severity: str | None = None,
    source: str | None = None,
    provider: str | None = None,
    service: str | None = None,
    host: str | None = None,
    cursor: str | None = None,
    limit: int = Query(50, ge=1, le=500),
) -> dict[str, Any]:
    """A page of alerts; each filter asks for exactly its value."""
    asked = {
        "status": status,
        "name": name,
        "severity": severity,
        "source": source,
        "provider": provider,
        "service": service,
        "host": host,
    }
    filters = {key: value for key, value in asked.items() if value is not None}
    page, following = await runtime.alerts.list(actor, filters=filters, cursor=cursor, limit=limit)
    return {"items": wire(page), "next": following}


@router.get("/alerts/{alert_id}", summary="Show an alert with its notifications")
async def show_alert(alert_id: str, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """One alert."""
    alert, notifications = await runtime.alerts.get(actor, alert_id)
    return {**wire(alert), "notifications": wire(notifications)}


@router.get("/dead-letters", summary="List webhook bodies that could not be understood")
async def list_dead_letters(runtime: RuntimeDep, actor: ActorDep, limit: int = Query(50, ge=1, le=500)) -> dict[str, Any]:
    """Without their bodies."""
    letters = await runtime.alerts.dead_letters(actor, limit=limit)
    return {"items": [{**wire(_without_body(letter)), "bytes": len(letter.body)} for letter in letters], "next": None}


@router.get("/dead-letters/{dead_id}", summary="Show one of them with its body")
async def show_dead_letter(dead_id: str, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """The body as text; bytes that are no UTF-8 are replaced."""
    letter = await runtime.alerts.dead_letter(actor, dead_id)
    return {**wire(_without_body(letter)), "bytes": len(letter.body), "body": letter.body.decode("utf-8", "replace")}


def _without_body(letter: Any) -> dict[str, Any]:
    return {
        "id": letter.id,
        "provider": letter.provider,
        "source": letter.source,
        "receivedAt": letter.received_at,
        "reason": letter.reason,
    }
