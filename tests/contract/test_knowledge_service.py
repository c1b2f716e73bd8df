"""The knowledge base over every database: versions by digest, folders with bad files, and the SOP that fits an alert."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, Executable, insert, select, update

from bcce.kit.errors import Forbidden, InvalidDocument
from bcce.kit.ids import DEFAULT_TENANT, Ids, TenantId
from bcce.kit.text import digest
from bcce.knowledge import InvalidSop, KnowledgeService, PutResult, SearchIndex, UnknownDocument
from bcce.knowledge.tables import documents
from bcce.security.actor import role_actor, source_actor
from bcce.security.audit import AuditLog
from bcce.security.audit.tables import audit
from bcce.security.authz import Role
from bcce.storage.doors import Database, open_database
from bcce.storage.errors import Duplicate
from bcce.storage.metadata import metadata
from bcce.testing.clock import FrozenClock
from bcce.workflows.tables import runs

ADMIN = role_actor(Role.ADMIN, id="user:ada", name="ada", kind="user")
VIEWER = role_actor(Role.VIEWER, id="user:victor", name="victor", kind="user")
STRANGER = replace(ADMIN, tenant_id=TenantId("other"))
SOURCE = source_actor("alertmanager", "prod")


def sop(title: str = "Restart checkout", alerts: str = "CheckoutDown", text: str = "It empties the pool.", script: str = "true") -> str:
    """An SOP's text."""
    return f"---\ntitle: {title}\nalerts: [{alerts}]\ntarget: local\n---\n{text}\n\n```bash script\n{script}\n```\n"


@dataclass(frozen=True, kw_only=True)
class FakeAlert:
    """The part of an alert that an SOP is found by."""

    name: str = "CheckoutDown"
    labels: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""
    description: str = ""


@dataclass(kw_only=True)
class World:
    """A service over a fresh database."""

    db: Database
    clock: FrozenClock
    log: AuditLog
    service: KnowledgeService
    folder: Path

    async def put(self, text: str, origin: str = "api") -> PutResult:
        """Stores an SOP as the administrator."""
        return await self.service.put(ADMIN, text, origin)

    async def found(self, **alert: object) -> tuple[str, str] | None:
        """Which SOP fits, and how it was found."""
        match = await self.service.find_sop(VIEWER, FakeAlert(**alert))  # type: ignore[arg-type]  # the test's own keywords
        return (match.slug, match.how) if match else None

    async def audited(self) -> list[tuple[str, str, str, str]]:
        """The audit records: actor, action, subject, digest."""
        rows = await self.db.read(lambda conn: conn.execute(select(audit).order_by(audit.c.at, audit.c.id)).all())
        return [(row.actor, row.action, row.subject, row.body["digest"]) for row in rows]

    async def execute(self, statement: Executable) -> None:
        """Changes rows by hand, as no code of ours would."""

        def write(conn: Connection) -> None:
            conn.execute(statement)

        await self.db.write(write)

    def write(self, name: str, content: str | bytes) -> str:
        """Writes a file into the folder; returns its path."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)


class Unlucky:
    """A database whose first write finds a key taken."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.writes = 0

    async def write(self, fn: Callable[[Connection], PutResult]) -> PutResult:
        """Fails once, then works."""
        self.writes += 1
        if self.writes == 1:
            raise Duplicate
        return await self._db.write(fn)


@asynccontextmanager
async def opened(url: str, clock: FrozenClock, ids: Ids, home: Path) -> AsyncIterator[World]:
    """A fresh world in the database at `url`; its other files are below `home`."""
    async with open_database(url, clock=clock, ids=ids, fence_table=runs) as db:
        await db.migrate(metadata.create_all)
        index = SearchIndex(home / "knowledge-index.sqlite")
        folder = home / "sops"
        await asyncio.to_thread(folder.mkdir)
        log = AuditLog(b"k" * 32, clock, ids)
        yield World(db=db, clock=clock, log=log, service=KnowledgeService(db=db, clock=clock, audit=log, index=index), folder=folder)
        await index.close()


