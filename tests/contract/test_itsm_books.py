"""The ticket book door: one suite over every book.

A book that is added registers an opener in BOOKS; the suite is the specification in `bcce.itsm.book`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from bcce.itsm import NoteKind, Ticket, TicketBook, TicketDraft, TicketNote, TicketRef, TicketState, UnknownTicket
from bcce.itsm.books.embedded import EmbeddedTicketBook
from bcce.kit.clock import Clock
from bcce.kit.findings import Severity
from bcce.kit.ids import DEFAULT_TENANT, Ids, IncidentId, TenantId, TicketId
from bcce.plugins import Services
from bcce.storage.doors import Database, open_database
from bcce.storage.metadata import metadata
from bcce.testing.clock import FrozenClock
from bcce.workflows.tables import runs

Opener = Callable[[AsyncExitStack, str, FrozenClock, Ids], Awaitable[TicketBook]]

DRAFT = TicketDraft(
    tenant_id=DEFAULT_TENANT,
    title="Checkout is down",
    description="It does not answer.",
    severity=Severity.HIGH,
    incident_id=IncidentId("inc_1"),
)


async def open_embedded(stack: AsyncExitStack, url: str, clock: FrozenClock, ids: Ids) -> TicketBook:
    """The embedded book, built as a plugin is."""
    db = await stack.enter_async_context(open_database(url, clock=clock, ids=ids, fence_table=runs))
    await db.migrate(metadata.create_all)
    services = Services()
    services.add(Database, db)  # type: ignore[type-abstract]  # a Protocol is the key
    services.add(Clock, clock)  # type: ignore[type-abstract]  # as above
    return EmbeddedTicketBook.build(services)


BOOKS: dict[str, Opener] = {"embedded": open_embedded}


@pytest.fixture(params=sorted(BOOKS))
async def book(request: pytest.FixtureRequest, database_url: str, frozen_clock: FrozenClock, ids: Ids) -> AsyncIterator[TicketBook]:
    """Each book in turn, on each database in turn."""
    async with AsyncExitStack() as stack:
        yield await BOOKS[request.param](stack, database_url, frozen_clock, ids)


def unknown(ref: TicketRef) -> TicketRef:
    """A reference to nothing."""
    return replace(ref, id=TicketId("tkt_00000000000000000000000000"))


async def test_an_opened_ticket_says_what_its_draft_said(book: TicketBook, frozen_clock: FrozenClock) -> None:
    ref = await book.open("run/ticket", DRAFT)

    assert (ref.book, ref.tenant_id) == (book.name, DEFAULT_TENANT)
    assert await book.get(ref) == Ticket(
        ref=ref,
        title=DRAFT.title,
        description=DRAFT.description,
        severity=DRAFT.severity,
        incident_id=DRAFT.incident_id,
        state=TicketState.OPEN,
        resolution=None,
        opened_at=frozen_clock.now(),
        closed_at=None,
        notes=(),
    )


async def test_a_ticket_needs_no_incident(book: TicketBook) -> None:
    assert (await book.get(await book.open("key", replace(DRAFT, incident_id=None)))).incident_id is None


async def test_the_same_key_opens_one_ticket_and_the_first_draft_counts(book: TicketBook, frozen_clock: FrozenClock) -> None:
    first = await book.open("key", DRAFT)
    before = await book.get(first)
    frozen_clock.advance(60)
    second = await book.open("key", replace(DRAFT, title="Something else"))

    assert second == first
    assert await book.get(second) == before


async def test_the_same_key_at_the_same_time_opens_one_ticket(book: TicketBook) -> None:
    refs = await asyncio.gather(*(book.open("key", replace(DRAFT, title=f"try {number}")) for number in range(20)))

    assert set(refs) == {refs[0]}
    assert (await book.get(refs[0])).title.startswith("try ")


async def test_different_keys_open_different_tickets(book: TicketBook) -> None:
    refs = await asyncio.gather(*(book.open(f"key {number}", DRAFT) for number in range(10)))

    assert len(set(refs)) == 10


async def test_keys_that_differ_in_case_or_trailing_space_only_are_different(book: TicketBook) -> None:
    refs = [await book.open(key, DRAFT) for key in ("key", "KEY", "key ")]

    assert len(set(refs)) == 3


async def test_opening_again_after_closing_gives_the_closed_ticket(book: TicketBook) -> None:
    ref = await book.open("key", DRAFT)
    await book.close("close", ref, "done")

    assert (await book.get(await book.open("key", DRAFT))).state is TicketState.CLOSED


async def test_tenants_have_keys_and_tickets_of_their_own(book: TicketBook) -> None:
    mine = await book.open("key", DRAFT)
    theirs = await book.open("key", replace(DRAFT, tenant_id=TenantId("other")))

    assert mine.id != theirs.id
    with pytest.raises(UnknownTicket):
        await book.get(replace(mine, tenant_id=TenantId("other")))
    with pytest.raises(UnknownTicket):
        await book.comment("note", replace(mine, tenant_id=TenantId("other")), "hello")
    with pytest.raises(UnknownTicket):
        await book.close("note", replace(mine, tenant_id=TenantId("other")), "done")
    assert (await book.get(mine)).notes == ()


async def test_comments_are_kept_in_the_order_of_their_writing(book: TicketBook, frozen_clock: FrozenClock) -> None:
    ref = await book.open("key", DRAFT)
    texts = ["zebra", "apple", "mango"]
    for text in texts:
        await book.comment(f"key of {text}", ref, text)

    notes = (await book.get(ref)).notes
    assert notes == tuple(TicketNote(key=f"key of {text}", kind=NoteKind.COMMENT, text=text, at=frozen_clock.now()) for text in texts)


async def test_the_same_key_writes_one_comment_and_the_first_text_counts(book: TicketBook) -> None:
    ref = await book.open("key", DRAFT)
    await book.comment("note", ref, "first")
    await book.comment("note", ref, "second")

    assert [note.text for note in (await book.get(ref)).notes] == ["first"]


async def test_the_same_key_at_the_same_time_writes_one_comment(book: TicketBook) -> None:
    ref = await book.open("key", DRAFT)
    await asyncio.gather(*(book.comment("note", ref, "same") for _ in range(20)))

    assert [note.text for note in (await book.get(ref)).notes] == ["same"]


async def test_comments_at_the_same_time_are_all_kept(book: TicketBook) -> None:
    ref = await book.open("key", DRAFT)
    await asyncio.gather(*(book.comment(f"note {number}", ref, str(number)) for number in range(20)))

    assert sorted(int(note.text) for note in (await book.get(ref)).notes) == list(range(20))


async def test_two_tickets_may_have_a_comment_of_the_same_key(book: TicketBook) -> None:
    refs = [await book.open(key, DRAFT) for key in ("one", "two")]
    for ref in refs:
        await book.comment("note", ref, ref.id)

    assert [[note.text for note in (await book.get(ref)).notes] for ref in refs] == [[ref.id] for ref in refs]


async def test_closing_says_how_and_when(book: TicketBook, frozen_clock: FrozenClock) -> None:
    ref = await book.open("key", DRAFT)
    opened_at = frozen_clock.now()
    frozen_clock.advance(90)
    await book.close("close", ref, "restarted, verified")

    ticket = await book.get(ref)
    assert (ticket.state, ticket.resolution, ticket.opened_at, ticket.closed_at) == (
        TicketState.CLOSED,
        "restarted, verified",
        opened_at,
        frozen_clock.now(),
    )
    assert [(note.kind, note.text) for note in ticket.notes] == [(NoteKind.RESOLUTION, "restarted, verified")]


async def test_a_closed_ticket_keeps_its_first_resolution_whatever_the_key(book: TicketBook, frozen_clock: FrozenClock) -> None:
    ref = await book.open("key", DRAFT)
    await book.close("close", ref, "first")
    before = await book.get(ref)
    frozen_clock.advance(60)
    await book.close("close", ref, "second")
    await book.close("other", ref, "third")

    assert await book.get(ref) == before


async def test_closing_at_the_same_time_closes_once(book: TicketBook) -> None:
    ref = await book.open("key", DRAFT)
    await asyncio.gather(*(book.close(f"close {number % 3}", ref, f"try {number}") for number in range(12)))

    ticket = await book.get(ref)
    assert [note.text for note in ticket.notes] == [ticket.resolution]


async def test_a_closed_ticket_takes_comments(book: TicketBook) -> None:
    ref = await book.open("key", DRAFT)
    await book.close("close", ref, "done")
    await book.comment("note", ref, "afterwards")

    ticket = await book.get(ref)
    assert (ticket.state, [note.text for note in ticket.notes]) == (TicketState.CLOSED, ["done", "afterwards"])


async def test_what_is_not_there_is_an_unknown_ticket(book: TicketBook) -> None:
    nothing = unknown(await book.open("key", DRAFT))

    with pytest.raises(UnknownTicket):
        await book.get(nothing)
    with pytest.raises(UnknownTicket):
        await book.comment("note", nothing, "hello")
    with pytest.raises(UnknownTicket):
        await book.close("close", nothing, "done")


async def test_hostile_text_is_kept_clean_and_short(book: TicketBook) -> None:
    ref = await book.open("key", replace(DRAFT, title="\u202eT\x00itle\x1b[31m" + "é" * 300, description="d\x00" * 50_000))
    await book.comment("note", ref, "a\x00b 😀\r\nc")

    ticket = await book.get(ref)
    assert ticket.title.startswith("Title[31mé")
    assert (len(ticket.title), len(ticket.description), ticket.notes[0].text) == (255, 20_000, "ab 😀\nc")
