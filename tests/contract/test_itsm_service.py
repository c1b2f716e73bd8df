"""What people are shown of the embedded book, over every database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from bcce.itsm import ItsmService, TicketDraft, TicketState, UnknownTicket
from bcce.itsm.books.embedded import EmbeddedTicketBook
from bcce.kit.findings import Severity
from bcce.kit.ids import DEFAULT_TENANT, Ids, TenantId, TicketId
from bcce.security.actor import role_actor
from bcce.security.authz import Role
from bcce.storage.doors import open_database
from bcce.storage.metadata import metadata
from bcce.testing.clock import FrozenClock
from bcce.workflows.tables import runs

DRAFT = TicketDraft(tenant_id=DEFAULT_TENANT, title="t", description="d", severity=Severity.LOW)
ACTOR = role_actor(Role.RESPONDER, id="user:r", name="r", kind="user")
STRANGER = replace(ACTOR, tenant_id=TenantId("other"))


@dataclass(kw_only=True)
class World:
    """A service over a fresh database."""

    clock: FrozenClock
    service: ItsmService


@pytest.fixture
async def world(database_url: str, frozen_clock: FrozenClock, ids: Ids) -> AsyncIterator[World]:
    """A fresh world on each database in turn."""
    async with open_database(database_url, clock=frozen_clock, ids=ids, fence_table=runs) as db:
        await db.migrate(metadata.create_all)
        yield World(clock=frozen_clock, service=ItsmService(db=db, book=EmbeddedTicketBook(db, frozen_clock)))


async def test_a_ticket_is_shown_with_its_notes(world: World) -> None:
    ref = await world.service.open(ACTOR, "key", DRAFT)
    await world.service.comment(ACTOR, "one", ref, "first")
    await world.service.close(ACTOR, "two", ref, "done")

    ticket = await world.service.get(ACTOR, ref.id)
    assert (ticket.ref, ticket.state, [note.text for note in ticket.notes]) == (ref, TicketState.CLOSED, ["first", "done"])


async def test_tickets_are_listed_newest_first_page_by_page(world: World) -> None:
    opened = []
    for number in range(5):
        opened.append((world.clock.now(), (await world.service.open(ACTOR, f"key {number}", DRAFT)).id))
        world.clock.advance(number % 2)  # some are opened at the same moment
    newest_first = [ticket_id for _, ticket_id in sorted(opened, reverse=True)]

    assert [ticket.ref.id for ticket in await world.service.list(ACTOR)] == newest_first
    first = await world.service.list(ACTOR, limit=2)
    second = await world.service.list(ACTOR, limit=2, before=first[-1].ref.id)
    third = await world.service.list(ACTOR, limit=2, before=second[-1].ref.id)
    assert [ticket.ref.id for ticket in (*first, *second, *third)] == newest_first


async def test_tickets_are_listed_by_state(world: World) -> None:
    refs = [await world.service.open(ACTOR, key, DRAFT) for key in ("one", "two")]
    await world.service.close(ACTOR, "close", refs[0], "done")

    assert [ticket.ref.id for ticket in await world.service.list(ACTOR, state=TicketState.OPEN)] == [refs[1].id]
    assert [ticket.ref.id for ticket in await world.service.list(ACTOR, state=TicketState.CLOSED)] == [refs[0].id]


async def test_another_tenants_tickets_are_not_shown(world: World) -> None:
    ref = await world.service.open(ACTOR, "key", DRAFT)

    assert await world.service.list(STRANGER) == ()
    with pytest.raises(UnknownTicket):
        await world.service.get(STRANGER, ref.id)


async def test_what_is_not_there_is_unknown(world: World) -> None:
    with pytest.raises(UnknownTicket):
        await world.service.get(ACTOR, TicketId("tkt_00000000000000000000000000"))
