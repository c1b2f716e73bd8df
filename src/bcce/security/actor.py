"""Who acts: the first argument of everything that a service does."""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from bcce.kit.ids import DEFAULT_TENANT, TenantId
from bcce.security.authz import ROLE_PERMISSIONS, SOURCE_PERMISSIONS, SYSTEM_PERMISSIONS, Permission, Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Somebody or something that acts.

    `id` is stable and typed (`token:tok_…`, `user:…`, `source:alertmanager/prod`, `system:pipeline`); `name` is for people. A source is
    bound to its `provider` and `source`; both are None for everybody else. `owner` is whose token it is, None where nobody has said.
    """

    id: str
    name: str
    tenant_id: TenantId
    kind: Literal["user", "token", "source", "system", "plugin"]
    permissions: frozenset[Permission]
    provider: str | None = None
    source: str | None = None
    owner: str | None = None

    @property
    def person(self) -> str | None:
        """The person behind it, the same for all their tokens; None for what is no person: a source, a plugin, the program itself.

        A token without an owner counts as a person of its own.
        """
        if self.kind not in ("user", "token"):
            return None
        return self.id if self.owner is None else f"user:{unicodedata.normalize('NFKC', self.owner).strip().casefold()}"


@lru_cache(maxsize=256)
def system_actor(name: str, tenant_id: TenantId = DEFAULT_TENANT) -> Actor:
    """The program itself, as its part called `name`; it may do everything but agree to a script or hand out tokens."""
    return Actor(id=f"system:{name}", name=name, tenant_id=tenant_id, kind="system", permissions=SYSTEM_PERMISSIONS)


def role_actor(
    role: Role,
    *,
    id: str,
    name: str,
    tenant_id: TenantId = DEFAULT_TENANT,
    kind: Literal["user", "token"] = "token",
    owner: str | None = None,
) -> Actor:
    """Somebody with a role."""
    return Actor(id=id, name=name, tenant_id=tenant_id, kind=kind, permissions=ROLE_PERMISSIONS[role], owner=owner)


def source_actor(provider: str, source: str, *, tenant_id: TenantId = DEFAULT_TENANT) -> Actor:
    """A webhook source; it may send its own alerts and nothing else."""
    return Actor(
        id=f"source:{provider}/{source}",
        name=f"{provider}/{source}",
        tenant_id=tenant_id,
        kind="source",
        permissions=SOURCE_PERMISSIONS,
        provider=provider,
        source=source,
    )