@pytest.fixture
async def world(database_url: str, frozen_clock: FrozenClock, ids: Ids, tmp_path: Path) -> AsyncIterator[World]:
    """A fresh world on each database in turn: for what a database could do differently."""
    async with opened(database_url, frozen_clock, ids, tmp_path) as world:
        yield world


@pytest.fixture
async def local(sqlite_url: str, frozen_clock: FrozenClock, ids: Ids, tmp_path: Path) -> AsyncIterator[World]:
    """A fresh world on the embedded database: for rules that no database has a part in."""
    async with opened(sqlite_url, frozen_clock, ids, tmp_path) as world:
        yield world


# -- put, get, list, history


async def test_a_stored_sop_is_there_word_for_word(world: World) -> None:
    text = sop(text="Größe: 😀")
    result = await world.put(text, "/etc/sops/Restart Checkout.md")

    document = await world.service.get(VIEWER, result.info.id)
    assert result.change == "added"
    assert (document.text, document.info) == (text, result.info)
    assert (document.sop.title, document.sop.script) == ("Restart checkout", "true\n")
    assert (result.info.tenant_id, result.info.kind, result.info.slug, result.info.title, result.info.digest) == (
        DEFAULT_TENANT,
        "sop",
        "restart-checkout",
        "Restart checkout",
        digest(text.encode()),
    )
    assert (result.info.version, result.info.origin, result.info.updated_at) == (1, "/etc/sops/Restart Checkout.md", world.clock.now())
    assert await world.service.get(VIEWER, "restart-checkout") == document


async def test_the_same_text_again_changes_nothing(world: World) -> None:
    first = await world.put(sop())
    world.clock.advance(60)
    second = await world.put(sop().replace("\n", "\r\n"), "elsewhere")

    assert (second.change, second.info) == ("unchanged", first.info)
    assert len(await world.service.history(VIEWER, first.info.id)) == 1
    assert len(await world.audited()) == 1


async def test_another_text_is_a_new_version_and_the_old_one_is_kept(world: World) -> None:
    first = await world.put(sop(), "a.md")
    world.clock.advance(60)
    second = await world.put(sop(title="Restart it now", script="false"), "b/a.md")
    world.clock.advance(60)
    third = await world.put(sop(), "a.md")

    assert [result.change for result in (first, second, third)] == ["added", "changed", "changed"]
    assert len({result.info.id for result in (first, second, third)}) == 1
    assert (third.info.version, third.info.digest) == (3, first.info.digest)
    history = await world.service.history(VIEWER, "a")
    assert [(item.version, item.digest, item.origin, item.actor) for item in history] == [
        (3, first.info.digest, "a.md", "user:ada"),
        (2, second.info.digest, "b/a.md", "user:ada"),
        (1, first.info.digest, "a.md", "user:ada"),
    ]
    assert [item.text for item in history] == [sop(), sop(title="Restart it now", script="false"), sop()]
    assert [item.created_at for item in history] == [result.info.updated_at for result in (third, second, first)]


async def test_each_change_is_audited(local: World) -> None:
    first = await local.put(sop(), "a.md")
    local.clock.advance(1)
    second = await local.put(sop(script="false"), "a.md")

    assert await local.audited() == [("user:ada", "knowledge.changed", result.info.id, result.info.digest) for result in (first, second)]


async def test_two_who_store_the_same_text_at_once_store_it_once(world: World) -> None:
    results = await asyncio.gather(*(world.put(sop(), "a.md") for _ in range(8)))

    assert sorted(result.change for result in results) == ["added"] + ["unchanged"] * 7
    assert [item.version for item in await world.service.history(VIEWER, "a")] == [1]


