"""Use cases of the knowledge base: keep SOPs, and find the one that fits an alert."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog
from sqlalchemy import Connection

from bcce.kit.clock import Clock
from bcce.kit.errors import InvalidDocument
from bcce.kit.ids import DocumentId, TenantId, derived_id
from bcce.kit.text import clean, digest
from bcce.knowledge import repository
from bcce.knowledge.errors import InvalidSop, UnknownDocument
from bcce.knowledge.index import IndexEntry, IndexHit, SearchIndex
from bcce.knowledge.markdown import MAX_SOP_BYTES, normalize_text, read_sop
from bcce.knowledge.matching import clear_leader, confident_hit
from bcce.knowledge.model import (
    Document,
    DocumentInfo,
    DocumentVersion,
    LoadFailure,
    LoadResult,
    MatchedBy,
    NameKind,
    PutResult,
    SearchableAlert,
    SearchHit,
    SopMatch,
)
from bcce.knowledge.names import alert_terms, normalize_name, search_terms, slug_of, split_words
from bcce.knowledge.sop import Sop
from bcce.security.actor import Actor
from bcce.security.audit import AuditLog
from bcce.security.authz import Permission, require
from bcce.storage.doors import Database, run
from bcce.storage.errors import Duplicate

log = structlog.get_logger(__name__)

_KIND = "sop"
#: Files that explain a folder to people; they are no SOPs.
_NOT_SOPS = frozenset({"readme.md"})
_MAX_ORIGIN_CHARS = 255


class KnowledgeService:
    """What others may ask of the knowledge base. Documents live in the database; `index` only helps to search them."""

    def __init__(self, *, db: Database, clock: Clock, audit: AuditLog, index: SearchIndex) -> None:
        self._db = db
        self._clock = clock
        self._audit = audit
        self._index = index

    async def put(self, actor: Actor, text: str, origin: str) -> PutResult:
        """Stores an SOP; durable when it returns. The same text again changes nothing.

        Args:
            text: Markdown with front matter.
            origin: where it came from. A path ending in .md gives the document its name, any other origin leaves that to the title; a
                document of that name gets a new version.

        Raises:
            InvalidSop: the text is no usable SOP; says where.
        """
        require(actor, Permission.KNOWLEDGE_WRITE)
        text = normalize_text(text)
        sop = read_sop(text, origin)
        slug = _slug(sop, origin)
        document_id = DocumentId(derived_id("doc", actor.tenant_id, _KIND, slug))
        values = {
            "id": document_id,
            "tenant_id": actor.tenant_id,
            "kind": _KIND,
            "slug": slug,
            "title": sop.title,
            "digest": digest(text.encode()),
            "body": text,
            "front": sop.model_dump(mode="json", by_alias=True, exclude={"script", "undo", "body"}),
            "origin": clean(origin, limit=_MAX_ORIGIN_CHARS),
            "updated_at": self._clock.now(),
        }
        names = _names(sop, slug)
        changed = self._audit.item(
            actor, "knowledge.changed", document_id, {"slug": slug, "digest": values["digest"], "origin": values["origin"]}
        )

        def write(conn: Connection) -> PutResult:
            change = repository.put(conn, values, names, actor.id)
            if change != "unchanged":
                run(conn, [changed])
            return PutResult(info=repository.get_info(conn, document_id), change=change)

        try:
            return await self._db.write(write)
        except Duplicate:
            # Of two first versions at once PostgreSQL may notice the second one at the key over the slug, which the insertion does not
            # name as the one to look at. The row is there by now, so this time there is nothing to insert.
            return await self._db.write(write)

    async def load_directory(self, actor: Actor, path: Path) -> LoadResult:
        """Stores every SOP (*.md, but no README.md) of a folder, without its subfolders.

        A file that cannot be used is reported and keeps no other from being loaded.

        Raises:
            InvalidDocument: the folder cannot be read.
        """
        require(actor, Permission.KNOWLEDGE_WRITE)
        loaded: list[str] = []
        unchanged: list[str] = []
        failed: list[LoadFailure] = []
        slugs: dict[str, str] = {}
        for file in await asyncio.to_thread(_markdown_files, path):
            name = str(file)
            try:
                text = await asyncio.to_thread(_read, file)
                before = slugs.setdefault(slug_of(file.stem) or name, name)
                if before != name:
                    raise InvalidSop(f"the name is the same as that of {Path(before).name}", path=name, hint="rename one of the two files")
                result = await self.put(actor, text, name)
            except InvalidDocument as error:
                log.warning("knowledge.file_refused", path=name, reason=error.message)
                failed.append(LoadFailure(path=name, error=error))
            else:
                (unchanged if result.change == "unchanged" else loaded).append(name)
        return LoadResult(loaded=tuple(loaded), unchanged=tuple(unchanged), failed=tuple(failed))

    async def list(self, actor: Actor, *, after: str | None = None, limit: int = 50) -> tuple[DocumentInfo, ...]:
        """The documents by slug; `after` is the slug of the last one of the page before."""
        require(actor, Permission.KNOWLEDGE_READ)
        return tuple(await self._db.read(lambda conn: repository.list_infos(conn, actor.tenant_id, after=after, limit=limit)))

    async def get(self, actor: Actor, reference: str) -> Document:
        """The document with this id or slug.

        Raises:
            UnknownDocument: there is none in the actor's tenant.
            InvalidSop: it was stored by a release with other rules and cannot be used as it is.
        """
        require(actor, Permission.KNOWLEDGE_READ)
        stored = await self._db.read(lambda conn: repository.get(conn, actor.tenant_id, reference))
        if stored is None:
            raise UnknownDocument(f"there is no document {reference[:100]!r}", hint="list the documents to see which there are")
        return Document(info=stored.info, text=stored.text, sop=read_sop(stored.text, stored.info.origin))

    async def history(self, actor: Actor, reference: str) -> tuple[DocumentVersion, ...]:
        """Every text that the document with this id or slug had, newest first; empty when there is no such document."""
        require(actor, Permission.KNOWLEDGE_READ)

        def read(conn: Connection) -> tuple[DocumentVersion, ...]:
            stored = repository.get(conn, actor.tenant_id, reference)
            return tuple(repository.versions(conn, actor.tenant_id, stored.info.id)) if stored else ()

        return await self._db.read(read)

    async def search(self, actor: Actor, text: str, *, limit: int = 10) -> tuple[SearchHit, ...]:
        """The documents that fit `text` best, best first; any text is a search, none is a syntax error.

        Raises:
            IndexUnavailable: the search index cannot be used.
        """
        require(actor, Permission.KNOWLEDGE_READ)
        hits = await self._search(actor.tenant_id, search_terms(split_words(text)), limit=limit)
        found = await self._db.read(lambda conn: repository.get_many(conn, actor.tenant_id, [hit.document_id for hit in hits]))
        infos = {stored.info.id: stored.info for stored in found}
        return tuple(
            SearchHit(info=infos[hit.document_id], score=hit.score, matched=hit.matched) for hit in hits if hit.document_id in infos
        )

    async def find_sop(self, actor: Actor, alert: SearchableAlert) -> SopMatch | None:
        """The SOP that fits the alert; None when none does or two fit equally well: a person decides then.

        An SOP that lists the alert's name comes first, then one with that title or file name, then a search that must have a clear answer.

        Raises:
            InvalidSop: the SOP that fits was stored by a release with other rules.
            IndexUnavailable: the search index cannot be used; an unambiguous name does not need it.
        """
        require(actor, Permission.KNOWLEDGE_READ)
        tenant_id = actor.tenant_id
        name = normalize_name(alert.name)
        named = await self._db.read(lambda conn: repository.with_name(conn, tenant_id, name)) if name else {}
        candidates = [document_id for document_id, kinds in named.items() if "alert" in kinds] or list(named)
        if len(candidates) == 1:
            return await self._match(tenant_id, candidates[0], "exact-name", 1.0)
        terms = alert_terms(alert.name, alert.summary, alert.description, alert.labels)
        hits = await self._search(tenant_id, terms, limit=5, among=candidates or None)
        if candidates:
            leader = clear_leader(hits)
            if leader is None:
                log.warning("knowledge.ambiguous", alert=clean(alert.name, limit=200), documents=sorted(candidates))
            return await self._match(tenant_id, leader.document_id, "exact-name", leader.score) if leader else None
        best = confident_hit(hits, len(terms))
        return await self._match(tenant_id, best.document_id, "search", best.score) if best else None

    async def _match(self, tenant_id: TenantId, document_id: DocumentId, how: MatchedBy, score: float) -> SopMatch | None:
        stored = await self._db.read(lambda conn: repository.get(conn, tenant_id, document_id))
        if stored is None:
            return None
        info = stored.info
        sop = read_sop(stored.text, info.origin)
        return SopMatch(document_id=info.id, slug=info.slug, version=info.version, digest=info.digest, sop=sop, how=how, score=score)

    async def _search(
        self, tenant_id: TenantId, terms: tuple[str, ...], *, limit: int, among: Sequence[DocumentId] | None = None
    ) -> Sequence[IndexHit]:
        current = await self._db.read(lambda conn: repository.digests(conn, tenant_id))

        async def load(ids: Sequence[DocumentId]) -> Sequence[IndexEntry]:
            return [_entry(stored) for stored in await self._db.read(lambda conn: repository.get_many(conn, tenant_id, ids))]

        return await self._index.search(tenant_id, terms, current=current, load=load, limit=limit, among=among)


def _slug(sop: Sop, origin: str) -> str:
    """The document's name: the file's, else the title's, else one made from the title's digest (a title may have no Latin letter)."""
    stem = Path(origin).stem if origin.endswith(".md") else ""
    return slug_of(stem) or slug_of(sop.title) or f"sop-{digest(sop.title)[7:19]}"


def _names(sop: Sop, slug: str) -> Sequence[tuple[NameKind, str]]:
    """Under what the document is found, normalised, each once."""
    pairs: list[tuple[NameKind, str]] = [("alert", normalize_name(name)) for name in sop.alerts]
    pairs += [("title", normalize_name(sop.title)), ("slug", normalize_name(slug))]
    return [pair for pair in dict.fromkeys(pairs) if pair[1]]


def _entry(stored: repository.StoredDocument) -> IndexEntry:
    """What is searched of a document: names and title with their case changes opened up, and the Markdown below the front matter."""
    alerts = stored.front.get("alerts")
    names = [str(name) for name in alerts] if isinstance(alerts, Sequence) else []
    title = " ".join(dict.fromkeys(split_words(name) for name in (stored.info.title, *names)))
    return IndexEntry(document_id=stored.info.id, digest=stored.info.digest, title=title, body=stored.text.partition("\n---")[2])


def _markdown_files(folder: Path) -> Sequence[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == ".md" and file.name.lower() not in _NOT_SOPS and file.is_file())
    except OSError as error:
        raise InvalidDocument(f"the folder cannot be read: {error.strerror}", path=str(folder), hint="check knowledge.directory") from error


def _read(file: Path) -> str:
    """The file's text; of a file that is too large, no more is read than shows it."""
    try:
        with file.open("rb") as source:
            data = source.read(MAX_SOP_BYTES + 1)
        if len(data) > MAX_SOP_BYTES:
            raise InvalidSop(f"an SOP has at most {MAX_SOP_BYTES // 1024} KiB", path=str(file))
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidSop("the file is not UTF-8", path=str(file), hint="save it as UTF-8") from error
    except OSError as error:
        raise InvalidSop(f"the file cannot be read: {error.strerror}", path=str(file), hint="check its rights") from error
