"""Who may do what with tickets; what a book does is in tests/contract/test_itsm_books.py."""

from dataclasses import replace

import pytest

from bcce.itsm import ItsmService, ItsmSettings, Ticket, TicketDraft, TicketRef
from bcce.kit.errors import Forbidden
from bcce.kit.findings import Severity
from bcce.kit.ids import DEFAULT_TENANT, TenantId, TicketId
from bcce.security.actor import Actor, role_actor, source_actor, system_actor
from bcce.security.authz import Role

DRAFT = TicketDraft(tenant_id=DEFAULT_TENANT, title="t", description="d", severity=Severity.LOW)
REF = TicketRef(book="fake", tenant_id=DEFAULT_TENANT, id=TicketId("tkt_1"))
RESPONDER = role_actor(Role.RESPONDER, id="user:r", name="r", kind="user")
VIEWER = role_actor(Role.VIEWER, id="user:v", name="v", kind="user")
TEXT = "text"


class FakeBook:
    """A book that only notes what it is asked."""

    name = "fake"

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    async def open(self, key: str, draft: TicketDraft) -> TicketRef:
        """Notes the call."""
        self.calls.append(("open", key, draft))
        return REF

    async def comment(self, key: str, ref: TicketRef, text: str) -> None:
        """Notes the call."""
        self.calls.append(("comment", key, ref, text))

    async def close(self, key: str, ref: TicketRef, resolution: str) -> None:
        """Notes the call."""
        self.calls.append(("close", key, ref, resolution))

    async def get(self, ref: TicketRef) -> Ticket:
        """Not used by the service."""
        raise AssertionError


@pytest.fixture
def book() -> FakeBook:
    """A fresh book."""
    return FakeBook()


@pytest.fixture
def service(book: FakeBook) -> ItsmService:
    """A service that writes into the fake; without a database, since writing needs none."""
    return ItsmService(db=None, book=book)  # type: ignore[arg-type]  # nothing here may read


@pytest.mark.parametrize("actor", [RESPONDER, system_actor("pipeline")])
async def test_tickets_are_written_through_the_book(service: ItsmService, book: FakeBook, actor: Actor) -> None:
    assert await service.open(actor, "a", DRAFT) == REF
    await service.comment(actor, "b", REF, TEXT)
    await service.close(actor, "c", REF, TEXT)

    assert book.calls == [("open", "a", DRAFT), ("comment", "b", REF, TEXT), ("close", "c", REF, TEXT)]


@pytest.mark.parametrize("actor", [VIEWER, source_actor("alertmanager", "prod"), replace(RESPONDER, tenant_id=TenantId("other"))])
async def test_without_the_right_or_from_another_tenant_nothing_is_written(service: ItsmService, book: FakeBook, actor: Actor) -> None:
    for call in (service.open(actor, "a", DRAFT), service.comment(actor, "b", REF, TEXT), service.close(actor, "c", REF, TEXT)):
        with pytest.raises(Forbidden):
            await call
    assert book.calls == []


async def test_reading_needs_the_right_to_read(service: ItsmService) -> None:
    source = source_actor("alertmanager", "prod")
    for call in (service.list(source), service.get(source, REF.id)):
        with pytest.raises(Forbidden):
            await call


def test_tickets_go_into_the_embedded_book_unless_told_otherwise() -> None:
    assert ItsmSettings().model_dump() == {"book": "embedded"}
