"""Handing out, checking and taking back tokens."""

import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from bcce.kit.clock import Clock
from bcce.kit.errors import Forbidden, InvalidInput, Unauthenticated
from bcce.kit.ids import DEFAULT_TENANT, Ids, TenantId, TokenId
from bcce.kit.redact import Secret
from bcce.kit.text import has_hidden
from bcce.security.actor import Actor, role_actor, source_actor, system_actor
from bcce.security.audit import AuditLog
from bcce.security.authz import ROLE_PERMISSIONS, Permission, Role, require
from bcce.security.errors import LastAdminToken, UnknownToken
from bcce.security.tokens import repository
from bcce.storage.doors import Database
from bcce.storage.doors import run as run_items

#: How long another process may go on accepting a token after it was revoked.
CACHE_S = 5.0
_TOUCH_EVERY = timedelta(minutes=1)
_MAX_CACHED = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenInfo:
    """What is known of a token; never the token.

    A source token has `provider` and `source`, any other a `role`, and the `owner` whose it is; None where nobody has said.
    """

    id: TokenId
    kind: str
    name: str
    role: str | None
    owner: str | None
    provider: str | None
    source: str | None
    prefix: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuedToken:
    """A new token; the only moment at which its text is known."""

    token: TokenInfo
    secret: Secret


