"""Events get gapless positions in the order in which they happened, and each consumer its place."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, insert, select, text, update
from sqlalchemy import event as event_hooks
from tests.contract.storage_support import MOMENT, happened, note, note_ids, opened, published, until

from bcce.kit.clock import SystemClock
from bcce.kit.ids import DEFAULT_TENANT, Ids, TenantId
from bcce.storage.doors import Append, Database, Hooks, Item, Options, run
from bcce.storage.outbox import (
    OutboxRow,
    advance_cursor,
    assign_positions,
    cursor,
    event_item,
    head,
    outbox,
    read_after,
    try_lead,
)
from bcce.storage.types import Id

IDS = Ids(SystemClock())
own = MetaData()
records = Table("records", own, Column("id", Id(), primary_key=True), Column("place", Integer))
ADD_RECORD = insert(records)


def event(number: int, *, tenant_id: TenantId = DEFAULT_TENANT, correlation_id: str | None = None) -> Item:
    """The insertion of the event that says `number`."""
    return event_item(IDS, happened(number, tenant_id=tenant_id), correlation_id=correlation_id)


on_servers = pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)


async def published_in_time(db: Database, count: int) -> list[OutboxRow]:
    """All events once there are `count` with a position; servers give them shortly after the commit."""

    async def look() -> list[OutboxRow] | None:
        rows = await published(db)
        return rows if len(rows) >= count else None

    return await until(look)


def place_records(conn: Connection) -> None:
    """What a sequencer of the layers above does: number the rows that have no number yet."""
    last = len(conn.execute(select(records.c.id).where(records.c.place.is_not(None))).all())
    for number, record_id in enumerate(conn.execute(select(records.c.id).where(records.c.place.is_(None)).order_by("id")).scalars().all()):
        conn.execute(update(records).where(records.c.id == record_id).values(place=last + number + 1))


async def test_an_event_comes_back_as_it_was_published(database_url: str) -> None:
    async with opened(database_url) as db:
        await db.append(Append(items=(event(1, correlation_id="cor-1"),)))
        (row,) = await published_in_time(db, 1)
    expected = OutboxRow(
        position=1,
        id=row.id,
        tenant_id=DEFAULT_TENANT,
        at=MOMENT,
        type="alert.received",
        source="tests",
        data={"number": 1},
        correlation_id="cor-1",
    )
    assert row == expected
    assert row.id.startswith("evt_")


async def test_positions_are_gapless_and_in_order_under_200_concurrent_writers(database_url: str) -> None:
    async def writer(db: Database, number: int) -> None:
        for step in range(5):
            item = event(number * 10 + step)
            if number % 4:
                await db.append(Append(items=(item, note(f"n{number}-{step}"))))
            else:
                await db.write(lambda conn, item=item: run(conn, [item]))

    async with opened(database_url) as db:
        await asyncio.gather(*(writer(db, number) for number in range(200)))
        rows = await published_in_time(db, 1000)
    assert [row.position for row in rows] == list(range(1, 1001))
    numbers = [int(str(row.data["number"])) for row in rows]
    assert sorted(numbers) == sorted(number * 10 + step for number in range(200) for step in range(5))
    # Each writer waited for its first event's commit before it wrote the second.
    for number in range(200):
        own_numbers = [item for item in numbers if item // 10 == number]
        assert own_numbers == sorted(own_numbers)


async def test_events_of_one_append_keep_their_order(database_url: str) -> None:
    async with opened(database_url) as db:
        await asyncio.gather(*(db.append(Append(items=tuple(event(n * 10 + step) for step in range(10)))) for n in range(10)))
        rows = await published_in_time(db, 100)
    for number in range(10):
        own_numbers = [row.data["number"] for row in rows if int(str(row.data["number"])) // 10 == number]
        assert own_numbers == [number * 10 + step for step in range(10)]


async def test_an_event_of_a_failed_write_never_gets_a_position(database_url: str) -> None:
    def fail(conn: Connection) -> None:
        run(conn, [event(666)])
        raise LookupError

    async with opened(database_url) as db:
        await db.append(Append(items=(note("n1"),)))
        calls = [
            db.append(Append(items=(event(1),))),
            db.write(fail),
            db.append(Append(items=(event(667), note("n1")))),
            db.append(Append(items=(event(2),))),
        ]
        await asyncio.gather(*calls, return_exceptions=True)
        await db.append(Append(items=(event(3),)))
        rows = await published_in_time(db, 3)
    assert [(row.position, row.data["number"]) for row in rows] == [(1, 1), (2, 2), (3, 3)]


async def test_positions_go_on_after_all_events_were_deleted_and_the_database_was_opened_again(database_url: str) -> None:
    async with opened(database_url) as db:
        await db.append(Append(items=(event(1), event(2))))
        await published_in_time(db, 2)
        await db.write(lambda conn: conn.execute(outbox.delete()) and None)
    async with opened(database_url, create=False) as db:
        await db.append(Append(items=(event(3),)))
        rows = await published_in_time(db, 1)
        assert [row.position for row in rows] == [3]
        assert await db.read(head) == 3


async def test_reading_is_by_position_page_and_tenant(database_url: str) -> None:
    other = TenantId("other")
    async with opened(database_url) as db:
        await db.append(Append(items=tuple(event(n, tenant_id=other if n % 2 else DEFAULT_TENANT) for n in range(10))))
        await published_in_time(db, 10)

        async def read(after: int, limit: int, tenant_id: TenantId | None) -> list[object]:
            return [row.data["number"] for row in await db.read(lambda conn: read_after(conn, after, limit, tenant_id=tenant_id))]

        assert await read(0, 3, None) == [0, 1, 2]
        assert await read(3, 100, None) == [3, 4, 5, 6, 7, 8, 9]
        assert await read(3, 100, other) == [3, 5, 7, 9]
        assert await read(10, 100, None) == []


async def test_a_cursor_starts_at_zero_goes_forward_and_never_back(database_url: str) -> None:
    async with opened(database_url) as db:
        seen = [await db.read(lambda conn: cursor(conn, "pipeline"))]
        for position in (5, 9, 3):
            await db.write(lambda conn, position=position: advance_cursor(conn, "pipeline", position))
            seen.append(await db.write(lambda conn: cursor(conn, "pipeline", for_update=True)))
        assert seen == [0, 5, 9, 9]
        assert await db.read(lambda conn: cursor(conn, "Pipeline")) == 0


async def test_listeners_hear_of_new_positions_and_not_of_other_commits(database_url: str) -> None:
    heard: list[str] = []
    woken = asyncio.Event()
    async with opened(database_url, hooks=Hooks(after_commit=lambda: heard.append("hook"))) as db:
        db.on_commit(lambda: heard.append("callback"))
        db.on_commit(woken.set)
        await db.append(Append(items=(note("n1"),)))
        await asyncio.sleep(0.4)
        assert heard == []
        await db.append(Append(items=(event(1),)))
        async with asyncio.timeout(5):
            await woken.wait()
        assert heard == ["hook", "callback"]
        assert [row.position for row in await published(db)] == [1]


async def test_a_listener_that_fails_harms_nobody(database_url: str) -> None:
    woken = asyncio.Event()

    def fail() -> None:
        raise LookupError

    async with opened(database_url) as db:
        db.on_commit(fail)
        db.on_commit(woken.set)
        await db.append(Append(items=(event(1),)))
        async with asyncio.timeout(5):
            await woken.wait()
        assert db.healthy()


@pytest.mark.parametrize("sequenced", [frozenset({"records"}), None], ids=["named", "always"])
async def test_the_hook_gives_rows_of_its_tables_their_place(database_url: str, sequenced: frozenset[str] | None) -> None:
    # The tables must be there before rows are added under the hook.
    async with opened(database_url) as db:
        await db.migrate(own.create_all)
    async with opened(database_url, hooks=Hooks(before_commit=place_records, sequenced=sequenced), create=False) as db:
        await asyncio.gather(*(db.append(Append(items=((ADD_RECORD, {"id": f"r{n:02}"}),))) for n in range(20)))
        await db.write(lambda conn: run(conn, [(ADD_RECORD, {"id": "r20"})]))

        async def places() -> list[int] | None:
            found = await db.read(lambda conn: list(conn.execute(select(records.c.place)).scalars()))
            return None if None in found else sorted(found)

        assert await until(places) == list(range(1, 22))


async def test_on_sqlite_the_place_is_there_as_soon_as_the_commit(sqlite_url: str) -> None:
    async with opened(sqlite_url) as db:
        await db.append(Append(items=(event(1),)))
        assert [row.position for row in await published(db)] == [1]


async def test_on_sqlite_what_the_hook_refuses_is_not_stored_and_harms_no_neighbour(sqlite_url: str) -> None:
    def refuse_bad(conn: Connection) -> None:
        if conn.execute(select(records.c.id).where(records.c.id == "bad")).first() is not None:
            raise LookupError("bad record")
        place_records(conn)

    async with opened(sqlite_url, hooks=Hooks(before_commit=refuse_bad, sequenced=frozenset({"records"}))) as db:
        await db.migrate(own.create_all)
        names = [f"r{n}" for n in range(7)] + ["bad"] + [f"r{n}" for n in range(7, 13)]
        calls = [db.append(Append(items=((ADD_RECORD, {"id": name}), event(n)))) for n, name in enumerate(names)]
        results = await asyncio.gather(*calls, db.write(lambda conn: run(conn, [note("n1")])), return_exceptions=True)
        assert [str(result) for result in results] == ["None"] * 7 + ["bad record"] + ["None"] * 7
        assert await note_ids(db) == ["n1"]
        assert [row.position for row in await published(db)] == list(range(1, 14))


@on_servers
async def test_a_failing_hook_keeps_events_back_until_it_works(database_url: str) -> None:
    broken = [True]

    def fail(conn: Connection) -> None:
        if broken:
            raise LookupError("not now")

    async with opened(database_url, hooks=Hooks(before_commit=fail)) as db:
        await db.append(Append(items=(event(1),)))
        await asyncio.sleep(0.4)
        assert await published(db) == []
        broken.clear()
        assert [row.position for row in await published_in_time(db, 1)] == [1]


async def test_assigning_again_changes_nothing(database_url: str) -> None:
    async with opened(database_url) as db:
        await db.append(Append(items=(event(1), event(2))))
        await published_in_time(db, 2)
        assert await db.write(assign_positions) == 0
        assert [row.position for row in await published(db)] == [1, 2]


@on_servers
async def test_only_one_transaction_at_a_time_is_the_sequencers(database_url: str) -> None:
    def lead_for_a_while(conn: Connection) -> bool:
        is_leading = try_lead(conn)
        conn.execute(text("SELECT pg_sleep(1)" if conn.dialect.name == "postgresql" else "SELECT sleep(1)")).all()
        return is_leading

    # After its first look no leader of these databases gets in between.
    options = Options(leader_tick_s=600)
    async with opened(database_url, options=options) as one, opened(database_url, create=False, options=options) as two:
        await asyncio.sleep(0.5)
        # The very first one makes the row that is the lock, and is waited for.
        assert await one.write(try_lead) is True
        first = asyncio.create_task(one.write(lead_for_a_while))
        await asyncio.sleep(0.5)
        assert await two.write(try_lead) is False
        assert await first is True
        assert await two.write(try_lead) is True


@on_servers
async def test_two_processes_share_the_sequencing_of_one_server(database_url: str) -> None:
    """Both hear of every event, and no position is given twice or left out."""
    async with opened(database_url) as one, opened(database_url, create=False) as two:
        heard = [asyncio.Event(), asyncio.Event()]
        one.on_commit(heard[0].set)
        two.on_commit(heard[1].set)
        await asyncio.gather(*((one, two)[n % 2].append(Append(items=(event(n),))) for n in range(400)))
        async with asyncio.timeout(5):
            await asyncio.gather(*(item.wait() for item in heard))
        rows = await published_in_time(two, 400)
        assert [row.position for row in rows] == list(range(1, 401))


def plan_of(conn: Connection, act: Callable[[Connection], object]) -> str:
    """How the database does the one query of `act`: in a list of words that names each index it uses."""
    asked: list[tuple[str, object]] = []

    def note(conn: Connection, cursor: object, statement: str, parameters: object, context: object, executemany: bool) -> None:
        asked.append((statement, parameters))

    event_hooks.listen(conn, "before_cursor_execute", note)
    act(conn)
    event_hooks.remove(conn, "before_cursor_execute", note)
    ((statement, parameters),) = [item for item in asked if item[0].startswith("SELECT")]
    explain = "EXPLAIN QUERY PLAN" if conn.dialect.name == "sqlite" else "EXPLAIN"
    return " ".join(str(value) for row in conn.exec_driver_sql(f"{explain} {statement}", parameters) for value in row)  # type: ignore[arg-type]  # as it was run


async def test_the_events_of_one_run_are_found_among_many_by_an_index(database_url: str) -> None:
    async with opened(database_url) as db:
        many = tuple(event(number, correlation_id=f"cor-{number % 2_000}") for number in range(10_000))
        for at in range(0, len(many), 500):
            await db.append(Append(items=many[at : at + 500]))
        await until(lambda: db.read(lambda conn: head(conn) == len(many) or None))
        table = "" if database_url.startswith(("sqlite", "postgresql")) else " TABLE outbox"
        await db.migrate(lambda conn: conn.exec_driver_sql(f"ANALYZE{table}"))

        def read(conn: Connection) -> list[OutboxRow]:
            return read_after(conn, 8, 500, tenant_id=DEFAULT_TENANT, correlation_id="cor-7", until=9_999)

        assert "ix_outbox_correlation" in await db.read(lambda conn: plan_of(conn, read))
        found = await db.read(read)

    assert [row.data["number"] for row in found] == [2_007, 4_007, 6_007, 8_007]
