"""The audit log on every database: whatever is changed behind its back is found."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, select, update

from bcce.kit.errors import Forbidden
from bcce.kit.ids import Ids, TenantId
from bcce.security.actor import role_actor, system_actor
from bcce.security.audit import AuditLog, AuditReport, Checkpoints, take_checkpoint, verify_audit
from bcce.security.audit.log import GENESIS, link
from bcce.security.audit.repository import page
from bcce.security.audit.tables import audit, audit_heads
from bcce.security.authz import Role
from bcce.security.crypto import Ed25519Signer
from bcce.storage.doors import Database, open_database
from bcce.storage.metadata import metadata
from bcce.testing.clock import FrozenClock
from bcce.workflows.tables import runs

ADMIN = role_actor(Role.ADMIN, id="token:tok_admin", name="an administrator")
SYSTEM = system_actor("gate")
COUNT = 6


@dataclass
class Books:
    """An audit log and what it works on."""

    db: Database
    log: AuditLog
    checkpoints: Checkpoints
    clock: FrozenClock
    known: dict[str, int] = field(default_factory=dict)

    async def write(self, count: int, *, tenant: str = "default") -> None:
        """`count` records, chained."""
        actor = system_actor("gate", TenantId(tenant))
        for number in range(count):
            item = self.log.item(actor, "script.dispatched", f"dsp_{number}", {"number": number, "password": "hunter2"})
            await self.db.write(lambda conn, item=item: conn.execute(item[0], item[1]) and None)  # type: ignore[misc]  # mypy cannot infer a lambda's default
        while await self.db.write(self.log.sequence):
            pass

    async def sign(self) -> None:
        """A checkpoint."""
        await take_checkpoint(self.db, self.checkpoints, self.clock.now(), self.known)

    async def report(self) -> AuditReport:
        """What a check finds."""
        return await verify_audit(ADMIN, self.db, self.log, self.checkpoints)


@pytest.fixture
async def books(database_url: str, tmp_path: Path, frozen_clock: FrozenClock, ids: Ids) -> AsyncIterator[Books]:
    """An empty log on each database in turn."""
    signer = Ed25519Signer(b"s" * 32)
    async with open_database(database_url, clock=frozen_clock, ids=ids, fence_table=runs) as db:
        await db.migrate(metadata.create_all)
        checkpoints = Checkpoints(tmp_path / "checkpoints.jsonl", signer, signer.verifier())
        yield Books(db, AuditLog(b"k" * 32, frozen_clock, ids), checkpoints, frozen_clock)


async def test_an_untouched_log_is_whole_and_says_what_it_cannot_see(books: Books) -> None:
    await books.write(COUNT)
    await books.sign()
    await books.write(2)

    report = await books.report()
    assert (report.ok, report.records, report.unchained, report.checkpoints, report.problems) == (True, COUNT + 2, 0, 1, ())
    assert "after number 6" in report.unseen[0]


async def test_a_record_waits_for_the_sequencer_and_is_counted(books: Books) -> None:
    item = books.log.item(SYSTEM, "token.created", "tok_1", {})
    await books.db.write(lambda conn: conn.execute(item[0], item[1]) and None)

    assert ((await books.report()).records, (await books.report()).unchained) == (0, 1)


async def test_secrets_are_masked_before_they_are_written(books: Books) -> None:
    await books.write(1)

    assert "hunter2" not in repr(await books.db.read(lambda conn: conn.execute(select(audit)).all()))


async def test_what_is_written_during_a_check_is_no_problem(books: Books) -> None:
    async def write() -> None:
        for _ in range(30):
            await books.write(2)

    writing = asyncio.create_task(write())
    found: set[str] = set()
    while not writing.done():
        found.update((await books.report()).problems)
    await writing

    assert (found, (await books.report()).ok) == (set(), True)


async def test_each_tenant_has_its_own_chain(books: Books) -> None:
    await books.write(2)
    await books.write(3, tenant="other")
    await books.write(1)

    assert ((await books.report()).ok, (await books.report()).records) == (True, 3)


def change(**values: object) -> Callable[[Connection, int], None]:
    """Writes other values into one record."""

    def write(conn: Connection, seq: int) -> None:
        conn.execute(update(audit).where(audit.c.seq == seq).values(**values))

    return write


def remove(conn: Connection, seq: int) -> None:
    """Takes a record out."""
    conn.execute(delete(audit).where(audit.c.seq == seq))


def swap(conn: Connection, seq: int) -> None:
    """Puts a record and its neighbour in the other order."""
    other = seq + 1 if seq < COUNT else seq - 1
    for old, new in ((seq, 999), (other, seq), (999, other)):
        conn.execute(update(audit).where(audit.c.seq == old).values(seq=new))


TAMPERINGS: dict[str, Callable[[Connection, int], None]] = {
    "another actor": change(actor="user:somebody-else"),
    "another action": change(action="script.refused"),
    "another subject": change(subject="dsp_x"),
    "another body": change(body={"number": 0}),
    "another digest": change(digest="0" * 64),
    "another mac": change(mac="0" * 64),
    "another link": change(chain="0" * 64),
    "another correlation": change(correlation_id="x"),
    "removed": remove,
    "swapped": swap,
}


@pytest.mark.parametrize("seq", [1, 3, COUNT])
@pytest.mark.parametrize("name", sorted(TAMPERINGS))
async def test_every_change_behind_its_back_is_found(books: Books, name: str, seq: int) -> None:
    await books.write(COUNT)
    await books.db.write(lambda conn: TAMPERINGS[name](conn, seq))

    report = await books.report()
    assert not report.ok
    assert report.problems


def forge(conn: Connection, books: Books) -> None:
    """Removes record 3 and renumbers and links the rest anew, as somebody can who may write in the database but has no key."""
    conn.execute(delete(audit).where(audit.c.seq == 3))
    chain = GENESIS
    for seq, record in enumerate(page(conn, "default", 0, 100), 1):
        chain = link(chain, seq, record)
        conn.execute(update(audit).where(audit.c.id == record.id).values(seq=seq, chain=chain))
    conn.execute(update(audit_heads).values(seq=COUNT - 1, chain=chain))


async def test_a_chain_that_was_linked_anew_is_found_by_the_signed_checkpoint(books: Books) -> None:
    await books.write(COUNT)
    await books.sign()
    await books.db.write(lambda conn: forge(conn, books))

    report = await books.report()
    assert not report.ok
    assert any("checkpoint" in problem for problem in report.problems)


async def test_an_end_that_was_cut_off_is_found_by_the_head(books: Books) -> None:
    await books.write(COUNT)
    await books.db.write(lambda conn: remove(conn, COUNT))

    assert f"the log ends at record {COUNT - 1}, but its head says {COUNT}" in (await books.report()).problems


async def test_a_forged_record_is_chained_and_reported(books: Books) -> None:
    await books.write(1)
    item = AuditLog(b"another key" * 3, books.clock, Ids(books.clock)).item(SYSTEM, "script.dispatched", "dsp_9", {})
    await books.db.write(lambda conn: conn.execute(item[0], item[1]) and None)
    await books.db.write(books.log.sequence)

    report = await books.report()
    assert (report.records, report.ok) == (2, False)
    assert "was changed after it was written" in report.problems[0]


async def test_a_checkpoint_is_taken_only_when_something_happened(books: Books) -> None:
    await books.write(1)
    await books.sign()
    await books.sign()
    assert (await books.report()).checkpoints == 1


async def test_many_records_are_read_in_pages(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bcce.security.audit.verify._PAGE", 4)
    monkeypatch.setattr("bcce.security.audit.log._PAGE", 4)
    await books.write(9)

    assert ((await books.report()).ok, (await books.report()).records) == (True, 9)


async def test_only_who_may_read_the_log_checks_it(books: Books) -> None:
    viewer = role_actor(Role.VIEWER, id="token:v", name="a viewer")
    with pytest.raises(Forbidden):
        await verify_audit(viewer, books.db, books.log, books.checkpoints)