async def test_texts_that_are_stored_at_once_are_all_versions(world: World) -> None:
    results = await asyncio.gather(*(world.put(sop(script=f"echo {number}"), "a.md") for number in range(8)))

    assert sorted(result.info.version for result in results) == list(range(1, 9))
    history = await world.service.history(VIEWER, "a")
    current = await world.service.get(VIEWER, "a")
    assert ([item.version for item in history], current.text) == (list(range(8, 0, -1)), history[0].text)


async def test_a_first_version_that_collides_with_another_is_stored_all_the_same(local: World) -> None:
    """What PostgreSQL does when two first versions meet at the unique key over the slug; seldom enough to need a stand-in here."""
    unlucky = Unlucky(local.db)
    service = KnowledgeService(db=unlucky, clock=local.clock, audit=local.log, index=SearchIndex(None))  # type: ignore[arg-type]  # only what is used
    result = await service.put(ADMIN, sop(), "a.md")

    assert (unlucky.writes, result.change, result.info.version) == (2, "added", 1)


async def test_a_title_without_a_latin_letter_still_names_a_document(local: World) -> None:
    one, other = [await local.put(sop(title=title)) for title in ("ディスク満杯", "再起動")]

    assert one.info.slug != other.info.slug
    assert one.info.slug.startswith("sop-")


async def test_what_is_no_sop_is_refused_and_not_stored(local: World) -> None:
    with pytest.raises(InvalidSop):
        await local.put(sop(script="echo {{ x }}"))
    assert await local.service.list(VIEWER) == ()


async def test_documents_are_listed_by_name_page_by_page(world: World) -> None:
    for title in ("delta", "alpha", "charlie", "bravo"):
        await world.put(sop(title=title))

    first = await world.service.list(VIEWER, limit=3)
    second = await world.service.list(VIEWER, limit=3, after=first[-1].slug)
    assert [info.slug for info in (*first, *second)] == ["alpha", "bravo", "charlie", "delta"]


async def test_what_is_not_there_is_unknown(local: World) -> None:
    with pytest.raises(UnknownDocument):
        await local.service.get(VIEWER, "nothing")
    assert await local.service.history(VIEWER, "nothing") == ()


async def test_tenants_have_documents_of_their_own(world: World) -> None:
    mine = await world.put(sop(), "a.md")
    theirs = await world.service.put(STRANGER, sop(title="Theirs", alerts="TheirAlert"), "a.md")

    assert mine.info.id != theirs.info.id
    assert [info.title for info in await world.service.list(VIEWER)] == ["Restart checkout"]
    assert [info.title for info in await world.service.list(STRANGER)] == ["Theirs"]
    with pytest.raises(UnknownDocument):
        await world.service.get(VIEWER, theirs.info.id)
    assert await world.service.history(VIEWER, theirs.info.id) == ()
    assert await world.found(name="TheirAlert") is None
    assert await world.service.search(VIEWER, "theirs") == ()


async def test_everything_needs_its_right(local: World) -> None:
    for call in (
        local.service.put(VIEWER, sop(), "a.md"),
        local.service.load_directory(VIEWER, local.folder),
        local.service.list(SOURCE),
        local.service.get(SOURCE, "a"),
        local.service.history(SOURCE, "a"),
        local.service.search(SOURCE, "a"),
        local.service.find_sop(SOURCE, FakeAlert()),
    ):
        with pytest.raises(Forbidden):
            await call


async def test_a_document_stored_under_other_rules_is_refused_when_it_is_read(local: World) -> None:
    result = await local.put(sop(), "a.md")
    await local.execute(update(documents).values(body=sop(script="{{")))

    for call in (local.service.get(VIEWER, result.info.id), local.service.find_sop(VIEWER, FakeAlert())):
        with pytest.raises(InvalidSop, match=r"a\.md:9"):
            await call


# -- folders


