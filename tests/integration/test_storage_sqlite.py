"""What only a SQLite file can suffer: power cuts, a second process, a full disk, a writer that dies."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Connection, ForeignKey, MetaData, Table, insert, select, text
from tests.contract.storage_support import hits, note, note_ids, notes, opened, published

from bcce.storage.doors import Append, Fence, Hooks, Options, run
from bcce.storage.errors import DatabaseLocked, DatabaseUnavailable, RowRefused, UnknownDatabase
from bcce.storage.types import Id

#: A process that appends as fast as it can and says on its output what was acknowledged.
WRITER = """
import asyncio, sys
from bcce.kit.ids import Ids
from bcce.kit.clock import SystemClock
from bcce.storage.doors import Append
from bcce.storage.outbox import event_item
from tests.contract.storage_support import happened, note, opened

async def caller(db, ids, prefix, number):
    for step in range(1_000_000):
        name = f"{prefix}-{number}-{step}"
        await db.append(Append(items=(note(name), event_item(ids, happened(step)))))
        sys.stdout.write(name + "\\n")
        sys.stdout.flush()

async def main(url, prefix, create):
    ids = Ids(SystemClock())
    async with opened(url, create=create) as db:
        await asyncio.gather(*(caller(db, ids, prefix, number) for number in range(20)))

asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3] == "create"))
"""


class Crash(BaseException):
    """Something that no handler of ordinary errors catches."""


def files(folder: Path) -> dict[str, int]:
    """The permissions of each file in `folder`."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def killed_writer(url: str, prefix: str, *, create: bool, after: int) -> list[str]:
    """What a process had acknowledged when it was killed, at the latest after `after` appends and somewhere in the middle of more."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WRITER,
        url,
        prefix,
        "create" if create else "open",
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    acknowledged: list[str] = []
    async with asyncio.timeout(60):
        while line := await process.stdout.readline():
            # The last line may have been cut off by the kill.
            if line.endswith(b"\n"):
                acknowledged.append(line.decode().strip())
            if len(acknowledged) == after:
                process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
    return acknowledged


async def test_after_sigkill_every_acknowledged_append_is_there(sqlite_url: str) -> None:
    acknowledged: list[str] = []
    for number, after in enumerate((1, 100, 700)):
        acknowledged += await killed_writer(sqlite_url, f"p{number}", create=number == 0, after=after)
    assert len(acknowledged) >= 801
    async with opened(sqlite_url, create=False) as db:
        stored = set(await note_ids(db))
        rows = await published(db)
    assert set(acknowledged) - stored == set()
    # Each append also published an event: all or nothing of each, and positions without a gap over all three lives.
    assert [row.position for row in rows] == list(range(1, len(stored) + 1))


async def test_a_second_opening_is_refused_and_told_the_lock_and_its_owner(sqlite_url: str, tmp_path: Path) -> None:
    async with opened(sqlite_url) as db:
        with pytest.raises(DatabaseLocked) as caught:
            async with opened(sqlite_url):
                raise AssertionError("unreachable")
        assert caught.value.path == tmp_path / "bcce.sqlite.lock"
        assert caught.value.pid == os.getpid()
        assert caught.value.details == {"path": str(tmp_path / "bcce.sqlite.lock"), "pid": os.getpid()}
        assert (caught.value.code, caught.value.retryable) == ("database-locked", True)
        await db.append(Append(items=(note("still-works"),)))
    async with opened(sqlite_url, create=False) as db:
        assert await note_ids(db) == ["still-works"]


async def test_the_lock_holds_between_processes_and_goes_with_its_process(sqlite_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, sqlite_url, "p", "create", stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        await process.stdout.readline()
        with pytest.raises(DatabaseLocked) as caught:
            async with opened(sqlite_url, create=False):
                raise AssertionError("unreachable")
        assert caught.value.pid == process.pid
        process.kill()
        await process.communicate()
    async with opened(sqlite_url, create=False) as db:
        assert db.healthy()


async def test_only_the_owner_can_read_the_files(sqlite_url: str, tmp_path: Path) -> None:
    async with opened(sqlite_url):
        modes = files(tmp_path)
    assert modes == dict.fromkeys(("bcce.sqlite", "bcce.sqlite-wal", "bcce.sqlite-shm", "bcce.sqlite.lock"), 0o600)


async def test_closing_leaves_one_complete_file(sqlite_url: str, tmp_path: Path) -> None:
    async with opened(sqlite_url) as db:
        await db.append(Append(items=(note("n1"),)))
    assert sorted(files(tmp_path)) == ["bcce.sqlite", "bcce.sqlite.lock"]
    with contextlib.closing(sqlite3.connect(tmp_path / "bcce.sqlite")) as conn:
        assert conn.execute("SELECT id FROM notes").fetchall() == [("n1",)]


async def test_connections_are_durable_checked_and_read_only_where_they_should_be(sqlite_url: str) -> None:
    def pragmas(conn: Connection) -> dict[str, Any]:
        names = ("journal_mode", "synchronous", "foreign_keys", "query_only")
        return {name: conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}

    async with opened(sqlite_url) as db:
        writing, reading = await db.write(pragmas), await db.read(pragmas)
    full = 2
    assert writing == {"journal_mode": "wal", "synchronous": full, "foreign_keys": 1, "query_only": 0}
    assert (reading["journal_mode"], reading["query_only"]) == ("wal", 1)


async def test_a_write_that_crashes_the_writer_leaves_nothing_and_reading_goes_on(sqlite_url: str) -> None:
    def crash(conn: Connection) -> None:
        run(conn, [note("half")])
        raise Crash

    async with opened(sqlite_url) as db:
        await db.append(Append(items=(note("before"),)))
        with pytest.raises(DatabaseUnavailable, match="crashed"):
            await db.write(crash)
        assert not db.healthy()
        assert await note_ids(db) == ["before"]
    async with opened(sqlite_url, create=False) as db:
        await db.append(Append(items=(note("after"),)))
        assert await note_ids(db) == ["after", "before"]


async def test_a_crash_does_not_take_back_what_its_group_had_committed_before(sqlite_url: str) -> None:
    def before_commit(conn: Connection) -> None:
        stored = set(conn.execute(select(notes.c.id)).scalars())
        if "refused" in stored:
            raise LookupError
        if "crash" in stored:
            raise Crash

    async with opened(sqlite_url, hooks=Hooks(before_commit=before_commit)) as db:
        calls = [db.append(Append(items=(note(name),))) for name in ("a", "b", "refused", "crash")]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [type(None), type(None), LookupError, DatabaseUnavailable]
        assert await note_ids(db) == ["a", "b"]


async def test_a_full_disk_fails_its_writes_and_the_database_recovers_when_there_is_room(sqlite_url: str) -> None:
    def limit_pages(conn: Connection, more: int) -> None:
        count = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        conn.exec_driver_sql(f"PRAGMA max_page_count={count + more}")

    async with opened(sqlite_url) as db:
        await db.append(Append(items=(note("before"),)))
        await db.write(lambda conn: limit_pages(conn, 0))
        calls = [db.append(Append(items=tuple(note(f"n{n}-{i}", text="x" * 40) for i in range(100)))) for n in range(10)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(result) for result in results} == {DatabaseUnavailable}
        assert {result.details["reason"] for result in results if isinstance(result, DatabaseUnavailable)} == {"SQLITE_FULL"}
        assert len({id(result) for result in results}) == 10
        assert not db.healthy()
        await db.write(lambda conn: limit_pages(conn, 10_000))
        await db.append(Append(items=(note("after"),)))
        assert db.healthy()
        assert await note_ids(db) == ["after", "before"]


async def test_another_program_that_holds_the_files_lock_is_waited_for_and_then_named(sqlite_url: str, tmp_path: Path) -> None:
    async with opened(sqlite_url, options=Options(timeout_s=0.2)) as db:
        with contextlib.closing(sqlite3.connect(tmp_path / "bcce.sqlite", isolation_level=None)) as shell:
            shell.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseUnavailable) as caught:
                await db.append(Append(items=(note("n1"),)))
            assert caught.value.details == {"reason": "SQLITE_BUSY"}
            assert not db.healthy()
            shell.execute("ROLLBACK")
            await db.append(Append(items=(note("n2"),)))
        assert db.healthy()
        assert await note_ids(db) == ["n2"]


async def test_a_row_that_fails_only_at_the_commit_harms_no_neighbour(sqlite_url: str) -> None:
    own = MetaData()
    parents = Table("parents", own, Column("id", Id(), primary_key=True))
    parent = ForeignKey("parents.id", deferrable=True, initially="DEFERRED")
    children = Table("children", own, Column("id", Id(), primary_key=True), Column("parent_id", Id(), parent))
    add_parent, add_child = insert(parents), insert(children)
    async with opened(sqlite_url) as db:
        await db.migrate(own.create_all)
        ops = [Append(items=((add_child, {"id": f"c{n}", "parent_id": f"p{n}"}), (add_parent, {"id": f"p{n}"}))) for n in range(5)]
        ops.insert(2, Append(items=((add_child, {"id": "orphan", "parent_id": "nobody"}),)))
        results = await asyncio.gather(*(db.append(op) for op in ops), return_exceptions=True)
        assert [type(result).__name__ for result in results] == ["NoneType", "NoneType", "RowRefused", "NoneType", "NoneType", "NoneType"]
        stored = await db.read(lambda conn: conn.execute(text("SELECT id FROM children ORDER BY id")).scalars().all())
        assert stored == [f"c{n}" for n in range(5)]


async def test_a_rebuilt_table_keeps_its_children_and_foreign_keys_hold_again_afterwards(sqlite_url: str) -> None:
    def rebuild(conn: Connection) -> None:
        conn.exec_driver_sql("CREATE TABLE fenced_new (id VARCHAR(64) PRIMARY KEY, epoch INTEGER, hits INTEGER, extra TEXT)")
        conn.exec_driver_sql("INSERT INTO fenced_new SELECT id, epoch, hits, 'x' FROM fenced")
        conn.exec_driver_sql("DROP TABLE fenced")
        conn.exec_driver_sql("ALTER TABLE fenced_new RENAME TO fenced")

    async with opened(sqlite_url) as db:
        await db.append(Append(items=(note("child", run_id="run-a"),)))
        await db.migrate(rebuild)
        assert await note_ids(db) == ["child"]
        with pytest.raises(RowRefused):
            await db.append(Append(items=(note("orphan", run_id="nobody"),)))
        await db.append(Append(items=(note("fenced", run_id="run-a"),), fences=(Fence("run-a", 1),)))
        assert await hits(db) == 0


async def test_a_migration_that_would_leave_orphans_is_undone(sqlite_url: str) -> None:
    async with opened(sqlite_url) as db:
        await db.append(Append(items=(note("child", run_id="run-a"),)))
        with pytest.raises(RowRefused) as caught:
            await db.migrate(lambda conn: conn.exec_driver_sql("DELETE FROM fenced") and None)
        assert caught.value.details == {"table": "notes", "parent": "fenced"}
        assert await hits(db) == 0
        with pytest.raises(LookupError):
            await db.migrate(_create_and_fail)
        with pytest.raises(sqlite3.OperationalError) as missing:
            await db.read(lambda conn: conn.connection.driver_connection.execute("SELECT * FROM half"))
        assert "no such table" in str(missing.value)


def _create_and_fail(conn: Connection) -> None:
    conn.exec_driver_sql("CREATE TABLE half (id INTEGER)")
    raise LookupError


async def test_a_write_shares_its_commit_with_appends_but_not_its_failure(sqlite_url: str) -> None:
    def fail(conn: Connection) -> None:
        run(conn, [note("undone")])
        raise LookupError

    async with opened(sqlite_url) as db:
        calls = [db.append(Append(items=(note("a"),))), db.write(fail), db.write(lambda conn: run(conn, [note("b")])), db.write(fail)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [type(None), LookupError, type(None), LookupError]
        assert await note_ids(db) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "name", "error", "said"),
    [
        (b"this is no database" * 100, "bcce.sqlite", DatabaseUnavailable, "SQLITE_NOTADB"),
        (None, "missing/bcce.sqlite", DatabaseUnavailable, "No such file"),
        (None, "folder", DatabaseUnavailable, "SQLITE_CANTOPEN"),
    ],
    ids=["no database", "no folder", "a folder"],
)
async def test_a_file_that_cannot_be_used_is_said_clearly(
    tmp_path: Path, content: bytes | None, name: str, error: type[Exception], said: str
) -> None:
    (tmp_path / "folder").mkdir()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    for _ in range(2):  # the second time shows that the lock was given back
        with pytest.raises(error, match=said):
            async with opened(f"sqlite:///{tmp_path / name}"):
                raise AssertionError("unreachable")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///relative.db", "sqlite:///:memory:"])
async def test_a_path_that_is_not_absolute_is_refused(url: str) -> None:
    with pytest.raises(UnknownDatabase, match="absolute"):
        async with opened(url):
            raise AssertionError("unreachable")
