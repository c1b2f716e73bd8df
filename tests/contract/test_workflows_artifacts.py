"""Artifacts on every database: stored once, linked to each attempt, read in order, taken over, never seen from another run."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Connection, func, select
from tests.contract.test_workflows_journal import new_run

from bcce.kit.clock import SystemClock
from bcce.kit.ids import DEFAULT_TENANT, Ids, RunId, TenantId
from bcce.runtime.tables import metadata
from bcce.storage.doors import Database, open_database
from bcce.workflows import repository as journal_repository
from bcce.workflows.artifacts import repository
from bcce.workflows.artifacts.model import JSON, TEXT, ArtifactLimits, Kind, Piece, pack, pack_files
from bcce.workflows.artifacts.service import ArtifactStore, Packed
from bcce.workflows.artifacts.tables import artifacts
from bcce.workflows.errors import ArtifactsOverLimit
from bcce.workflows.model import Artifact, StepRecord, StepState
from bcce.workflows.tables import runs

CLOCK = SystemClock()
IDS = Ids(CLOCK)
LIMIT = 8 * 1024 * 1024


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, clock=CLOCK, ids=IDS, fence_table=runs) as opened:
        await opened.migrate(metadata.create_all)
        yield opened


async def put(db: Database, run_id: RunId, *pieces: Piece, step: str = "a", attempt: int = 1, tenant: TenantId = DEFAULT_TENANT) -> None:
    packed = await Packed.apart(pieces)
    where: dict[str, Any] = {"tenant_id": tenant, "run_id": run_id, "step_key": step, "attempt": attempt, "ids": IDS, "now": CLOCK.now()}
    await db.write(lambda conn: repository.store(conn, packed.pieces, **where))


def file(name: str, content: str | bytes) -> Piece:
    return pack_files([Artifact(name=name, content=content)], limit_bytes=LIMIT)[0]


async def contents(db: Database) -> int:
    return int(await db.read(lambda conn: conn.execute(select(func.count()).select_from(artifacts)).scalar_one()))


async def test_content_comes_back_byte_by_byte(db: Database) -> None:
    run_id, content = await new_run(db), os.urandom(300_000) + b"\x00" * 300_000
    await put(db, run_id, file("noise", content))

    (listed,) = await db.read(lambda conn: repository.list_artifacts(conn, run_id, after=None, limit=10))
    found = await db.read(lambda conn: repository.content_of(conn, run_id, listed.digest))

    assert (listed.step, listed.attempt, listed.kind, listed.name, listed.bytes) == ("a", 1, Kind.FILE, "noise", 600_000)
    assert found == (listed, content)


async def test_the_same_content_is_stored_once_and_counts_for_each_run(db: Database) -> None:
    first, second = await new_run(db), await new_run(db)

    await asyncio.gather(*(put(db, run_id, file("f", "same"), step=step) for run_id in (first, second) for step in ("a", "b")))

    assert await contents(db) == 1
    assert [await db.read(lambda conn, key=run_id: repository.bytes_of_run(conn, key)) for run_id in (first, second)] == [8, 8]  # type: ignore[misc]
    await put(db, first, file("f", "same"), tenant=TenantId("other"))
    assert await contents(db) == 2


async def test_contents_stored_in_opposite_orders_at_once_are_all_there(db: Database) -> None:
    pieces = [file(f"f{number}", str(number) * 1000) for number in range(10)]
    run_ids = [await new_run(db) for _ in range(6)]

    await asyncio.gather(*(put(db, run_id, *(pieces if at % 2 else pieces[::-1])) for at, run_id in enumerate(run_ids)))

    assert await contents(db) == 10
    for run_id in run_ids:
        assert len(await db.read(lambda conn, key=run_id: repository.list_artifacts(conn, key, after=None, limit=99))) == 10  # type: ignore[misc]


async def test_a_list_is_read_in_pages_in_the_order_of_storing(db: Database) -> None:
    run_id = await new_run(db)
    for number in range(5):
        await put(db, run_id, file(f"f{number}", str(number)))
        # Ids tell the order to the millisecond.
        await asyncio.sleep(0.002)

    names, after = [], None
    while page := await db.read(lambda conn: repository.list_artifacts(conn, run_id, after=after, limit=2)):  # noqa: B023 - called at once
        names += [item.name for item in page]
        after = page[-1].id

    assert names == [f"f{number}" for number in range(5)]


async def test_a_place_that_is_stored_again_has_the_new_content(db: Database) -> None:
    run_id = await new_run(db)
    await put(db, run_id, file("results", "old"))
    await put(db, run_id, file("results", "new"))

    listed = await db.read(lambda conn: repository.list_artifacts(conn, run_id, after=None, limit=10))

    assert [(item.name, item.digest) for item in listed] == [("results", file("results", "new").digest)]


async def test_another_run_does_not_see_a_content_whose_digest_it_knows(db: Database) -> None:
    owner, other = await new_run(db), await new_run(db)
    _, (piece,) = pack({"v": "s" * 20_000}, limit_bytes=LIMIT)
    await put(db, owner, piece)

    def read(conn: Connection, run_id: RunId) -> tuple[object, ...]:
        found = repository.output_content(conn, run_id, piece.digest, TEXT)
        return found, repository.content_of(conn, run_id, piece.digest), repository.output_size(conn, run_id, piece.digest, TEXT)

    assert await db.read(lambda conn: read(conn, other)) == (None, None, None)
    assert (await db.read(lambda conn: read(conn, owner)))[0] == b"s" * 20_000
    assert await db.read(lambda conn: repository.output_content(conn, owner, piece.digest, JSON)) is None


async def test_links_are_taken_over_for_the_named_attempts_only(db: Database) -> None:
    source, to = await new_run(db), await new_run(db)
    await put(db, source, file("one", "1"), step="a", attempt=1)
    await put(db, source, file("two", "2"), step="a", attempt=2)
    await put(db, source, file("three", "3"), step="b", attempt=1)

    await db.write(lambda conn: repository.copy_links(conn, source, to, {"a": 2}, IDS))

    assert [item.name for item in await db.read(lambda conn: repository.list_artifacts(conn, to, after=None, limit=9))] == ["two"]


async def test_the_limit_of_a_run_holds_and_stores_nothing(db: Database) -> None:
    run_id = await new_run(db)
    store = ArtifactStore(db, CLOCK, IDS, ArtifactLimits(artifact_bytes=LIMIT, run_bytes=1000))
    run = await db.read(lambda conn: journal_repository.get_run(conn, run_id))
    assert run is not None
    records = [StepRecord(key=key, attempt=1, state=StepState.COMPLETED, type="t", started_at=CLOCK.now()) for key in "ab"]
    await db.write(lambda conn: store.store(conn, run, Packed.of([file("f", "x" * 600)]), records[0]))

    with pytest.raises(ArtifactsOverLimit, match="would have 1100 bytes of artifacts; it may have 1000"):
        await db.write(lambda conn: store.store(conn, run, Packed.of([file("f", "y" * 500)]), records[1]))

    assert await contents(db) == 1
