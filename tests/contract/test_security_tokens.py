"""Tokens on every database."""

import hashlib
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bcce.kit.errors import Forbidden, InvalidInput, Unauthenticated
from bcce.kit.ids import Ids, TenantId
from bcce.security.actor import role_actor
from bcce.security.audit import AuditLog
from bcce.security.audit.tables import audit
from bcce.security.authz import Role
from bcce.security.errors import LastAdminToken, UnknownToken
from bcce.security.tokens import TokenService
from bcce.security.tokens.service import CACHE_S
from bcce.security.tokens.tables import tokens
from bcce.storage.doors import Database, open_database
from bcce.storage.metadata import metadata
from bcce.testing.clock import FrozenClock
from bcce.workflows.tables import runs

ADMIN = role_actor(Role.ADMIN, id="token:tok_admin", name="an administrator")
ELSEWHERE = role_actor(Role.ADMIN, id="token:tok_else", name="another tenant's administrator", tenant_id=TenantId("other"))


@dataclass
class Office:
    """A token service and what it works on."""

    db: Database
    clock: FrozenClock
    ids: Ids
    service: TokenService

    def another_process(self) -> TokenService:
        """A second service on the same database."""
        return TokenService(self.db, self.clock, self.ids, AuditLog(b"k" * 32, self.clock, self.ids))

    async def audited(self) -> list[tuple[str, str]]:
        """Actions and subjects, oldest first."""
        return await self.db.read(lambda conn: [(row.action, row.subject) for row in conn.execute(select(audit).order_by(audit.c.id))])