async def test_one_bad_file_keeps_no_other_from_being_loaded(local: World) -> None:
    good = [local.write("a.md", sop(title="A", alerts="A")), local.write("z.md", sop(title="Z", alerts="Z"))]
    local.write("README.md", "# About this folder")
    local.write("notes.txt", "no SOP")
    bad = local.write("broken.md", sop().replace("target:", "targt:"))
    latin = local.write("latin.md", sop().encode() + b"\xe9")
    large = local.write("large.md", sop() + "x" * 300_000)
    await asyncio.to_thread((local.folder / "folder.md").mkdir)
    result = await local.service.load_directory(ADMIN, local.folder)

    assert (result.loaded, result.unchanged) == (tuple(good), ())
    assert [(failure.path, failure.error.message) for failure in result.failed] == [
        (bad, f"{bad}:4:1: unknown key 'targt'"),
        (large, f"{large}: an SOP has at most 256 KiB"),
        (latin, f"{latin}: the file is not UTF-8"),
    ]
    assert [info.slug for info in await local.service.list(VIEWER)] == ["a", "z"]


async def test_a_folder_that_is_loaded_again_only_loads_what_changed(local: World) -> None:
    paths = [local.write(f"{name}.md", sop(title=name, alerts=name)) for name in ("a", "b")]
    await local.service.load_directory(ADMIN, local.folder)
    local.write("b.md", sop(title="b", alerts="b", script="false"))
    result = await local.service.load_directory(ADMIN, local.folder)

    assert (result.loaded, result.unchanged, result.failed) == ((paths[1],), (paths[0],), ())


async def test_two_files_with_one_name_are_told_apart(local: World) -> None:
    first = local.write("Disk full.md", sop())
    second = local.write("disk-full.md", sop(title="Other"))
    result = await local.service.load_directory(ADMIN, local.folder)

    assert (result.loaded, [failure.path for failure in result.failed]) == ((first,), [second])
    assert result.failed[0].error.message == f"{second}: the name is the same as that of Disk full.md"


async def test_a_file_that_points_nowhere_is_left_alone(local: World) -> None:
    await asyncio.to_thread((local.folder / "gone.md").symlink_to, local.folder / "nothing.md")
    assert (await local.service.load_directory(ADMIN, local.folder)).failed == ()


async def test_a_folder_that_is_not_there_is_an_error(local: World) -> None:
    with pytest.raises(InvalidDocument, match="the folder cannot be read: No such file"):
        await local.service.load_directory(ADMIN, local.folder / "nothing")


# -- search and find


async def test_any_text_is_a_search(world: World) -> None:
    await world.put(sop(title="Clean a full disk", alerts="DiskFull", text="Logs fill the filesystem."), "disk.md")
    await world.put(sop(text="Nothing about filesystems but this word."), "checkout.md")

    hits = await world.service.search(VIEWER, 'filesystem "OR NEAR( DiskFull')
    assert [(hit.info.slug, hit.matched) for hit in hits] == [("disk", 3), ("checkout", 1)]
    assert await world.service.search(VIEWER, "filesystem", limit=1) == (await world.service.search(VIEWER, "filesystem"))[:1]
    assert await world.service.search(VIEWER, "???") == ()


async def test_the_sop_that_lists_the_alerts_name_fits(world: World) -> None:
    stored = await world.put(sop(alerts="CheckoutDown, PaymentDown"), "a.md")
    match = await world.service.find_sop(VIEWER, FakeAlert(name="payment_down"))

    assert match is not None
    assert (match.document_id, match.slug, match.version, match.digest, match.how, match.score) == (
        stored.info.id,
        "a",
        1,
        stored.info.digest,
        "exact-name",
        1.0,
    )
    assert match.sop.script == "true\n"


async def test_a_listed_name_comes_before_a_title(local: World) -> None:
    await local.put(sop(title="Disk full", alerts="Other"), "title.md")
    await local.put(sop(title="Clean it", alerts="DiskFull"), "listed.md")

    assert await local.found(name="Disk Full") == ("listed", "exact-name")


