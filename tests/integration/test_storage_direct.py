"""The short way of writing stores what the long way stores, and refuses what it refuses."""

import asyncio
import random
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import bindparam, insert, update
from tests.contract.storage_support import ADD_NOTE, MOMENT, Xor, fenced, happened, note, opened, values

from bcce.kit.clock import SystemClock
from bcce.kit.ids import Ids
from bcce.storage.doors import Append, Fence, Hooks, Item
from bcce.storage.outbox import event_item
from bcce.storage.upsert import upsert

_HIT = update(fenced).where(fenced.c.id == bindparam("which")).values(hits=fenced.c.hits + 1)
_KEEP = upsert(fenced, keys=["id"])
_ADD_VALUE = insert(values)
_CONSTANT = insert(values).values(id="constant", tenant_id="t", flag=True)
_TWO = update(fenced).where(fenced.c.id.in_(bindparam("some", expanding=True))).values(hits=fenced.c.hits + 10)


def made(chance: random.Random, number: int, ids: Ids) -> Append:
    """Rows of every kind, some of which no database takes."""
    value = {"id": f"v{number}", "tenant_id": "t", "name": "n" * chance.choice([3, 20, 21]), "at": chance.choice([None, MOMENT])}
    body = {"json": chance.choice([None, {"b": [1, "é"], "a": 0.5}, {"x": float("nan")}]), "long": "l\x00", "body": b"b" * 50}
    rows: list[Item] = [
        note(f"n{chance.randint(0, number + 3)}", text="t", run_id=chance.choice([None, "run-a", "nobody"])),
        (_ADD_VALUE, {**value, **body, "secret": b"s", "flag": chance.choice([None, True, False])}),
        (_HIT, {"which": "run-a"}),
        (_TWO, {"some": ["run-a", "run-b"]}),
        (_KEEP, {"id": "run-a", "epoch": 99, "hits": 99}),
        (_CONSTANT, {}),
        (ADD_NOTE, {"id": f"big{number}", "number": 2 ** chance.choice([3, 80])}),
        event_item(ids, happened(number), correlation_id=chance.choice([None, "c"])),
    ]
    fences = tuple(Fence(run, epoch) for run, epoch in [("run-a", 1), ("run-b", chance.choice([7, 7, 8]))] if chance.random() < 0.5)
    chosen = chance.choices(rows, weights=[4, 4, 2, 1, 1, 1, 1, 8], k=chance.randint(1, 5))
    return Append(items=tuple({id(item): item for item in chosen}.values()), fences=fences)


async def stored(path: Path, groups: list[list[Append]], *, is_direct: bool) -> tuple[list[str], list[object]]:
    # A hook that looks at every table leaves nothing to the short way.
    hooks = Hooks(cipher=Xor(), sequenced=frozenset()) if is_direct else Hooks(cipher=Xor(), before_commit=lambda conn: None)
    results: list[str] = []
    async with opened(f"sqlite:///{path}", hooks=hooks) as db:
        for group in groups:
            answers = await asyncio.gather(*(db.append(op) for op in group), return_exceptions=True)
            results += [type(answer).__name__ for answer in answers]
    with sqlite3.connect(path) as conn:
        tables = ("fenced", "notes", "all_values", "outbox", "outbox_cursors")
        return results, [conn.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in tables]  # noqa: S608 - our own names


@pytest.mark.parametrize("seed", range(6))
async def test_both_ways_store_and_refuse_the_same(tmp_path: Path, seed: int) -> None:
    chance, ids = random.Random(seed), Ids(SystemClock())  # noqa: S311 - no secret
    numbers = iter(range(10_000))
    groups = [[made(chance, next(numbers), ids) for _ in range(chance.choice([1, 1, 1, 5]))] for _ in range(60)]

    short = await stored(tmp_path / "short.db", groups, is_direct=True)
    long = await stored(tmp_path / "long.db", groups, is_direct=False)

    assert short == long
    assert {"NoneType", "Duplicate", "StaleEpoch", "ValueRefused"} <= set(short[0])


async def test_positions_go_on_where_the_other_way_left_off(tmp_path: Path) -> None:
    ids = Ids(SystemClock())
    async with opened(f"sqlite:///{tmp_path / 'a.db'}") as db:
        for number in range(3):
            await db.append(Append(items=(event_item(ids, happened(number)), event_item(ids, happened(number)))))
            statement, row = event_item(ids, happened(number))
            await db.write(lambda conn, statement=statement, row=row: conn.execute(statement, row) and None)
    with sqlite3.connect(tmp_path / "a.db") as conn:
        assert [row[0] for row in conn.execute("SELECT position FROM outbox ORDER BY ordinal")] == list(range(1, 10))
        assert conn.execute("SELECT position FROM outbox_cursors WHERE name = ':head'").fetchone() == (9,)
