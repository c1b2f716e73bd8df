"""Every query on the tables of artifacts. Synchronous: each function works inside the caller's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, insert, select

from bcce.kit.ids import ArtifactId, Ids, RunId, TenantId
from bcce.storage.doors import run as run_items
from bcce.storage.types import Compressed
from bcce.storage.upsert import upsert
from bcce.workflows.artifacts.model import OF_RUN, Kind, Piece, RunArtifact
from bcce.workflows.artifacts.tables import artifacts, run_artifacts

_STORE = upsert(artifacts, keys=["tenant_id", "digest"])
#: A scope that is tried again settles a second time: its results take the place of the former ones.
_LINK = upsert(
    run_artifacts,
    keys=["run_id", "step_key", "attempt", "kind", "name"],
    changes=["digest", "bytes", "media_type", "created_at"],
)
_SAME = and_(artifacts.c.tenant_id == run_artifacts.c.tenant_id, artifacts.c.digest == run_artifacts.c.digest)
_SHARED = ("tenant_id", "step_key", "attempt", "kind", "name", "digest", "bytes", "media_type", "created_at")


def bytes_of_run(conn: Connection, run_id: RunId) -> int:
    """Bytes of all artifacts of a run; a content that it has twice counts twice."""
    return int(conn.execute(select(func.coalesce(func.sum(run_artifacts.c.bytes), 0)).where(run_artifacts.c.run_id == run_id)).scalar_one())


def store(
    conn: Connection,
    pieces: Iterable[tuple[Piece, Compressed]],
    *,
    tenant_id: TenantId,
    run_id: RunId,
    step_key: str,
    attempt: int,
    ids: Ids,
    now: datetime,
) -> None:
    """Stores contents that are not there yet, and links all of them to the attempt."""
    # In the order of their digests: two transactions that store the same contents must not wait for each other.
    for piece, content in sorted(pieces, key=lambda item: item[0].digest):
        key = {"tenant_id": tenant_id, "digest": piece.digest}
        size = len(piece.content)
        if not _is_stored(conn, tenant_id, piece.digest):
            run_items(conn, [(_STORE, {**key, "bytes": size, "content": content, "created_at": now})])
        place = {"run_id": run_id, "step_key": step_key, "attempt": attempt, "kind": str(piece.kind), "name": piece.name}
        about = {"bytes": size, "media_type": piece.media_type, "created_at": now}
        run_items(conn, [(_LINK, {"id": ids.new("art", now), **key, **place, **about})])


def _is_stored(conn: Connection, tenant_id: TenantId, digest: str) -> bool:
    query = select(artifacts.c.bytes).where(artifacts.c.tenant_id == tenant_id, artifacts.c.digest == digest)
    return conn.execute(query).first() is not None


def output_size(conn: Connection, run_id: RunId, digest: str, media_type: str) -> int | None:
    """Bytes of what a value of an output of the run became; None when the run has no such."""
    size: int | None = conn.execute(select(run_artifacts.c.bytes).where(*_of_output(run_id, digest, media_type)).limit(1)).scalar()
    return size


def output_content(conn: Connection, run_id: RunId, digest: str, media_type: str) -> bytes | None:
    """What a value of an output of the run became; None when the run has no such."""
    query = select(artifacts.c.content).join(run_artifacts, _SAME).where(*_of_output(run_id, digest, media_type))
    content: bytes | None = conn.execute(query.limit(1)).scalar()
    return content


def _of_output(run_id: RunId, digest: str, media_type: str) -> tuple[ColumnElement[bool], ...]:
    # The type as well: a text and a list can have the same bytes.
    place = (run_artifacts.c.run_id == run_id, run_artifacts.c.kind == Kind.OUTPUT)
    return *place, run_artifacts.c.digest == digest, run_artifacts.c.media_type == media_type


def content_of(conn: Connection, run_id: RunId, digest: str) -> tuple[RunArtifact, bytes] | None:
    """An artifact of the run with its content; None when the run has none of this digest."""
    query = select(run_artifacts, artifacts.c.content).join(artifacts, _SAME)
    query = query.where(run_artifacts.c.run_id == run_id, run_artifacts.c.digest == digest).order_by(run_artifacts.c.id)
    row = conn.execute(query.limit(1)).mappings().first()
    return (artifact_of(row), row["content"]) if row is not None else None


def list_artifacts(conn: Connection, run_id: RunId, *, after: str | None, limit: int) -> list[RunArtifact]:
    """The run's artifacts in the order in which they were first stored, from behind the id `after`."""
    query = select(run_artifacts).where(run_artifacts.c.run_id == run_id)
    if after is not None:
        query = query.where(run_artifacts.c.id > after)
    return [artifact_of(row) for row in conn.execute(query.order_by(run_artifacts.c.id).limit(limit)).mappings()]


def copy_links(conn: Connection, source: RunId, to: RunId, attempts: Mapping[str, int], ids: Ids) -> None:
    """Links another run to what the given attempts, by step key, left in `source`."""
    query = select(run_artifacts).where(run_artifacts.c.run_id == source).order_by(run_artifacts.c.id)
    rows: Sequence[RowMapping] = conn.execute(query).mappings().all()
    for row in rows:
        if attempts.get(row["step_key"]) == row["attempt"]:
            values = {name: row[name] for name in _SHARED}
            conn.execute(insert(run_artifacts), [{**values, "id": ids.new("art", row["created_at"]), "run_id": to}])


def artifact_of(row: RowMapping) -> RunArtifact:
    """A row of `run_artifacts` as a value."""
    return RunArtifact(
        id=ArtifactId(row["id"]),
        run_id=RunId(row["run_id"]),
        step=None if row["step_key"] == OF_RUN else row["step_key"],
        kind=Kind(row["kind"]),
        **{name: row[name] for name in ("attempt", "name", "digest", "bytes", "media_type", "created_at")},
    )
