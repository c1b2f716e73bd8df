"""The artifacts of runs: stored with the end of the step that left them, given back to expressions, shown to people."""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from bcce.kit.clock import Clock
from bcce.kit.ids import Ids, RunId
from bcce.kit.text import clean
from bcce.security.actor import Actor
from bcce.security.authz import Permission, require
from bcce.storage.doors import Database
from bcce.storage.types import Compressed
from bcce.workflows.artifacts import repository
from bcce.workflows.artifacts.model import OF_RUN, ArtifactLimits, Piece, RunArtifact
from bcce.workflows.artifacts.restoring import needs_restoring, restored
from bcce.workflows.errors import ArtifactsOverLimit, UnknownArtifact, UnknownRun
from bcce.workflows.expressions import Read
from bcce.workflows.model import Run, StepRecord
from bcce.workflows.repository import get_run


@dataclass(frozen=True, slots=True)
class Packed:
    """Pieces with their contents as the database takes them, so that no transaction has to wait for it."""

    pieces: tuple[tuple[Piece, Compressed], ...] = ()

    @classmethod
    def of(cls, pieces: Sequence[Piece]) -> "Packed":
        """Compresses here; takes about 15 ms for a MiB."""
        return cls(tuple((piece, Compressed.of(piece.content)) for piece in pieces))

    @classmethod
    async def apart(cls, pieces: Sequence[Piece]) -> "Packed":
        """Compresses in another thread."""
        return await asyncio.to_thread(cls.of, pieces) if pieces else cls()


class ArtifactStore:
    """What the engine does with artifacts."""

    def __init__(self, db: Database, clock: Clock, ids: Ids, limits: ArtifactLimits) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self.limits = limits

    def store(self, conn: Connection, run: Run, packed: Packed, record: StepRecord | None) -> None:
        """Stores what the attempt left, or for None the run's outputs; under the run's row lock, so that the limit holds.

        Raises:
            ArtifactsOverLimit: the run would have more than it may; nothing was stored.
        """
        before, more = repository.bytes_of_run(conn, run.id), sum(len(piece.content) for piece, _ in packed.pieces)
        if before + more > self.limits.run_bytes:
            raise ArtifactsOverLimit(
                f"the run would have {before + more} bytes of artifacts; it may have {self.limits.run_bytes}",
                hint="give back less, or ask the operator for a larger workflows.artifactRunMaxBytes",
                details={"bytes": before + more, "limit": self.limits.run_bytes},
            )
        key, attempt = (record.key, record.attempt) if record is not None else (OF_RUN, 0)
        place = {"tenant_id": run.tenant_id, "run_id": run.id, "step_key": key}
        repository.store(conn, packed.pieces, **place, attempt=attempt, ids=self._ids, now=self._clock.now())  # type: ignore[arg-type]  # ids by name

    async def restored(self, run: Run, records: Mapping[str, StepRecord], reads: Iterable[Read], suffix: str) -> Mapping[str, StepRecord]:
        """The records with the real values of what is read, for a reader in the given turn of its loops.

        Raises:
            ValuesTooLarge: they are too large to be read at once.
        """
        if not needs_restoring(records):
            return records
        wanted = list(reads)
        return await self._db.read(lambda conn: restored(conn, run.id, records, wanted, suffix=suffix))

    def copy(self, conn: Connection, source: RunId, to: RunId, attempts: Mapping[str, int]) -> None:
        """Gives another run what the given attempts, by step key, left in `source`."""
        repository.copy_links(conn, source, to, attempts, self._ids)


class RunArtifacts:
    """What people may ask of artifacts."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def list(self, actor: Actor, run_id: RunId, *, after: str | None = None, limit: int = 50) -> list[RunArtifact]:
        """The run's artifacts in the order in which they were stored; `after` is the id of the last one of the page before.

        Raises:
            UnknownRun: there is no such run in the actor's tenant.
        """
        require(actor, Permission.WORKFLOWS_READ)

        def read(conn: Connection) -> "list[RunArtifact] | None":
            is_there = get_run(conn, run_id, actor.tenant_id) is not None
            return repository.list_artifacts(conn, run_id, after=after, limit=limit) if is_there else None

        found = await self._db.read(read)
        if found is None:
            raise UnknownRun(f"there is no run {clean(run_id, limit=80)}")
        return found

    async def get(self, actor: Actor, run_id: RunId, digest: str) -> tuple[RunArtifact, bytes]:
        """An artifact of the run and its content.

        Raises:
            UnknownRun: there is no such run in the actor's tenant.
            UnknownArtifact: it has none of this digest.
        """
        require(actor, Permission.WORKFLOWS_READ)
        wanted = digest.removeprefix("sha256:")

        def read(conn: Connection) -> tuple[bool, tuple[RunArtifact, bytes] | None]:
            is_there = get_run(conn, run_id, actor.tenant_id) is not None
            is_digest = re.fullmatch("[0-9a-f]{64}", wanted) is not None
            return is_there, repository.content_of(conn, run_id, f"sha256:{wanted}") if is_there and is_digest else None

        is_there, found = await self._db.read(read)
        if not is_there:
            raise UnknownRun(f"there is no run {clean(run_id, limit=80)}")
        if found is None:
            raise UnknownArtifact(
                f"run {run_id} has no artifact {clean(digest, limit=80)!r}", hint=f"bcce run artifacts {run_id} shows which it has"
            )
        return found
