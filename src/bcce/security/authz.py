"""What each role may do, and the one check that every service method begins with. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from bcce.kit.errors import Forbidden

if TYPE_CHECKING:
    from bcce.security.actor import Actor


class Permission(StrEnum):
    """One thing that somebody may be allowed to do."""

    ALERTS_READ = "alerts:read"
    ALERTS_SEND = "alerts:send"
    INCIDENTS_READ = "incidents:read"
    INCIDENTS_WRITE = "incidents:write"
    APPROVALS_READ = "approvals:read"
    APPROVALS_REQUEST = "approvals:request"
    APPROVALS_DECIDE = "approvals:decide"
    WORKFLOWS_READ = "workflows:read"
    WORKFLOWS_RUN = "workflows:run"
    KNOWLEDGE_READ = "knowledge:read"
    KNOWLEDGE_WRITE = "knowledge:write"
    TICKETS_READ = "tickets:read"
    TICKETS_WRITE = "tickets:write"
    SCRIPTS_CHECK = "scripts:check"
    SCRIPTS_DISPATCH = "scripts:dispatch"
    DISPATCHES_SETTLE = "dispatches:settle"
    AUDIT_READ = "audit:read"
    CONFIG_READ = "config:read"
    TOKENS_MANAGE = "tokens:manage"
    METRICS_READ = "metrics:read"


class Role(StrEnum):
    """A bundle of permissions; each role includes those before it."""

    VIEWER = "viewer"
    RESPONDER = "responder"
    APPROVER = "approver"
    ADMIN = "admin"


_VIEWER = frozenset(
    {
        Permission.ALERTS_READ,
        Permission.INCIDENTS_READ,
        Permission.APPROVALS_READ,
        Permission.WORKFLOWS_READ,
        Permission.KNOWLEDGE_READ,
        Permission.TICKETS_READ,
        Permission.SCRIPTS_CHECK,
        Permission.METRICS_READ,
    }
)
_RESPONDER = _VIEWER | {Permission.ALERTS_SEND, Permission.INCIDENTS_WRITE, Permission.WORKFLOWS_RUN, Permission.TICKETS_WRITE}
_APPROVER = _RESPONDER | {Permission.APPROVALS_DECIDE, Permission.DISPATCHES_SETTLE}
_ADMIN = _APPROVER | {Permission.KNOWLEDGE_WRITE, Permission.AUDIT_READ, Permission.CONFIG_READ, Permission.TOKENS_MANAGE}

#: What each role may do. No role may dispatch a script: only the gate does, as the system.
ROLE_PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.RESPONDER: _RESPONDER,
    Role.APPROVER: _APPROVER,
    Role.ADMIN: _ADMIN,
}

#: What the program does on its own behalf. It never agrees to anything, and never says what it cannot know.
SYSTEM_PERMISSIONS: frozenset[Permission] = frozenset(Permission) - {
    Permission.APPROVALS_DECIDE,
    Permission.DISPATCHES_SETTLE,
    Permission.TOKENS_MANAGE,
}

#: What a webhook source may do: send, and nothing else.
SOURCE_PERMISSIONS: frozenset[Permission] = frozenset({Permission.ALERTS_SEND})


def require(actor: "Actor", permission: Permission) -> None:
    """Does nothing if `actor` has `permission`.

    Raises:
        Forbidden: names the actor and what is missing.
    """
    if permission not in actor.permissions:
        raise Forbidden(
            f"{actor.name} may not do this: it needs {permission}",
            hint="ask an administrator for a token with a role that has it",
            details={"permission": str(permission), "actor": actor.id},
        )
