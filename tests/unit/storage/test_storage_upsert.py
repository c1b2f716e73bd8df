"""What an upsert says in each dialect, and what it refuses."""

from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, case
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.schema import CreateTable

from bcce.storage.types import CompressedBytes, Encrypted, Id, Json, LongText, Name, UtcDateTime, db_now
from bcce.storage.upsert import upsert

metadata = MetaData()
jobs = Table(
    "jobs", metadata, Column("id", Id(), primary_key=True), Column("state", Name(10)), Column("tries", Integer), Column("order", Integer)
)
DIALECTS = {"sqlite": sqlite.dialect(), "postgresql": postgresql.asyncpg.dialect(), "mysql": mysql.asyncmy.dialect()}


def tail(statement: Any, dialect: str) -> str:
    """What follows the VALUES."""
    compiled = str(statement.compile(dialect=DIALECTS[dialect]))
    return compiled[compiled.index(" ON ") + 1 :]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_named_columns_take_the_new_values(dialect: str) -> None:
    statement = upsert(jobs, keys=["id"], changes=["state", "order"])
    assert tail(statement, dialect) == 'ON CONFLICT (id) DO UPDATE SET state = excluded.state, "order" = excluded."order"'


def test_named_columns_take_the_new_values_on_mysql() -> None:
    statement = upsert(jobs, keys=["id"], changes=["state", "order"])
    assert tail(statement, "mysql") == "ON DUPLICATE KEY UPDATE state = VALUES(state), `order` = VALUES(`order`)"


def test_no_changes_leave_the_row_as_it_is() -> None:
    statement = upsert(jobs, keys=["id"])
    assert [tail(statement, dialect) for dialect in DIALECTS] == [
        "ON CONFLICT (id) DO NOTHING",
        "ON CONFLICT (id) DO NOTHING",
        "ON DUPLICATE KEY UPDATE id = id",
    ]


def test_a_condition_is_a_where_or_a_case() -> None:
    statement = upsert(jobs, keys=["id"], changes=["tries"], where=lambda old, new: new.tries > old.tries)
    assert tail(statement, "postgresql") == "ON CONFLICT (id) DO UPDATE SET tries = excluded.tries WHERE excluded.tries > jobs.tries"
    assert tail(statement, "mysql") == (
        "ON DUPLICATE KEY UPDATE tries = CASE WHEN (VALUES(tries) > jobs.tries) THEN VALUES(tries) ELSE jobs.tries END"
    )


def test_a_column_is_assigned_after_all_that_read_its_former_value() -> None:
    """MySQL assigns from left to right, and what is read later is the new value."""
    statement = upsert(
        jobs,
        keys=["id"],
        changes=lambda old, new: {
            "tries": new.tries,
            "order": old.order + old.tries,
            "state": case((old.order > 3, "late"), else_=new.state),
        },
    )
    found = tail(statement, "mysql")
    assert found.index("state =") < found.index("`order` =") < found.index("tries =")


def test_columns_that_need_each_others_former_value_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\['order', 'tries'\] of jobs"):
        upsert(jobs, keys=["id"], changes=lambda old, new: {"tries": old.order, "order": old.tries})


def test_a_condition_on_two_columns_that_both_change_is_refused() -> None:
    with pytest.raises(ValueError, match="former value"):
        upsert(jobs, keys=["id"], changes=["tries", "order"], where=lambda old, new: old.tries < old.order)


def test_constants_are_part_of_the_text_and_tell_statements_apart() -> None:
    one, two = (upsert(jobs, keys=["id"], changes=lambda old, new, n=n: {"tries": old.tries + n, "state": "it's"}) for n in (1, 2))
    assert tail(one, "sqlite") == "ON CONFLICT (id) DO UPDATE SET tries = jobs.tries + 1, state = 'it''s'"
    assert one._generate_cache_key() != two._generate_cache_key()
    same = upsert(jobs, keys=["id"], changes=lambda old, new: {"tries": old.tries + 1, "state": "it's"})
    assert one._generate_cache_key() == same._generate_cache_key()


@pytest.mark.parametrize(
    "wrong", [{"keys": ["nope"]}, {"keys": ["id"], "changes": ["nope"]}, {"keys": ["id"], "changes": lambda o, n: {"nope": 1}}]
)
def test_an_unknown_column_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(KeyError):
        upsert(jobs, **wrong)


def test_a_row_has_only_its_columns() -> None:
    with pytest.raises(AttributeError, match="nope"):
        upsert(jobs, keys=["id"], changes=lambda old, new: {"tries": new.nope})


def test_columns_get_the_types_that_keep_their_values() -> None:
    every = Table(
        "every_type",
        MetaData(),
        Column("id", Id()),
        Column("name", Name(5)),
        Column("at", UtcDateTime()),
        Column("json", Json()),
        Column("long", LongText()),
        Column("body", CompressedBytes()),
        Column("secret", Encrypted("every.secret")),
    )
    mariadb = mysql.asyncmy.dialect(is_mariadb=True)

    def types(dialect: Any) -> dict[str, str]:
        lines = str(CreateTable(every).compile(dialect=dialect)).split("(", 1)[1].rsplit(")", 1)[0]
        return {
            name.strip("`"): kind.rstrip(", ")
            for name, _, kind in (line.strip().partition(" ") for line in lines.splitlines() if line.strip())
        }

    assert types(DIALECTS["sqlite"]) == {
        "id": "VARCHAR(64)",
        "name": "VARCHAR(5)",
        "at": "VARCHAR(27)",
        "json": "TEXT",
        "long": "TEXT",
        "body": "BLOB",
        "secret": "BLOB",
    }
    assert types(DIALECTS["postgresql"]) == {
        "id": 'VARCHAR(64) COLLATE "C"',
        "name": 'VARCHAR(5) COLLATE "C"',
        "at": "TIMESTAMP WITH TIME ZONE",
        "json": "TEXT",
        "long": "TEXT",
        "body": "BYTEA",
        "secret": "BYTEA",
    }
    assert types(mariadb) == {
        "id": "VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
        "name": "VARCHAR(5) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
        "at": "DATETIME(6)",
        "json": "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        "long": "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        "body": "LONGBLOB",
        "secret": "LONGBLOB",
    }
    assert types(DIALECTS["mysql"])["id"] == "VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"


def test_db_now_in_each_dialect() -> None:
    found = {name: str(db_now(5).compile(dialect=dialect)) for name, dialect in DIALECTS.items()}
    assert found == {
        "sqlite": "bcce_now(?)",
        "postgresql": "(statement_timestamp() + make_interval(secs => $1::FLOAT))",
        "mysql": "(UTC_TIMESTAMP(6) + INTERVAL ROUND(1000000 * (%s)) MICROSECOND)",
    }
