"""The search index is derived: never stale, safe to lose, and no text breaks it."""

import sqlite3
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bcce.kit.ids import DEFAULT_TENANT, DocumentId, TenantId
from bcce.knowledge.errors import IndexUnavailable
from bcce.knowledge.index import IndexEntry, IndexHit, SearchIndex
from bcce.knowledge.names import alert_terms, search_terms

OTHER_TENANT = TenantId("other")


class Library:
    """Documents as the database would have them; counts what the index fetches."""

    def __init__(self) -> None:
        self.entries: dict[DocumentId, IndexEntry] = {}
        self.loaded: list[DocumentId] = []

    def put(self, name: str, title: str, body: str = "") -> None:
        """Adds a document, or replaces it."""
        document_id = DocumentId(f"doc_{name}")
        self.entries[document_id] = IndexEntry(document_id=document_id, digest=f"{title}/{body}", title=title, body=body)

    async def search(
        self, index: SearchIndex, text: str, *, tenant: TenantId = DEFAULT_TENANT, limit: int = 10, among: Sequence[str] | None = None
    ) -> list[str]:
        """The names of the documents that the index finds."""
        hits = await self.hits(index, text, tenant=tenant, limit=limit, among=among)
        return [hit.document_id.removeprefix("doc_") for hit in hits]

    async def hits(
        self, index: SearchIndex, text: str, *, tenant: TenantId = DEFAULT_TENANT, limit: int = 10, among: Sequence[str] | None = None
    ) -> list[IndexHit]:
        """What the index finds."""

        async def load(ids: Sequence[DocumentId]) -> list[IndexEntry]:
            assert len(ids) <= 200
            self.loaded += ids
            return [self.entries[document_id] for document_id in ids if document_id in self.entries]

        current = {document_id: entry.digest for document_id, entry in self.entries.items()}
        wanted = None if among is None else [DocumentId(f"doc_{name}") for name in among]
        return await index.search(tenant, search_terms(text), current=current, load=load, limit=limit, among=wanted)


