"""Tokens, knowledge, tickets, scripts, events, the audit log."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from bcce.api.context import ActorDep, RuntimeDep
from bcce.api.wire import wire
from bcce.execution.settings import LOCAL_TARGET
from bcce.kit.errors import InvalidInput
from bcce.kit.findings import Severity
from bcce.kit.redact import redact
from bcce.kit.text import clean
from bcce.remediation.errors import UnknownTarget
from bcce.safety.policy.evaluate import PolicyContext
from bcce.security.audit import verify_audit
from bcce.security.authz import Permission, Role, require
from bcce.storage.outbox import read_after

router = APIRouter(prefix="/api/v1", tags=["administration"])


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("in UTC its year is not within 1 to 9999") from error


UtcMoment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class NewToken(BaseModel):
    """A token to make: of a role, with the person whose it is, or of a webhook source (then `provider` and `source`)."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, max_length=120)
    role: Role | None = None
    owner: str | None = Field(default=None, max_length=120)
    provider: str | None = Field(default=None, max_length=64)
    source: str | None = Field(default=None, max_length=64)
    expires_at: UtcMoment | None = Field(default=None, alias="expiresAt")


class NewDocument(BaseModel):
    """An SOP as Markdown with front matter."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=256 * 1024)
    origin: str = Field(max_length=255)


class ScriptText(BaseModel):
    """A script to judge; nothing is run. With a `target` the script policy is applied as it would be now."""

    model_config = ConfigDict(extra="forbid")

    shell: str = "bash"
    script: str = Field(max_length=1024 * 1024)
    parameters: list[str] = Field(default_factory=list, max_length=100)
    target: str | None = Field(default=None, max_length=255)
    severity: Severity = Severity.MEDIUM


@router.get("/tokens", summary="List tokens; their text is never shown again")
async def list_tokens(runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """Newest first."""
    return {"items": wire(await runtime.tokens.list(actor)), "next": None}


@router.post("/tokens", status_code=201, summary="Make a token; the answer is the only place where its text is shown")
async def create_token(given: NewToken, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """Of a role or of a source."""
    if given.provider is not None and given.source is not None and given.role is None and given.owner is None:
        require(actor, Permission.TOKENS_MANAGE)
        runtime.alerts.check_names(given.provider, given.source)
        issued = await runtime.tokens.create_source(actor, provider=given.provider, source=given.source, expires_at=given.expires_at)
    elif given.role is not None and given.name and given.provider is None and given.source is None:
        issued = await runtime.tokens.create(actor, name=given.name, role=given.role, owner=given.owner, expires_at=given.expires_at)
    else:
        raise InvalidInput("give `name` and `role` for a person's token, or `provider` and `source` for a webhook's")
    return {**wire(issued.token), "token": issued.secret.reveal()}


@router.delete("/tokens/{token_id}", summary="Revoke a token")
async def revoke_token(token_id: str, runtime: RuntimeDep, actor: ActorDep, force: bool = False) -> dict[str, Any]:
    """At once."""
    return dict(wire(await runtime.tokens.revoke(actor, token_id, force=force)))


@router.get("/documents", summary="List SOPs")
async def list_documents(runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """By name."""
    return {"items": wire(await runtime.knowledge.list(actor, limit=500)), "next": None}


@router.put("/documents", summary="Store an SOP; the same text again changes nothing")
async def put_document(given: NewDocument, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """A changed text becomes a new version."""
    return dict(wire(await runtime.knowledge.put(actor, given.text, given.origin)))


@router.post("/scripts/check", summary="Judge a script without running it")
async def check_script(given: ScriptText, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """Verdict, findings, effects; with a target also what the script policy decides there now."""
    # In a thread: a hostile text may take a second, in which nobody else should have to wait.
    if given.target is None:
        judged = await asyncio.to_thread(runtime.safety.check, actor, given.shell, given.script, parameters=given.parameters)
        return dict(judged.to_dict())
    groups = {LOCAL_TARGET: (), **runtime.settings.execution.target_groups()}
    if given.target not in groups:
        raise UnknownTarget(f"no target {clean(given.target, limit=60)!r} is configured", hint=f"configured: {', '.join(sorted(groups))}")
    context = PolicyContext(
        environment=runtime.settings.env,
        target=given.target,
        groups=groups[given.target],
        severity=given.severity,
        at=runtime.clock.now(),
    )
    decision = await asyncio.to_thread(runtime.safety.decide, actor, given.shell, given.script, context, parameters=given.parameters)
    return dict(decision.to_dict())


@router.get("/audit", summary="Check the audit log")
async def audit(runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """Every record, every link, every signed checkpoint."""
    return dict(wire(await verify_audit(actor, runtime.db, runtime.audit, runtime.checkpoints)))


@router.get("/events", summary="Read events after a position, in order")
async def events(
    runtime: RuntimeDep, actor: ActorDep, after: int = Query(0, ge=0, le=2**63 - 1), limit: int = Query(100, ge=1, le=1000)
) -> dict[str, Any]:
    """`next` is the position to continue after."""
    require(actor, Permission.INCIDENTS_READ)
    rows = await runtime.db.read(lambda conn: read_after(conn, after, limit, tenant_id=actor.tenant_id))
    items = [
        {
            "position": row.position,
            "type": row.type,
            "timestamp": wire(row.at),
            "source": row.source,
            "correlationId": row.correlation_id,
            "data": dict(row.data),
        }
        for row in rows
    ]
    return {"items": items, "next": rows[-1].position if rows else after}


@router.get("/config", summary="Show the settings in force")
async def config(request: Request, runtime: RuntimeDep, actor: ActorDep) -> dict[str, Any]:
    """Passwords in URLs are masked."""
    require(actor, Permission.CONFIG_READ)
    return {key: redact(value) for key, value in runtime.settings.model_dump(mode="json").items()}
