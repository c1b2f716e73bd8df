"""The small parts: the lock file, listeners, the choice by URL, the pause before a repetition."""

import json
import os
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table

from bcce.kit.ids import Ids
from bcce.storage.doors import open_database
from bcce.storage.errors import DatabaseLocked, DatabaseUnavailable, UnknownDatabase
from bcce.storage.listeners import Listeners
from bcce.storage.lockfile import lock_path, locked
from bcce.storage.metadata import metadata
from bcce.storage.outbox import outbox
from bcce.storage.transactor import _pause_s
from bcce.storage.types import Id, tenant_column
from bcce.testing.clock import FrozenClock

fences = Table("fences", MetaData(), Column("id", Id(), primary_key=True), Column("epoch", Integer))


def test_the_lock_names_its_owner_and_is_given_back(tmp_path: Path) -> None:
    database = tmp_path / "x.sqlite"
    for owner in ("wrk_1", "wrk_2"):
        with locked(database, owner=owner):
            assert json.loads(lock_path(database).read_text()) == {"pid": os.getpid(), "owner": owner}
            with pytest.raises(DatabaseLocked) as caught, locked(database, owner="second"):
                pass
            assert (caught.value.path, caught.value.pid) == (tmp_path / "x.sqlite.lock", os.getpid())
    assert lock_path(database).exists()


@pytest.mark.parametrize("content", ["", "[1]", '{"pid": "x"}', "{}"])
def test_a_lock_that_does_not_name_its_owner_still_locks(tmp_path: Path, content: str) -> None:
    database = tmp_path / "x.sqlite"
    with locked(database, owner="wrk_1"):
        lock_path(database).write_text(content)
        with pytest.raises(DatabaseLocked, match="another process") as caught, locked(database, owner="second"):
            pass
    assert caught.value.pid is None


def test_a_lock_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="cannot lock"), locked(tmp_path / "missing" / "x.sqlite", owner="wrk_1"):
        pass


def test_a_failing_listener_keeps_the_others_working() -> None:
    heard: list[str] = []

    def fail() -> None:
        heard.append("failing")
        raise LookupError

    listeners = Listeners(fail)
    listeners.add(lambda: heard.append("second"))
    listeners.notify()
    listeners.notify()
    assert heard == ["failing", "second", "failing", "second"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("oracle://scott:Hunter2@host/x", "oracle"),
        ("postgresql+psycopg2://scott:Hunter2@host/x", r"postgresql\+psycopg2"),
        ("nonsense Hunter2", "no database URL"),
        ("", "no database URL"),
        ("sqlite+aiosqlite:////tmp/x.db", r"sqlite\+aiosqlite"),
        ("sqlite:///relative.db", "absolute"),
    ],
)
async def test_a_url_that_cannot_be_used_is_refused_without_showing_its_password(url: str, said: str) -> None:
    clock = FrozenClock()
    with pytest.raises(UnknownDatabase, match=said) as caught:
        async with open_database(url, clock=clock, ids=Ids(clock), fence_table=fences):
            raise AssertionError("unreachable")
    assert "Hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.details}"


def test_pauses_double_are_spread_and_stay_short() -> None:
    for tries, longest in ((1, 0.005), (2, 0.01), (4, 0.04), (8, 0.5), (30, 0.5)):
        pauses = [_pause_s(tries) for _ in range(50)]
        assert 0 <= min(pauses) < longest / 2 < max(pauses) <= longest


def test_indexes_and_constraints_have_names_that_migrations_can_use() -> None:
    other = MetaData(naming_convention=metadata.naming_convention)
    table = Table("things", other, Column("id", Id(), primary_key=True), tenant_column(), Column("name", Id(), unique=True, index=False))
    assert sorted(str(item.name) for item in table.constraints if item.name) == ["uq_things_name"]
    assert sorted(str(index.name) for index in outbox.indexes) == ["ix_outbox_correlation", "uq_outbox_position"]


def test_every_row_says_whose_it_is() -> None:
    column = tenant_column()
    assert (column.name, column.nullable, type(column.type)) == ("tenant_id", False, Id)
