"""The search index: a local SQLite file with an FTS5 table, derived from the documents and safe to delete at any time.

It is never told that a document changed. Each search brings the digests of the documents as they are now, and whatever differs is
indexed anew first; so the index cannot be stale, whoever wrote the documents and wherever. A file that is broken, of another layout or
gone is built again. It knows nothing about SOPs: titles and texts in, ids and scores out.
"""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from bcce.kit.ids import DocumentId, TenantId
from bcce.knowledge.errors import IndexUnavailable
from bcce.knowledge.names import match_expression

T = TypeVar("T")
log = structlog.get_logger(__name__)

#: The layout below; a file with any other number is dropped and built again.
_LAYOUT = 1
_PAGE = 200
_TITLE_WEIGHT = 4.0
_TEXT_WEIGHT = 1.0

#: The rollback journal instead of WAL: a WAL file that outlives its deleted database would be replayed into the new one.
_SCHEMA = f"""
PRAGMA journal_mode = DELETE;
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS entries (
  number INTEGER PRIMARY KEY, tenant TEXT NOT NULL, document TEXT NOT NULL, digest TEXT NOT NULL, UNIQUE (tenant, document)
);
CREATE VIRTUAL TABLE IF NOT EXISTS texts USING fts5 (title, body, tokenize = 'porter unicode61 remove_diacritics 2');
PRAGMA user_version = {_LAYOUT};
COMMIT;
"""