@pytest.fixture
async def office(database_url: str, frozen_clock: FrozenClock, ids: Ids) -> AsyncIterator[Office]:
    """An empty token service on each database in turn."""
    async with open_database(database_url, clock=frozen_clock, ids=ids, fence_table=runs) as db:
        await db.migrate(metadata.create_all)
        yield Office(db, frozen_clock, ids, TokenService(db, frozen_clock, ids, AuditLog(b"k" * 32, frozen_clock, ids)))


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\rb", "a\x1b[2Jb", "a\x00", "a\u202eb", "a\u200b"])
async def test_a_name_that_would_break_a_list_is_refused(office: Office, name: str) -> None:
    with pytest.raises(InvalidInput, match="one line without control characters"):
        await office.service.create(ADMIN, name=name, role=Role.VIEWER)
    with pytest.raises(InvalidInput, match="one line without control characters"):
        await office.service.create_source(ADMIN, provider="alertmanager", source=name)
    assert await office.service.list(ADMIN) == []


async def test_a_token_is_its_holder(office: Office) -> None:
    issued = await office.service.create(ADMIN, name=" night shift ", role=Role.APPROVER)

    actor = await office.service.authenticate(issued.secret.reveal())
    assert actor == role_actor(Role.APPROVER, id=f"token:{issued.token.id}", name="night shift")


@pytest.mark.parametrize("owner", ["", "  ", "a\nb", "a\u200b", "x" * 121])
async def test_an_owner_that_names_nobody_is_refused(office: Office, owner: str) -> None:
    with pytest.raises(InvalidInput, match="owner"):
        await office.service.create(ADMIN, name="x", role=Role.APPROVER, owner=owner)


async def test_a_token_knows_whose_it_is(office: Office) -> None:
    issued = [await office.service.create(ADMIN, name="x", role=Role.APPROVER, owner=owner) for owner in (" Ann ", "ANN", "Bob", None)]
    people = [(await office.service.authenticate(each.secret.reveal())).person for each in issued]
    source = await office.service.create_source(ADMIN, provider="alertmanager", source="prod")

    assert [each.token.owner for each in issued] == ["Ann", "ANN", "Bob", None]
    assert people == ["user:ann", "user:ann", "user:bob", f"token:{issued[3].token.id}"]
    assert (await office.service.authenticate(source.secret.reveal())).person is None


async def test_a_source_token_is_its_source(office: Office) -> None:
    issued = await office.service.create_source(ADMIN, provider="alertmanager", source="prod")

    actor = await office.service.authenticate(issued.secret.reveal())
    assert (actor.kind, actor.provider, actor.source, actor.id) == ("source", "alertmanager", "prod", "source:alertmanager/prod")


async def test_the_text_of_a_token_is_stored_nowhere(office: Office) -> None:
    text = (await office.service.create(ADMIN, name="n", role=Role.VIEWER)).secret.reveal()

    stored = await office.db.read(lambda conn: [*conn.execute(select(tokens)), *conn.execute(select(audit))])
    assert text not in repr(stored)
    assert hashlib.sha256(text.encode()).hexdigest() in repr(stored)


@pytest.mark.parametrize("text", ["", "x", "bcce_pat_unknown", "\udcff", "a" * 100_000])
async def test_what_is_no_token_opens_nothing(office: Office, text: str) -> None:
    await office.service.create(ADMIN, name="n", role=Role.VIEWER)

    with pytest.raises(Unauthenticated, match="the token is not valid"):
        await office.service.authenticate(text)


async def test_an_expired_token_opens_nothing_also_when_it_was_just_used(office: Office) -> None:
    end = office.clock.now() + timedelta(seconds=2)
    text = (await office.service.create(ADMIN, name="n", role=Role.VIEWER, expires_at=end)).secret.reveal()
    await office.service.authenticate(text)
    office.clock.advance(2)

    with pytest.raises(Unauthenticated):
        await office.service.authenticate(text)


async def test_a_revoked_token_opens_nothing_here_at_once_and_elsewhere_within_seconds(office: Office) -> None:
    issued, other = await office.service.create(ADMIN, name="n", role=Role.VIEWER), office.another_process()
    text = issued.secret.reveal()
    await office.service.authenticate(text)
    await other.authenticate(text)

    first = await office.service.revoke(ADMIN, issued.token.id)
    with pytest.raises(Unauthenticated):
        await office.service.authenticate(text)
    office.clock.advance(CACHE_S + 0.1)
    with pytest.raises(Unauthenticated):
        await other.authenticate(text)
    again = await office.service.revoke(ADMIN, issued.token.id)
    assert again.revoked_at == first.revoked_at


async def test_use_is_remembered_once_a_minute(office: Office) -> None:
    text = (await office.service.create(ADMIN, name="n", role=Role.VIEWER)).secret.reveal()

    async def used() -> object:
        return (await office.service.list(ADMIN))[0].last_used_at

    assert await used() is None
    began = office.clock.now()
    await office.service.authenticate(text)
    office.clock.advance(30)
    await office.service.authenticate(text)
    assert await used() == began
    office.clock.advance(60)
    await office.service.authenticate(text)
    assert await used() == office.clock.now()


async def test_each_tenant_sees_and_revokes_its_own(office: Office) -> None:
    mine = await office.service.create(ADMIN, name="mine", role=Role.VIEWER)
    await office.service.create(ELSEWHERE, name="theirs", role=Role.VIEWER)

    assert [token.name for token in await office.service.list(ADMIN)] == ["mine"]
    with pytest.raises(UnknownToken):
        await office.service.revoke(ELSEWHERE, mine.token.id)


async def test_the_last_administrator_is_not_revoked_by_mistake(office: Office) -> None:
    soon = office.clock.now() + timedelta(hours=1)
    last = await office.service.create(ADMIN, name="last", role=Role.ADMIN)
    await office.service.create(ADMIN, name="temporary", role=Role.ADMIN, expires_at=soon)
    office.clock.advance(7200)

    with pytest.raises(LastAdminToken):
        await office.service.revoke(ADMIN, last.token.id)
    another = await office.service.create(ADMIN, name="another", role=Role.ADMIN)
    await office.service.revoke(ADMIN, last.token.id)
    await office.service.revoke(ADMIN, another.token.id, force=True)
    assert [event for event in await office.audited() if event[0] == "token.revoked"] == [
        ("token.revoked", last.token.id),
        ("token.revoked", another.token.id),
    ]


async def test_nobody_below_an_administrator_touches_tokens(office: Office) -> None:
    approver = role_actor(Role.APPROVER, id="token:a", name="an approver")

    for attempt in (
        office.service.create(approver, name="n", role=Role.VIEWER),
        office.service.create_source(approver, provider="p", source="s"),
        office.service.list(approver),
        office.service.revoke(approver, "tok_1"),
    ):
        with pytest.raises(Forbidden):
            await attempt
    assert await office.audited() == []


@pytest.mark.parametrize("name", ["", "  ", "n" * 121])
async def test_a_bad_name_makes_no_token(office: Office, name: str) -> None:
    with pytest.raises(InvalidInput):
        await office.service.create(ADMIN, name=name, role=Role.VIEWER)
    assert await office.service.list(ADMIN) == []


async def test_a_token_that_has_expired_already_is_not_made(office: Office) -> None:
    with pytest.raises(InvalidInput, match="expired"):
        await office.service.create(ADMIN, name="n", role=Role.VIEWER, expires_at=office.clock.now())


async def test_the_first_start_leaves_one_working_token_that_only_its_owner_reads(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"

    assert await office.service.ensure_admin(path)
    actor = await office.service.authenticate(path.read_text().strip())
    assert not await office.service.ensure_admin(path)
    assert actor.permissions == ADMIN.permissions
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.with_suffix(".part").exists()


async def test_a_start_that_crashed_after_the_file_is_made_good(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    path.write_text("bcce_pat_of-a-start-that-crashed\n")

    assert await office.service.ensure_admin(path)
    assert (await office.service.authenticate(path.read_text().strip())).name == "first administrator"
