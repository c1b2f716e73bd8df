"""What only a database server can do to us: deadlocks, lost connections, answers that never come."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, TextClause, make_url, select, text, update
from tests.contract.storage_support import ADD_NOTE, Xor, fenced, happened, hits, note, note_ids, notes, opened, published, until, values

from bcce.kit.clock import SystemClock
from bcce.kit.ids import Ids
from bcce.storage.doors import Append, Database, Fence, Hooks, Options, run
from bcce.storage.errors import CommitUnknown, DatabaseUnavailable, RowRefused
from bcce.storage.outbox import OutboxRow, event_item

on_servers = pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
KILL_SELF = {"postgresql": "SELECT pg_terminate_backend(pg_backend_pid())", "mysql": "KILL CONNECTION_ID()"}


def hit(conn: Connection, run_id: str) -> None:
    conn.execute(update(fenced).where(fenced.c.id == run_id).values(hits=fenced.c.hits + 1))


def sleeping(conn: Connection, seconds: float) -> TextClause:
    """A statement that takes `seconds`."""
    return text(f"SELECT pg_sleep({seconds})" if conn.dialect.name == "postgresql" else f"SELECT sleep({seconds})")


def kill_all(conn: Connection) -> None:
    """Ends every other connection to this database."""
    if conn.dialect.name == "postgresql":
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        conn.execute(text(query)).all()
        return
    query = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
    for number in conn.execute(text(query)).scalars().all():
        with contextlib.suppress(Exception):  # it may have ended by itself
            conn.execute(text(f"KILL {number}"))


class Proxy:
    """Stands between BCCE and the server, so that a test can take the server away without stopping it."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._pipes: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The same database through the proxy."""
        return self._url.set(host="127.0.0.1", port=self._port).render_as_string(hide_password=False)

    async def start(self) -> None:
        """Let connections through; again on the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Break all connections and refuse new ones."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._pipes):
            writer.transport.abort()
        await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = self._url.port or {"postgresql": 5432}.get(self._url.get_backend_name(), 3306)
        there_reader, there_writer = await asyncio.open_connection(self._url.host or "127.0.0.1", port)
        self._pipes |= {writer, there_writer}
        await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        self._pipes.discard(writer)
        writer.close()


@contextlib.asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Proxy]:
    """A proxy in front of the server of `url`."""
    proxy = Proxy(url)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()


@on_servers
async def test_two_writes_that_lock_rows_in_opposite_order_both_happen_once(database_url: str) -> None:
    calls: list[str] = []

    def cross(conn: Connection, first: str, second: str) -> str:
        calls.append(first)
        hit(conn, first)
        conn.execute(sleeping(conn, 0.3)).all()
        hit(conn, second)
        return first

    async with opened(database_url) as db:
        results = await asyncio.gather(
            db.write(lambda conn: cross(conn, "run-a", "run-b")), db.write(lambda conn: cross(conn, "run-b", "run-a"))
        )
        assert results == ["run-a", "run-b"]
        assert (await hits(db, "run-a"), await hits(db, "run-b")) == (2, 2)
    # The victim of the deadlock was called again: it did happen.
    assert len(calls) > 2


@on_servers
async def test_a_group_that_meets_a_deadlock_is_stored_once(database_url: str) -> None:
    """A fence holds run-a and an insertion waits for run-b (its foreign key), while a write has run-b and wants run-a."""

    def cross(conn: Connection) -> None:
        conn.execute(update(fenced).where(fenced.c.id == "run-b").values(id="run-c"))
        conn.execute(sleeping(conn, 0.3)).all()
        conn.execute(update(fenced).where(fenced.c.id == "run-a").values(hits=1))
        conn.execute(update(fenced).where(fenced.c.id == "run-c").values(id="run-b"))

    async with opened(database_url) as db:
        writing = asyncio.create_task(db.write(cross))
        await asyncio.sleep(0.1)
        await db.append(Append(items=(note("n1", run_id="run-b"),), fences=(Fence("run-a", 1),)))
        await writing
        assert await note_ids(db) == ["n1"]
        assert await hits(db) == 1


@on_servers
async def test_connections_that_the_server_ended_are_replaced_without_anyone_noticing(database_url: str) -> None:
    async with opened(database_url) as db, opened(database_url, create=False) as other:
        for number in range(3):
            await db.append(Append(items=(note(f"n{number}"),)))
            await db.write(lambda conn: hit(conn, "run-a"))
            assert await hits(db) == number + 1
            await other.write(kill_all)
        await asyncio.gather(
            *(db.append(Append(items=(note(f"m{number}"),))) for number in range(5)),
            *(db.write(lambda conn: hit(conn, "run-a")) for _ in range(5)),
        )
        assert await note_ids(db) == [*(f"m{number}" for number in range(5)), *(f"n{number}" for number in range(3))]
        assert await hits(db) == 8
        assert db.healthy()


@on_servers
async def test_a_write_whose_connection_breaks_before_the_commit_is_done_again(database_url: str) -> None:
    calls: list[int] = []

    def once_broken(conn: Connection) -> str:
        calls.append(len(calls))
        hit(conn, "run-a")
        if len(calls) == 1:
            conn.execute(text(KILL_SELF[conn.dialect.name]))
            hit(conn, "run-b")
        return "done"

    async with opened(database_url) as db:
        assert await db.write(once_broken) == "done"
        assert (await hits(db, "run-a"), await hits(db, "run-b"), len(calls)) == (1, 0, 2)


async def test_a_connection_that_is_lost_in_the_middle_of_a_copy_stores_each_row_once(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, losses = asyncpg.Connection.copy_records_to_table, 2

    async def lost(connection: asyncpg.Connection, *args: Any, **named: Any) -> str:
        nonlocal losses
        copied: str = await real(connection, *args, **named)
        if losses > 0:
            losses -= 1
            connection.terminate()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        return copied

    monkeypatch.setattr(asyncpg.Connection, "copy_records_to_table", lost)
    async with opened(postgres_url) as db:
        many = [Append(items=tuple(note(f"n{group}-{number:02}") for number in range(12))) for group in range(6)]
        await asyncio.gather(*(db.append(op) for op in many))
        await db.append(Append(items=tuple(note(f"z{number:02}") for number in range(12))))

        found = await note_ids(db)
        assert found == sorted(set(found))
        assert (len(found), losses, db.healthy()) == (84, 0, True)


@on_servers
async def test_a_server_that_goes_away_and_comes_back(database_url: str) -> None:
    async with opened(database_url), proxied(database_url) as proxy, opened(proxy.url, create=False) as db:
        await db.append(Append(items=(note("before"),)))
        await proxy.stop()
        results = await asyncio.gather(
            *(db.append(Append(items=(note(f"n{number}"),))) for number in range(3)),
            db.write(lambda conn: hit(conn, "run-a")),
            note_ids(db),
            return_exceptions=True,
        )
        assert [isinstance(result, DatabaseUnavailable) for result in results] == [True] * 5
        assert not db.healthy()
        await proxy.start()
        await db.append(Append(items=(note("after"), event_item(Ids(SystemClock()), happened(1)))))
        assert db.healthy()
        assert await note_ids(db) == ["after", "before"]
        # The sequencer has survived as well.
        assert [row.position for row in await until(lambda: _some(db))] == [1]


async def _some(db: Database) -> list[OutboxRow] | None:
    return await published(db) or None


@on_servers
async def test_a_transaction_that_takes_too_long_is_given_up_and_its_connection_not_used_again(database_url: str) -> None:
    def slow(conn: Connection) -> None:
        hit(conn, "run-a")
        conn.execute(sleeping(conn, 20)).all()

    async with opened(database_url, options=Options(timeout_s=1.0)) as db:
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await db.write(slow)
        assert time.monotonic() - began < 5
        with pytest.raises(DatabaseUnavailable):
            await db.read(_slow_read)
        # Had a connection been left in the middle of an exchange, one of these would get a wrong answer.
        assert await asyncio.gather(*(db.read(lambda conn, n=n: conn.execute(select(text(str(n)))).scalar()) for n in range(20))) == list(
            range(20)
        )
        await db.write(lambda conn: hit(conn, "run-b"))
        assert await hits(db, "run-b") == 1


def _slow_read(conn: Connection) -> None:
    conn.execute(sleeping(conn, 20)).all()


async def test_a_connection_that_is_lost_or_too_slow_in_the_commit_is_an_unknown_outcome(postgres_url: str) -> None:
    """A deferred trigger ends or delays the COMMIT that is under way; nobody may claim that the row is there, or that it is not."""
    statements = (
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.text = 'die' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;"
        " IF NEW.text = 'sleep' THEN PERFORM pg_sleep(20); END IF; RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER dying AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()",
    )
    async with opened(postgres_url, options=Options(timeout_s=2.0)) as db:
        for statement in statements:
            await db.migrate(lambda conn, statement=statement: conn.exec_driver_sql(statement) and None)
        with pytest.raises(CommitUnknown) as caught:
            await db.append(Append(items=(note("n1", text="die"),)))
        assert (caught.value.code, caught.value.retryable) == ("commit-unknown", False)
        with pytest.raises(CommitUnknown):
            await db.write(lambda conn: run(conn, [note("n2", text="die")]))
        with pytest.raises(CommitUnknown):
            await db.append(Append(items=(note("n4", text="sleep"),)))
        await db.append(Append(items=(note("n3"),)))
        assert await note_ids(db) == ["n3"]


async def test_a_row_that_fails_only_at_the_commit_harms_no_neighbour(postgres_url: str) -> None:
    deferred = "ALTER TABLE notes ALTER CONSTRAINT fk_notes_run_id_fenced DEFERRABLE INITIALLY DEFERRED"
    async with opened(postgres_url) as db:
        name = "SELECT conname FROM pg_constraint WHERE conrelid = 'notes'::regclass AND contype = 'f'"
        found = await db.read(lambda conn: conn.execute(text(name)).scalar_one())
        await db.migrate(lambda conn: conn.exec_driver_sql(deferred.replace("fk_notes_run_id_fenced", found)) and None)
        calls = [db.append(Append(items=(note(f"n{n}", run_id="nobody" if n == 3 else "run-a"),))) for n in range(6)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [RowRefused if n == 3 else type(None) for n in range(6)]
        assert await note_ids(db) == ["n0", "n1", "n2", "n4", "n5"]


@on_servers
async def test_processes_take_turns_to_change_the_schema(database_url: str) -> None:
    def count_then_add(conn: Connection) -> int:
        count = len(conn.execute(select(notes.c.id)).all())
        conn.execute(sleeping(conn, 0.2)).all()
        conn.execute(ADD_NOTE, {"id": f"n{count}"})
        return count

    async with opened(database_url) as one, opened(database_url, create=False) as two:
        assert sorted(await asyncio.gather(*(db.migrate(count_then_add) for db in (one, two, one)))) == [0, 1, 2]


@on_servers
async def test_a_url_without_a_driver_gets_the_usual_one(database_url: str) -> None:
    plain = make_url(database_url).set(drivername=database_url.split("+")[0]).render_as_string(hide_password=False)
    async with opened(plain) as db:
        await db.append(Append(items=(note("n1"),)))
        assert await note_ids(db) == ["n1"]


@pytest.fixture(params=["mysql+aiomysql", "mariadb+asyncmy"])
def other_url(request: pytest.FixtureRequest, mariadb_url: str) -> str:
    """The MariaDB server through the other driver, and under its own name."""
    return make_url(mariadb_url).set(drivername=request.param).render_as_string(hide_password=False)


async def test_the_other_ways_to_reach_mariadb_work_as_well(other_url: str) -> None:
    row: dict[str, Any] = {
        "id": "v1",
        "tenant_id": "t",
        "body": bytes(range(256)),
        "secret": b"\x00\xff",
        "json": {"a": "🙂"},
        "long": "%s \\ '",
    }
    async with opened(other_url, hooks=Hooks(cipher=Xor())) as db:
        await asyncio.gather(
            *(db.append(Append(items=(note(f"n{number:03}"),), fences=(Fence("run-a", 1),))) for number in range(100)),
            db.append(Append(items=((values.insert(), row),))),
            *(db.write(lambda conn: hit(conn, "run-a")) for _ in range(20)),
        )
        found = await db.read(lambda conn: dict(conn.execute(select(*(values.c[name] for name in row))).mappings().one()))
        assert (found, db.dialect) == (row, "mysql")
        assert (len(await note_ids(db)), await hits(db)) == (100, 20)


@pytest.mark.parametrize("url", ["postgresql://nobody:Hunter2@127.0.0.1:9/x", "mysql://nobody:Hunter2@127.0.0.1:9/x"])
async def test_a_server_that_does_not_answer_is_said_without_the_password(url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="cannot connect") as caught:
        async with opened(url):
            raise AssertionError("unreachable")
    assert "Hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.details}"