class File:
    """The index's file, looked at from outside."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        """Whether it is there."""
        return self.path.exists()

    def mode(self) -> int:
        """Who may read and write it."""
        return stat.S_IMODE(self.path.stat().st_mode)

    def delete(self) -> None:
        """Removes it."""
        self.path.unlink()

    def write(self, content: bytes) -> None:
        """Makes it hold something."""
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_bytes(content)

    def execute(self, *statements: str) -> list[tuple[int]]:
        """What the last statement returns."""
        self.path.parent.mkdir(exist_ok=True)
        with closing(sqlite3.connect(self.path)) as conn:
            rows = [conn.execute(statement).fetchall() for statement in statements]
            conn.commit()
        return rows[-1]


@pytest.fixture
def file(tmp_path: Path) -> File:
    """Where the index is; the folder is not there yet."""
    return File(tmp_path / "home" / "knowledge-index.sqlite")


@pytest.fixture
async def index(file: File) -> AsyncIterator[SearchIndex]:
    """An index that has not been built."""
    index = SearchIndex(file.path)
    yield index
    await index.close()


@pytest.fixture
def library() -> Library:
    """Three documents."""
    library = Library()
    library.put("disk", "Clean a full disk", "Remove old logs when the filesystem fills up.")
    library.put("restart", "Restart the checkout service", "When it does not answer.")
    library.put("certificate", "Renew a certificate", "Certificates expire; the disk is not involved.")
    return library


async def test_nothing_is_built_before_the_first_search(index: SearchIndex, file: File, library: Library) -> None:
    assert not file.exists()
    assert await library.search(index, "certificate") == ["certificate"]
    assert file.mode() == 0o600


async def test_a_search_without_words_finds_nothing_and_builds_nothing(index: SearchIndex, file: File, library: Library) -> None:
    assert await library.search(index, "the 42 !") == []
    assert not file.exists()


async def test_words_are_found_in_any_form_and_without_accents(index: SearchIndex, library: Library) -> None:
    assert await library.search(index, "certificates renewal") == ["certificate"]
    assert await library.search(index, "céRTificate") == ["certificate"]


async def test_the_title_weighs_more_than_the_text(index: SearchIndex, library: Library) -> None:
    assert await library.search(index, "disk") == ["disk", "certificate"]


async def test_a_hit_counts_the_words_that_it_holds(index: SearchIndex, library: Library) -> None:
    (hit,) = await library.hits(index, "restarting checkout services now please")
    assert (hit.document_id, hit.matched) == ("doc_restart", 3)
    assert hit.score > 0


async def test_equal_documents_are_ordered_by_id(index: SearchIndex) -> None:
    library = Library()
    for name in ("b", "c", "a"):
        library.put(name, "the same title")
    assert await library.search(index, "same title") == ["a", "b", "c"]


async def test_a_limit_keeps_the_best(index: SearchIndex, library: Library) -> None:
    assert await library.search(index, "disk", limit=1) == ["disk"]


async def test_a_search_can_be_among_given_documents(index: SearchIndex, library: Library) -> None:
    assert await library.search(index, "disk", among=["certificate", "restart"]) == ["certificate"]
    assert await library.search(index, "disk", among=[]) == []


async def test_only_what_changed_is_fetched(index: SearchIndex, library: Library) -> None:
    await library.search(index, "disk")
    library.loaded.clear()
    library.put("disk", "Clean a full volume")
    library.put("new", "Something new")
    del library.entries[DocumentId("doc_certificate")]

    assert await library.search(index, "disk") == []
    assert await library.search(index, "volume") == ["disk"]
    assert await library.search(index, "new certificate") == ["new"]
    assert sorted(library.loaded) == ["doc_disk", "doc_new"]


async def test_another_process_finds_the_index_built(index: SearchIndex, file: File, library: Library) -> None:
    await library.search(index, "disk")
    library.loaded.clear()
    other = SearchIndex(file.path)

    assert await library.search(other, "disk") == ["disk", "certificate"]
    assert library.loaded == []
    await other.close()


async def test_many_documents_are_fetched_in_pages(index: SearchIndex) -> None:
    library = Library()
    for number in range(450):
        library.put(f"{number:03}", f"Document about topic{number:03}x")
    assert await library.search(index, "topic321x") == ["321"]
    assert len(library.loaded) == 450


async def test_a_document_that_vanished_meanwhile_is_left_out(index: SearchIndex, library: Library) -> None:
    async def load(ids: Sequence[DocumentId]) -> list[IndexEntry]:
        return []

    assert await index.search(DEFAULT_TENANT, ("disk",), current={DocumentId("doc_gone"): "x"}, load=load, limit=5) == []


async def test_tenants_see_only_their_own_documents(index: SearchIndex, library: Library) -> None:
    theirs = Library()
    theirs.put("disk", "Disk of somebody else")

    assert await library.search(index, "disk") == ["disk", "certificate"]
    assert await theirs.search(index, "disk", tenant=OTHER_TENANT) == ["disk"]
    assert await theirs.search(index, "certificate", tenant=OTHER_TENANT) == []
    assert await library.search(index, "somebody") == []


async def test_an_index_that_is_deleted_is_built_again(index: SearchIndex, file: File, library: Library) -> None:
    await library.search(index, "disk")
    file.delete()
    library.put("new", "A new disk")

    assert sorted(await library.search(index, "disk")) == ["certificate", "disk", "new"]
    assert file.exists()


@pytest.mark.parametrize(
    "content", [b"", b"this is no database, but it is long enough to be looked at" * 20, b"SQLite format 3\x00" + b"\xff" * 4000]
)
async def test_a_broken_index_is_built_again(index: SearchIndex, file: File, library: Library, content: bytes) -> None:
    file.write(content)

    assert await library.search(index, "disk") == ["disk", "certificate"]


async def test_an_index_that_breaks_while_it_is_open_is_built_again(index: SearchIndex, file: File, library: Library) -> None:
    await library.search(index, "disk")
    file.execute("DROP TABLE texts")
    assert await library.search(index, "disk") == ["disk", "certificate"]


async def test_an_index_of_another_layout_is_built_again(index: SearchIndex, file: File, library: Library) -> None:
    file.execute("CREATE TABLE entries (something)", "PRAGMA user_version = 77")
    assert await library.search(index, "disk") == ["disk", "certificate"]


async def test_an_index_that_can_nowhere_be_written_is_unavailable(tmp_path: Path, library: Library) -> None:
    File(tmp_path / "file").write(b"no folder")
    index = SearchIndex(tmp_path / "file" / "index.sqlite")
    with pytest.raises(IndexUnavailable) as caught:
        await library.search(index, "disk")

    assert (caught.value.code, caught.value.retryable) == ("knowledge-index-unavailable", True)
    await index.close()


async def test_what_fails_while_documents_are_fetched_reaches_the_caller(index: SearchIndex) -> None:
    async def load(ids: Sequence[DocumentId]) -> list[IndexEntry]:
        raise LookupError("the database is gone")

    with pytest.raises(LookupError):
        await index.search(DEFAULT_TENANT, ("disk",), current={DocumentId("doc_a"): "x"}, load=load, limit=5)


async def test_documents_that_cannot_be_indexed_together_are_not_indexed_in_part(index: SearchIndex, file: File, library: Library) -> None:
    await library.search(index, "disk")
    library.put("good", "A good one")
    library.put("half", "Half a character \ud800")
    with pytest.raises(UnicodeEncodeError):
        await library.search(index, "good")

    assert file.execute("SELECT count(*) FROM entries") == file.execute("SELECT count(*) FROM texts") == [(3,)]
    del library.entries[DocumentId("doc_half")]
    assert await library.search(index, "good") == ["good"]


async def test_an_index_may_live_in_memory(library: Library) -> None:
    index = SearchIndex(None)
    assert await library.search(index, "disk") == ["disk", "certificate"]
    await index.close()


hostile = st.one_of(
    st.text(max_size=200),
    st.text("\"'*^():-+{}[]\\/ ANDORNOTNEARtitle.body", max_size=80),
    st.sampled_from(
        [
            '"',
            '""',
            'a" OR "b',
            "NEAR(a b, 2)",
            "title: x",
            "a*",
            "^a",
            "-a",
            "a AND",
            "NOT",
            "{title body}: a",
            "\x00",
            "a\x00b",
            "'; DROP TABLE x",
        ]
    ),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(hostile, hostile, hostile)
async def test_no_text_breaks_the_search(library: Library, name: str, summary: str, description: str) -> None:
    index = SearchIndex(None)
    try:
        terms = alert_terms(name, summary, description, {"alertname": name, "instance": summary})

        async def load(ids: Sequence[DocumentId]) -> list[IndexEntry]:
            return [library.entries[document_id] for document_id in ids]

        current = {document_id: entry.digest for document_id, entry in library.entries.items()}
        hits = await index.search(DEFAULT_TENANT, terms, current=current, load=load, limit=5)
        assert {hit.document_id for hit in hits} <= set(library.entries)
        assert all(1 <= hit.matched <= len(terms) for hit in hits)
    finally:
        await index.close()