@pytest.mark.parametrize(("title", "origin"), [("Disk full", "x.md"), ("Clean it", "disk-full.md")])
async def test_a_title_or_file_name_fits_too(local: World, title: str, origin: str) -> None:
    await local.put(sop(title=title, alerts="Other"), origin)
    assert await local.found(name="DISK_FULL") == (origin.removesuffix(".md"), "exact-name")


async def test_a_name_that_was_taken_out_no_longer_fits(world: World) -> None:
    await world.put(sop(alerts="CheckoutDown"), "a.md")
    await world.put(sop(alerts="SomethingElse"), "a.md")

    assert await world.found(name="CheckoutDown") is None
    assert await world.found(name="SomethingElse") == ("a", "exact-name")


async def test_of_two_with_the_same_name_the_clearly_better_text_is_taken(local: World) -> None:
    await local.put(sop(title="Restart web", alerts="ServiceDown", text="For the web tier."), "web.md")
    await local.put(sop(title="Fail over the database", alerts="ServiceDown", text="For postgres replicas."), "database.md")

    assert await local.found(name="ServiceDown", summary="postgres replicas of the database are gone") == ("database", "exact-name")


async def test_of_two_that_fit_equally_well_none_is_taken(local: World) -> None:
    for origin in ("one.md", "two.md"):
        await local.put(sop(title="Same", alerts="ServiceDown"), origin)
    await local.put(sop(title="Third", alerts="Other", text="service down service down"), "third.md")

    assert await local.found(name="ServiceDown", summary="it is down") is None


async def test_an_alert_that_no_name_fits_is_searched_for(local: World) -> None:
    await local.put(sop(title="Clean a full disk", alerts="A", text="Old logs fill the filesystem until writes fail."), "disk.md")
    for number in range(5):
        await local.put(
            sop(title=f"Restart service number {number}", alerts=f"B{number}", text="When requests fail."), f"restart{number}.md"
        )

    assert await local.found(name="NodeVolumeLow", summary="Filesystem almost full", description="Logs on the disk") == ("disk", "search")


@pytest.mark.parametrize(
    "alert",
    [
        {"name": "Watchdog"},
        {"name": "!!!"},
        {"name": "CertificateExpiry", "summary": "The certificate of the service ends soon", "description": "renew it"},
        {"name": "ServiceSlow", "summary": "requests fail"},
    ],
)
async def test_an_alert_that_nothing_clearly_fits_gets_no_sop(local: World, alert: dict[str, str]) -> None:
    await local.put(sop(title="Clean a full disk", alerts="A", text="Old logs fill the filesystem until writes fail."), "disk.md")
    for number in range(5):
        await local.put(
            sop(title=f"Restart service number {number}", alerts=f"B{number}", text="When requests fail."), f"restart{number}.md"
        )

    assert await local.found(**alert) is None


async def test_a_single_document_is_no_answer_to_everything(local: World) -> None:
    await local.put(sop(title="Restart the checkout service", alerts="CheckoutDown", text="When the service is down."), "a.md")
    assert (
        await local.found(name="DatabaseDown", summary="The database server does not accept connections", description="Port closed") is None
    )


async def test_an_empty_knowledge_base_has_no_answer(local: World) -> None:
    assert await local.found() is None


async def test_a_document_written_by_another_process_is_found_at_once(world: World) -> None:
    await world.put(sop(), "a.md")
    assert await world.service.search(VIEWER, "quokka") == ()
    row = {column.name: f"x-{column.name}" for column in documents.c}
    row |= {"tenant_id": DEFAULT_TENANT, "front": {"alerts": ["Quokka"]}, "version": 1, "updated_at": world.clock.now()}
    await world.execute(insert(documents).values(**row))

    assert [hit.info.slug for hit in await world.service.search(VIEWER, "quokka")] == ["x-slug"]
