"""Insert-or-update does the same on every database."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, case, or_, select
from tests.contract.storage_support import MOMENT, opened

from bcce.storage.doors import Append, Database, Item, run
from bcce.storage.errors import RowRefused
from bcce.storage.types import Id, Json, Name, UtcDateTime, db_now
from bcce.storage.upsert import upsert

own = MetaData()
alarms = Table(
    "alarms",
    own,
    Column("id", Id(), primary_key=True),
    Column("status", Name(20), nullable=False),
    Column("starts_at", UtcDateTime(), nullable=False),
    Column("seen_at", UtcDateTime()),
    Column("times", Integer, nullable=False),
    Column("episode", Integer, nullable=False),
    Column("order", Json()),
)

#: The rule by which a repeated alert changes its row: a newer start wins, and at the same start `resolved` wins.
KEEP_NEWEST = upsert(
    alarms,
    keys=["id"],
    changes=lambda old, new: {
        "starts_at": case((new.starts_at > old.starts_at, new.starts_at), else_=old.starts_at),
        "episode": case((new.starts_at > old.starts_at, old.episode + 1), else_=old.episode),
        "times": old.times + 1,
        "status": case(
            (new.starts_at > old.starts_at, new.status),
            (or_(new.starts_at < old.starts_at, old.status == "resolved"), old.status),
            else_=new.status,
        ),
        "order": new["order"],
        "seen_at": db_now(5),
    },
)
OVERWRITE = upsert(alarms, keys=["id"], changes=["status", "times"])
OVERWRITE_IF_MORE = upsert(alarms, keys=["id"], changes=["status", "times"], where=lambda old, new: new.times > old.times)
IF_MISSING = upsert(alarms, keys=["id"])
CONSTANTS = upsert(alarms, keys=["id"], changes=lambda old, new: {"status": "it's \\ 100% :x", "times": 7, "order": {"a": ["'", "é"]}})


def alarm(status: str = "firing", *, at: int = 0, times: int = 1, alarm_id: str = "a") -> dict[str, Any]:
    """A row that started `at` seconds after the usual moment."""
    moment = MOMENT + timedelta(seconds=at)
    return {"id": alarm_id, "status": status, "starts_at": moment, "times": times, "episode": 1, "order": {"at": at}}


async def found(db: Database) -> list[tuple[Any, ...]]:
    """All rows as (id, status, seconds of the start, times, episode, order)."""
    rows = await db.read(lambda conn: conn.execute(select(alarms).order_by(alarms.c.id)).mappings().all())
    return [(row["id"], row["status"], (row["starts_at"] - MOMENT).seconds, row["times"], row["episode"], row["order"]) for row in rows]


#: The upsert, the row that meets the first one (which fires 10 s after the usual moment, once), and the row after that.
CASES: list[tuple[Any, dict[str, Any], tuple[Any, ...]]] = [
    (KEEP_NEWEST, alarm("resolved", at=10), ("resolved", 10, 2, 1, {"at": 10})),
    (KEEP_NEWEST, alarm("firing", at=20), ("firing", 20, 2, 2, {"at": 20})),
    (KEEP_NEWEST, alarm("resolved", at=5), ("firing", 10, 2, 1, {"at": 5})),
    (OVERWRITE, alarm("resolved", at=20, times=0), ("resolved", 10, 0, 1, {"at": 10})),
    (OVERWRITE_IF_MORE, alarm("resolved", at=20, times=1), ("firing", 10, 1, 1, {"at": 10})),
    (OVERWRITE_IF_MORE, alarm("resolved", at=20, times=2), ("resolved", 10, 2, 1, {"at": 10})),
    (IF_MISSING, alarm("resolved", at=20, times=9), ("firing", 10, 1, 1, {"at": 10})),
    (CONSTANTS, alarm("resolved", at=20, times=9), ("it's \\ 100% :x", 10, 7, 1, {"a": ["'", "é"]})),
]


@pytest.mark.parametrize("by_append", [True, False], ids=["append", "write"])
async def test_the_second_row_changes_the_first(database_url: str, by_append: bool) -> None:
    async with opened(database_url) as db:
        await db.migrate(own.create_all)
        for number, (statement, second, _) in enumerate(CASES):
            for row in (alarm(at=10), second):
                item: Item = (statement, {**row, "id": f"a{number}"})
                if by_append:
                    await db.append(Append(items=(item,)))
                else:
                    await db.write(lambda conn, item=item: run(conn, [item]))
        assert await found(db) == [(f"a{number}", *expected) for number, (_, _, expected) in enumerate(CASES)]


async def test_a_resolved_alarm_stays_resolved_when_the_same_one_fires_late(database_url: str) -> None:
    async with opened(database_url) as db:
        await db.migrate(own.create_all)
        await db.append(Append(items=((KEEP_NEWEST, alarm("resolved")), (KEEP_NEWEST, alarm("firing")))))
        assert await found(db) == [("a", "resolved", 0, 2, 1, {"at": 0})]


async def test_many_rows_in_one_statement_are_applied_one_after_the_other(database_url: str) -> None:
    async with opened(database_url) as db:
        await db.migrate(own.create_all)
        rows = [alarm(at=number, alarm_id=f"a{number % 3}") for number in range(300)]
        await asyncio.gather(*(db.append(Append(items=((KEEP_NEWEST, row),))) for row in rows))
        assert [row[:5] for row in await found(db)] == [(f"a{n}", "firing", 297 + n, 100, 100) for n in range(3)]


async def test_an_upsert_still_refuses_a_row_that_breaks_the_schema(database_url: str) -> None:
    async with opened(database_url) as db:
        await db.migrate(own.create_all)
        for statement in (IF_MISSING, OVERWRITE):
            with pytest.raises(RowRefused):
                await db.append(Append(items=((statement, {**alarm(), "status": None}),)))
        assert await found(db) == []