#: bm25() is below zero, the better the lower. Ties are broken by id, so the same search gives the same answer.
_SEARCH = """
SELECT entries.document, -bm25(texts, ?, ?) AS score, entries.number
FROM texts JOIN entries ON entries.number = texts.rowid
WHERE texts MATCH ? AND entries.tenant = ? AND (? IS NULL OR entries.document IN (SELECT value FROM json_each(?)))
ORDER BY score DESC, entries.document LIMIT ?
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexEntry:
    """What is indexed of one document; `digest` changes whenever anything of it does."""

    document_id: DocumentId
    digest: str
    title: str
    body: str


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexHit:
    """A document that holds `matched` of the words searched for; `score` is above 0, the higher the better."""

    document_id: DocumentId
    score: float
    matched: int


class SearchIndex:
    """Searches one tenant's documents at a time.

    Ranking statistics (how rare a word is) are those of all tenants in the file; no tenant ever sees another's documents.

    Args:
        path: the file; its folder is made if need be. None keeps the index in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._conn: sqlite3.Connection | None = None
        # One thread owns the connection, so the event loop never waits for the disk and SQLite never sees two threads.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="knowledge-index")
        self._lock = asyncio.Lock()

    async def search(
        self,
        tenant_id: TenantId,
        terms: tuple[str, ...],
        *,
        current: Mapping[DocumentId, str],
        load: Callable[[Sequence[DocumentId]], Awaitable[Sequence[IndexEntry]]],
        limit: int,
        among: Collection[DocumentId] | None = None,
    ) -> list[IndexHit]:
        """The best documents for any of `terms`, best first; only those `among` the given ones, if any are given.

        Args:
            current: every document of the tenant, by id, with its digest.
            load: fetches the documents that the index does not have in that form; called with at most 200 ids.

        Raises:
            IndexUnavailable: the file can neither be used nor built again; may be repeated.
        """
        if not terms:
            return []

        async def once() -> list[IndexHit]:
            await self._sync(tenant_id, current, load)
            return await self._call(lambda: self._query(tenant_id, terms, limit, among))

        async with self._lock:
            try:
                return await once()
            except (sqlite3.Error, OSError) as error:
                log.warning("knowledge.index_rebuilt", path=str(self._path), reason=str(error))
            try:
                await self._call(self._drop)
                return await once()
            except (sqlite3.Error, OSError) as error:
                raise IndexUnavailable(
                    f"the search index cannot be used: {error}",
                    hint="check the folder's rights and the free space",
                    details={"path": str(self._path)},
                ) from error

    async def close(self) -> None:
        """Closes the file; the index cannot be used afterwards."""
        await self._call(self._close)
        self._thread.shutdown(wait=True)

    async def _sync(
        self,
        tenant_id: TenantId,
        current: Mapping[DocumentId, str],
        load: Callable[[Sequence[DocumentId]], Awaitable[Sequence[IndexEntry]]],
    ) -> None:
        missing = await self._call(lambda: self._forget_old(tenant_id, current))
        for start in range(0, len(missing), _PAGE):
            entries = await load(missing[start : start + _PAGE])
            await self._call(partial(self._add, tenant_id, entries))

    async def _call(self, fn: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, fn)

    # What follows runs in the index's own thread.

    def _open(self) -> sqlite3.Connection:
        if self._conn is None:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._path.touch(mode=0o600)
            conn = sqlite3.connect(":memory:" if self._path is None else self._path, timeout=10, isolation_level=None)
            try:
                layout = conn.execute("PRAGMA user_version").fetchone()[0]
                if layout not in (0, _LAYOUT):
                    raise sqlite3.DatabaseError(f"layout {layout} instead of {_LAYOUT}")
                if layout == 0:
                    conn.executescript(_SCHEMA)
            except sqlite3.Error:
                conn.close()
                raise
            self._conn = conn
        return self._conn

    def _close(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def _drop(self) -> None:
        self._close()
        if self._path is not None:
            for path in (self._path, self._path.with_name(f"{self._path.name}-journal")):
                path.unlink(missing_ok=True)

    def _forget_old(self, tenant_id: TenantId, current: Mapping[DocumentId, str]) -> list[DocumentId]:
        """Removes what is not `current`; returns the ids of what is missing then."""
        conn = self._open()
        indexed = {
            row[0]: (row[1], row[2]) for row in conn.execute("SELECT document, digest, number FROM entries WHERE tenant = ?", (tenant_id,))
        }
        old = [(number,) for document, (digest, number) in indexed.items() if current.get(document) != digest]
        if old:
            with _transaction(conn):
                conn.executemany("DELETE FROM texts WHERE rowid = ?", old)
                conn.executemany("DELETE FROM entries WHERE number = ?", old)
        return [document for document, digest in current.items() if indexed.get(document, ("",))[0] != digest]

    def _add(self, tenant_id: TenantId, entries: Sequence[IndexEntry]) -> None:
        conn = self._open()
        with _transaction(conn):
            for entry in entries:
                added = conn.execute(
                    "INSERT INTO entries (tenant, document, digest) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING number",
                    (tenant_id, entry.document_id, entry.digest),
                ).fetchone()
                if added is not None:
                    conn.execute("INSERT INTO texts (rowid, title, body) VALUES (?, ?, ?)", (added[0], entry.title, entry.body))

    def _query(self, tenant_id: TenantId, terms: tuple[str, ...], limit: int, among: Collection[DocumentId] | None) -> list[IndexHit]:
        conn = self._open()
        wanted = None if among is None else json.dumps(sorted(among))
        rows = conn.execute(_SEARCH, (_TITLE_WEIGHT, _TEXT_WEIGHT, match_expression(terms), tenant_id, wanted, wanted, limit)).fetchall()
        return [IndexHit(document_id=row[0], score=row[1], matched=self._count_matched(conn, row[2], terms)) for row in rows]

    def _count_matched(self, conn: sqlite3.Connection, number: int, terms: tuple[str, ...]) -> int:
        query = "SELECT 1 FROM texts WHERE texts MATCH ? AND rowid = ?"
        return sum(conn.execute(query, (match_expression((term,)), number)).fetchone() is not None for term in terms)


@contextmanager
def _transaction(conn: sqlite3.Connection) -> Iterator[None]:
    """All or nothing. BEGIN IMMEDIATE: another process that shares the file is waited for instead of failing in the middle."""
    conn.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        raise
    conn.execute("COMMIT")