class TokenService:
    """Tokens of people (`bcce_pat_…`) and of webhook sources (`bcce_src_…`)."""

    def __init__(self, db: Database, clock: Clock, ids: Ids, audit: AuditLog) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self._audit = audit
        self._cache: dict[str, tuple[float, Mapping[str, Any]]] = {}

    async def create(
        self, actor: Actor, *, name: str, role: Role, owner: str | None = None, expires_at: datetime | None = None
    ) -> IssuedToken:
        """A token that acts with `role`.

        Args:
            owner: the person whose token it is, written in the same way in all of theirs, upper and lower case aside; None: not known.
                Whoever has asked for a script with one of their tokens cannot agree to it with another.

        Raises:
            Forbidden: the role may do more than the actor.
            InvalidInput: no name, one that cannot be shown on one line, or an end that is over.
        """
        require(actor, Permission.TOKENS_MANAGE)
        if not ROLE_PERMISSIONS[role] <= actor.permissions:
            raise Forbidden("a token cannot be given more than its creator may do")
        binding = {"role": str(role)} if owner is None else {"role": str(role), "owner": _checked_owner(owner)}
        return await self._issue(actor, "pat", name, binding, expires_at)

    async def create_source(self, actor: Actor, *, provider: str, source: str, expires_at: datetime | None = None) -> IssuedToken:
        """A token with which one webhook source may send its alerts.

        Raises:
            InvalidInput: names that cannot be shown on one line, or an end that is over.
        """
        require(actor, Permission.TOKENS_MANAGE)
        return await self._issue(actor, "src", f"{provider}/{source}", {"provider": provider, "source": source}, expires_at)

    async def authenticate(self, text: str) -> Actor:
        """Who holds this token.

        Raises:
            Unauthenticated: unknown, expired or revoked; which of them is not told.
        """
        hashed = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        known = self._cache.get(hashed)
        if known is None or known[0] < self._clock.monotonic():
            row = await self._db.read(lambda conn: repository.by_hash(conn, hashed))
            if row is None:
                raise Unauthenticated("the token is not valid", hint="`bcce token create` makes one")
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            known = (self._clock.monotonic() + CACHE_S, dict(row))
            self._cache[hashed] = known
            await self._touch(known[1])
        token = known[1]
        now = self._clock.now()
        if token["revoked_at"] is not None or (token["expires_at"] is not None and token["expires_at"] <= now):
            raise Unauthenticated("the token is not valid", hint="`bcce token create` makes one")
        tenant_id = TenantId(token["tenant_id"])
        if token["kind"] == "src":
            return source_actor(token["provider"], token["source"], tenant_id=tenant_id)
        return role_actor(Role(token["role"]), id=f"token:{token['id']}", name=token["name"], tenant_id=tenant_id, owner=token["owner"])

    async def list(self, actor: Actor) -> list[TokenInfo]:
        """Every token of the actor's tenant, newest first."""
        require(actor, Permission.TOKENS_MANAGE)
        return [_info(dict(row)) for row in await self._db.read(lambda conn: repository.all_of(conn, actor.tenant_id))]

    async def revoke(self, actor: Actor, token_id: str, *, force: bool = False) -> TokenInfo:
        """Ends a token's life: at once here, within seconds in other processes.

        Raises:
            UnknownToken: there is none.
            LastAdminToken: nobody could administer any more, and `force` is false.
        """
        require(actor, Permission.TOKENS_MANAGE)
        now = self._clock.now()

        def write(conn: Connection) -> TokenInfo:
            row = repository.by_id(conn, actor.tenant_id, token_id)
            if row is None:
                raise UnknownToken(f"there is no token {token_id}", hint="`bcce token list` shows which there are")
            if (
                not force
                and row["role"] == Role.ADMIN
                and row["revoked_at"] is None
                and repository.count_admins(conn, actor.tenant_id, now) <= 1
            ):
                raise LastAdminToken(hint="make another administrator token first, or use --force")
            repository.revoke(conn, token_id, now)
            run_items(conn, [self._audit.item(actor, "token.revoked", token_id, {"name": row["name"]})])
            return _info({**row, "revoked_at": row["revoked_at"] or now})

        info = await self._db.write(write)
        self._cache.clear()
        return info

    async def ensure_admin(self, path: Path, tenant_id: TenantId = DEFAULT_TENANT) -> bool:
        """Makes the first administrator token and writes it to `path` (0600), unless there is one; True when it did.

        An old file of a lost database is replaced.
        """
        now = self._clock.now()
        if await self._db.read(lambda conn: repository.count_admins(conn, tenant_id, now)):
            return False
        await self._write_admin(path, "first administrator", system_actor("first-start", tenant_id))
        return True

    async def recover_admin(self, path: Path, tenant_id: TenantId = DEFAULT_TENANT) -> TokenInfo:
        """Makes another administrator token and writes it to `path` (0600), for when the first one was lost.

        For whoever has the files of the installation, which hold its keys and its database: there is nothing left to ask them for. Other
        tokens stay as they are.
        """
        return await self._write_admin(path, "recovered administrator", system_actor("token-recovery", tenant_id))

    async def _write_admin(self, path: Path, name: str, actor: Actor) -> TokenInfo:
        # The file comes first: a crash in between leaves a file with a token that does not work yet, and the next start replaces it.
        text = f"bcce_pat_{secrets.token_urlsafe(32)}"
        part = path.with_suffix(".part")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        return await self._store(actor, text, "pat", name, {"role": str(Role.ADMIN)}, None)

    async def _issue(self, actor: Actor, kind: str, name: str, binding: Mapping[str, str], expires_at: datetime | None) -> IssuedToken:
        if not name.strip() or len(name) > 120 or any(len(binding.get(part, "")) > 64 for part in ("provider", "source")):
            raise InvalidInput("a token needs a name of at most 120 characters, a source one of at most 64")
        if has_hidden(name) or any(char in name for char in "\t\r\n"):
            raise InvalidInput("a token's name is one line without control characters or invisible ones")
        if expires_at is not None and expires_at <= self._clock.now():
            raise InvalidInput("the token would have expired already")
        text = f"bcce_{kind}_{secrets.token_urlsafe(32)}"
        return IssuedToken(token=await self._store(actor, text, kind, name.strip(), binding, expires_at), secret=Secret(text))

    async def _store(
        self, actor: Actor, text: str, kind: str, name: str, binding: Mapping[str, str], expires_at: datetime | None
    ) -> TokenInfo:
        values: dict[str, Any] = {
            "id": self._ids.new("tok"),
            "tenant_id": actor.tenant_id,
            "kind": kind,
            "name": name,
            "role": None,
            "owner": None,
            "provider": None,
            "source": None,
            **binding,
            "prefix": text[:12],
            "hash": hashlib.sha256(text.encode()).hexdigest(),
            "created_at": self._clock.now(),
            "created_by": actor.id,
            "expires_at": expires_at,
            "revoked_at": None,
            "last_used_at": None,
        }
        audited = self._audit.item(actor, "token.created", values["id"], {"kind": kind, "name": name, **binding})

        def write(conn: Connection) -> None:
            repository.add(conn, values)
            run_items(conn, [audited])

        await self._db.write(write)
        return _info(values)

    async def _touch(self, row: Mapping[str, Any]) -> None:
        now = self._clock.now()
        if row["last_used_at"] is None or now - row["last_used_at"] >= _TOUCH_EVERY:
            await self._db.write(lambda conn: repository.touch(conn, row["id"], now))


def _checked_owner(owner: str) -> str:
    if not owner.strip() or len(owner) > 120 or has_hidden(owner) or any(char in owner for char in "\t\r\n"):
        raise InvalidInput("a token's owner is one line of at most 120 characters, without control characters or invisible ones")
    return owner.strip()


def _info(row: Mapping[str, Any]) -> TokenInfo:
    return TokenInfo(**{name: row[name] for name in TokenInfo.__slots__})
