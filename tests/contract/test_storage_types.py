"""Column types mean the same on every database."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from tests.contract.storage_support import MOMENT, Xor, note, note_ids, notes, opened, values

from bcce.storage.doors import Append, Database, Hooks
from bcce.storage.errors import CipherMissing, Duplicate, ValueRefused
from bcce.storage.types import db_now
from bcce.testing.clock import FrozenClock

ADD = insert(values)
NUMBERS = itertools.count(100)
AWKWARD_TEXTS = [
    "",
    " ",
    "trailing  ",
    "é and é",
    "🙂 \U0001f9ea",
    "back\\slash 'quote' \"double\" %s %(x)s :y ?",
    "line\nbreak\ttab",
    "NULL",
]


class Color(StrEnum):
    RED = "red"


async def stored(db: Database, column: str, value: Any, *, by_append: bool = True) -> Any:
    """What comes back for `value`."""
    row = {"id": f"v{next(NUMBERS)}", "tenant_id": "default", column: value}
    if by_append:
        await db.append(Append(items=((ADD, row),)))
    else:
        await db.write(lambda conn: conn.execute(ADD, row) and None)
    return await db.read(lambda conn: conn.execute(select(values.c[column]).where(values.c.id == row["id"])).scalar_one())


ROUND_TRIPS: list[tuple[str, Any]] = [
    ("at", MOMENT),
    ("at", datetime(1970, 1, 1, tzinfo=UTC)),
    ("at", datetime(2999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ("at", None),
    ("name", "x" * 20),
    ("name", "🙂" * 20),
    ("json", {"b": [1, 2.5, None, True], "a": {"é": "🙂", "nul": "\x00"}}),
    ("json", []),
    ("json", "text"),
    ("json", 0),
    ("json", False),
    ("json", None),
    ("long", "é🙂\n" * 262_144),
    ("long", None),
    ("body", bytes(range(256)) * 4096),
    ("body", b""),
    ("body", None),
    ("flag", True),
    ("flag", False),
    ("flag", None),
]


@pytest.mark.parametrize("by_append", [True, False], ids=["append", "write"])
async def test_a_value_comes_back_as_it_was(database_url: str, by_append: bool) -> None:
    async with opened(database_url) as db:
        found = [await stored(db, column, value, by_append=by_append) for column, value in ROUND_TRIPS]
    assert [(value, type(value)) for value in found] == [(value, type(value)) for _, value in ROUND_TRIPS]


async def test_awkward_texts_come_back_as_they_were_many_at_once(database_url: str) -> None:
    async with opened(database_url) as db:
        rows = [{"id": f"v{n}", "tenant_id": "t", "long": text, "json": {"text": text}} for n, text in enumerate(AWKWARD_TEXTS)]
        await asyncio.gather(*(db.append(Append(items=((ADD, row),))) for row in rows))
        query = select(values.c["long"], values.c["json"]).order_by(values.c.id)
        found = await db.read(lambda conn: [(row[0], row[1]) for row in conn.execute(query)])
    assert found == [(text, {"text": text}) for text in AWKWARD_TEXTS]


async def test_a_time_in_another_zone_comes_back_in_utc(database_url: str) -> None:
    async with opened(database_url) as db:
        found = await stored(db, "at", MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30))))
    assert (found, found.utcoffset()) == (MOMENT, timedelta(0))


async def test_a_time_without_a_zone_is_refused(database_url: str) -> None:
    async with opened(database_url) as db:
        with pytest.raises(ValueRefused, match="time zone"):
            await stored(db, "at", MOMENT.replace(tzinfo=None))


async def test_times_compare_to_the_microsecond(database_url: str) -> None:
    async with opened(database_url) as db:
        rows = [{"id": f"v{n}", "tenant_id": "t", "at": MOMENT + timedelta(microseconds=n)} for n in (-1, 0, 1)]
        await db.write(lambda conn: conn.execute(ADD, rows) and None)
        query = select(values.c.id).where(values.c.at <= MOMENT).order_by(values.c.at)
        assert await db.read(lambda conn: list(conn.execute(query).scalars())) == ["v-1", "v0"]


async def test_ids_are_compared_exactly(database_url: str) -> None:
    """Case, accents, normal forms and trailing spaces all count."""
    ids = ["RUN_A", "Run_A", "run_a", "run_a ", "rún_a", "ru\u0301n_a"]
    async with opened(database_url) as db:
        await db.append(Append(items=tuple(note(note_id) for note_id in ids)))
        for note_id in ids:
            query = select(notes.c.id).where(notes.c.id == note_id)
            assert await db.read(lambda conn, query=query: list(conn.execute(query).scalars())) == [note_id]
        with pytest.raises(Duplicate):
            await db.append(Append(items=(note("run_a"),)))
        # The same order everywhere, so that a page that ends at an id can be continued on any database.
        assert await note_ids(db) == sorted(ids)


async def test_a_text_that_is_too_long_is_refused_and_not_cut(database_url: str) -> None:
    async with opened(database_url) as db:
        with pytest.raises(ValueRefused) as caught:
            await stored(db, "name", "x" * 21)
        assert caught.value.details == {"limit": 20}
        with pytest.raises(ValueRefused):
            await db.append(Append(items=(note("x" * 65),)))


async def test_a_member_of_a_string_enum_is_its_text(database_url: str) -> None:
    async with opened(database_url) as db:
        assert await stored(db, "name", Color.RED) == "red"
        query = select(values.c.id).where(values.c.name == Color.RED)
        assert await db.read(lambda conn: conn.execute(query).scalar()) is not None


async def test_what_is_no_json_value_is_refused(database_url: str) -> None:
    async with opened(database_url) as db:
        for value in ({"x": object()}, float("nan"), {"lone": "\ud800"}):
            with pytest.raises(ValueRefused, match="JSON"):
                await stored(db, "json", value)


async def test_an_encrypted_value_comes_back_and_is_not_stored_as_it_is(database_url: str) -> None:
    secrets: list[str | bytes] = ["pässword", b"\x00\xff raw", "", b""]
    async with opened(database_url, hooks=Hooks(cipher=Xor())) as db:
        assert [await stored(db, "secret", secret) for secret in secrets] == secrets
        query = "SELECT secret FROM all_values ORDER BY id"
        raw = await db.read(lambda conn: [bytes(value) for value in conn.exec_driver_sql(query).scalars()])
    plain = [b"tp\xc3\xa4ssword", b"b\x00\xff raw", b"t", b"b"]
    assert raw == [Xor().encrypt(value, context=b"all_values.secret") for value in plain]


async def test_an_encrypted_column_may_be_null(database_url: str) -> None:
    async with opened(database_url, hooks=Hooks(cipher=Xor())) as db:
        assert await stored(db, "secret", None) is None


async def test_an_encrypted_column_takes_only_text_and_bytes(database_url: str) -> None:
    async with opened(database_url, hooks=Hooks(cipher=Xor())) as db:
        with pytest.raises(ValueRefused):
            await stored(db, "secret", 42)


async def test_without_a_cipher_an_encrypted_column_neither_takes_nor_shows_anything(database_url: str) -> None:
    async with opened(database_url, hooks=Hooks(cipher=Xor())) as db:
        await stored(db, "secret", "hidden")
    async with opened(database_url, create=False) as db:
        with pytest.raises(CipherMissing):
            await db.append(Append(items=((ADD, {"id": "v2", "tenant_id": "t", "secret": "plain"}),)))
        with pytest.raises(CipherMissing):
            await db.read(lambda conn: conn.execute(select(values.c.secret)).scalar())


async def test_two_open_databases_each_use_their_own_cipher(database_url: str, tmp_path: Any) -> None:
    other = f"sqlite:///{tmp_path / 'other.sqlite'}"
    async with opened(database_url, hooks=Hooks(cipher=Xor(1))) as one, opened(other, hooks=Hooks(cipher=Xor(2))) as two:
        assert await stored(one, "secret", "same") == await stored(two, "secret", "same")
        raw = [await db.read(lambda conn: bytes(conn.exec_driver_sql("SELECT secret FROM all_values").scalar_one())) for db in (one, two)]
    assert raw[0] != raw[1]


async def test_db_now_is_the_database_servers_clock_and_takes_offsets(database_url: str) -> None:
    clock = FrozenClock()
    async with opened(database_url, clock=clock) as db:
        found = await db.read(lambda conn: [conn.execute(select(db_now(offset))).scalar_one() for offset in (0, 90.25, -3600)])
    if database_url.startswith("sqlite"):
        assert found == [clock.now() + timedelta(seconds=offset) for offset in (0, 90.25, -3600)]
    else:
        # Each statement has its own moment, so the differences are only nearly those asked for.
        assert found[1] - found[0] - timedelta(seconds=90.25) < timedelta(seconds=5)
        assert timedelta(0) <= found[2] - found[0] + timedelta(seconds=3600) < timedelta(seconds=5)
    assert all(moment.utcoffset() == timedelta(0) for moment in found)


async def test_db_now_moves_with_the_injected_clock_on_sqlite(sqlite_url: str) -> None:
    clock = FrozenClock()
    async with opened(sqlite_url, clock=clock) as db:
        before = await db.read(lambda conn: conn.execute(select(db_now())).scalar_one())
        clock.advance(12.5)
        after = await db.write(lambda conn: conn.execute(select(db_now())).scalar_one())
    assert after - before == timedelta(seconds=12.5)


async def test_a_lease_set_and_compared_by_the_database(database_url: str) -> None:
    """Leases are written as db_now plus seconds (or plus a column) and compared with db_now in the same units."""
    async with opened(database_url) as db:
        await db.append(Append(items=((ADD, {"id": "v1", "tenant_id": "t"}), note("n1", number=-5), note("n2", number=60))))
        await db.write(lambda conn: conn.execute(update(values).values(at=db_now(30))) and None)
        ahead = select(values.c.id).where(values.c.at > db_now(29), values.c.at < db_now(31))
        assert await db.read(lambda conn: conn.execute(ahead).scalar()) == "v1"
        late = select(notes.c.id).where(db_now(notes.c.number) > db_now())
        assert await db.read(lambda conn: list(conn.execute(late).scalars())) == ["n2"]
        inserted = insert(values).values(id="v2", tenant_id="t", at=db_now(-0.5))
        await db.append(Append(items=((inserted, {}),)))
        past = select(values.c.id).where(values.c.at < db_now(), values.c.at > db_now(-30))
        assert await db.read(lambda conn: list(conn.execute(past).scalars())) == ["v2"]
