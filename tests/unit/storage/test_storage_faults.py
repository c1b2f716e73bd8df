"""What each driver's error means."""

import sqlite3
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError, InterfaceError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bcce.kit.errors import Conflict, ExitCode, InvalidInput, Unavailable, Unexpected
from bcce.storage import errors
from bcce.storage.errors import CommitUnknown, DatabaseBusy, DatabaseUnavailable, Duplicate, ReadOnly, RowRefused, StaleEpoch, ValueRefused
from bcce.storage.faults import caused, is_definite, is_disconnect, is_isolatable, is_missing_table, is_transient, translate


class DriverError(Exception):
    """An error as asyncpg's adapter (`sqlstate`) or asyncmy (a number as first argument) raises it."""

    def __init__(self, *arguments: Any, sqlstate: str | None = None) -> None:
        super().__init__(*arguments)
        self.sqlstate = sqlstate


def state(code: str, *, lost: bool = False) -> DBAPIError:
    """PostgreSQL's error `code`."""
    return DBAPIError("INSERT", {}, DriverError("secret value", sqlstate=code), connection_invalidated=lost)


def number(code: int, *, lost: bool = False) -> DBAPIError:
    """MySQL's error `code`."""
    return DBAPIError("INSERT", {}, DriverError(code, "secret value"), connection_invalidated=lost)


def sqlite_error(statement: str, *values: Any, setup: str = "") -> DBAPIError:
    """The error of SQLite for `statement`."""
    conn = sqlite3.connect(":memory:")
    conn.executescript("PRAGMA foreign_keys=ON; CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, p TEXT REFERENCES t (id)) STRICT;" + setup)
    try:
        conn.execute(statement, values)
    except sqlite3.Error as error:
        kind = InterfaceError if isinstance(error, sqlite3.InterfaceError) else DBAPIError
        return kind("INSERT", {}, error)
    finally:
        conn.close()
    raise AssertionError("that was no error")


ROW = "INSERT INTO t (id) VALUES ('a');"

CASES = [
    ("sqlite key", sqlite_error(ROW, setup=ROW), Duplicate),
    ("sqlite null", sqlite_error("INSERT INTO t (id) VALUES (NULL)"), RowRefused),
    ("sqlite parent", sqlite_error("INSERT INTO t VALUES ('a', 'nobody')"), RowRefused),
    ("sqlite read-only", sqlite_error(ROW, setup="PRAGMA query_only=ON;"), ReadOnly),
    ("sqlite type", sqlite_error("INSERT INTO t (id) VALUES (?)", object()), ValueRefused),
    (
        "sqlite full",
        sqlite_error("INSERT INTO t VALUES (hex(zeroblob(9000)), NULL)", setup="PRAGMA max_page_count=1;"),
        DatabaseUnavailable,
    ),
    ("pg key", state("23505"), Duplicate),
    ("pg parent", state("23503"), RowRefused),
    ("pg null", state("23502"), RowRefused),
    ("pg too long", state("22001"), ValueRefused),
    ("pg range", state("22003"), ValueRefused),
    ("pg nul character", state("22021"), ValueRefused),
    ("pg read-only", state("25006"), ReadOnly),
    ("pg deadlock", state("40P01"), DatabaseUnavailable),
    ("pg connection", state("08006"), DatabaseUnavailable),
    ("pg too many connections", state("53300"), DatabaseUnavailable),
    ("pg shutdown", state("57P01"), DatabaseUnavailable),
    ("pg lost", state("99999", lost=True), DatabaseUnavailable),
    ("mysql key", number(1062), Duplicate),
    ("mysql parent", number(1452), RowRefused),
    ("mysql null", number(1048), RowRefused),
    ("mysql too long", number(1406), ValueRefused),
    ("mysql packet", number(1153), ValueRefused),
    ("mysql read-only", number(1792), ReadOnly),
    ("mysql deadlock", number(1213), DatabaseUnavailable),
    ("mysql gone", number(2006), DatabaseUnavailable),
    ("mysql disk full", number(1114), DatabaseUnavailable),
    ("no free connection", PoolTimeout(), DatabaseBusy),
]


@pytest.mark.parametrize(("error", "expected"), [pytest.param(error, expected, id=name) for name, error, expected in CASES])
def test_a_drivers_error_becomes_ours(error: Exception, expected: type[Exception]) -> None:
    found = translate(error)
    assert type(found) is expected
    assert "secret value" not in f"{found} {getattr(found, 'details', '')}"


def test_a_mistake_in_the_sql_stays_what_it_is() -> None:
    for error in (state("42601"), number(1064), sqlite_error("SELEKT 1"), LookupError("a caller's own"), OSError("a caller's own")):
        assert translate(error) is error


def test_an_error_of_ours_that_sqlalchemy_wrapped_comes_out_again() -> None:
    inner = ValueRefused("too long")
    assert translate(StatementError("wrapped", "INSERT", {}, inner)) is inner


def test_the_drivers_error_stays_the_cause() -> None:
    error = number(1062)
    assert caused(error).__cause__ is error
    own = LookupError()
    assert (caused(own), own.__cause__) == (own, None)


def test_what_is_repeated_at_once() -> None:
    transient = [state("40001"), state("40P01"), state("55P03"), number(1213), number(1205), number(1020)]
    assert [is_transient(error) for error in transient] == [True] * 6
    assert [is_transient(error) for error in (state("23505"), number(1062), sqlite_error(ROW, setup=ROW), LookupError())] == [False] * 4


def test_what_is_a_lost_connection() -> None:
    assert [is_disconnect(error) for error in (state("08006"), state("57P01", lost=True), number(2013, lost=True))] == [True] * 3
    assert [is_disconnect(error) for error in (state("57P01"), number(1062), OSError())] == [False] * 3


def test_what_only_its_own_statement_suffers_from() -> None:
    alone = [state("23505"), number(1406), sqlite_error(ROW, setup=ROW), LookupError(), DatabaseUnavailable()]
    assert [is_isolatable(error) for error in alone] == [True] * 5
    # A deadlock has undone the whole transaction, a full disk will fail the next statement too.
    all_of_it = [state("40P01"), number(1213), state("53100"), state("99999", lost=True), CASES[5][1]]
    assert [is_isolatable(error) for error in all_of_it] == [False] * 5


def test_after_which_failed_commit_nothing_was_stored_for_sure() -> None:
    orphan = "PRAGMA defer_foreign_keys=ON; BEGIN; INSERT INTO t VALUES ('a', 'nobody');"
    sure = [state("23503"), state("40001"), number(1213), number(1452), sqlite_error("COMMIT", setup=orphan), CASES[5][1]]
    assert [is_definite(error) for error in sure] == [True] * 6
    unsure = [state("08006"), state("57P01"), number(2013), state("40001", lost=True), LookupError()]
    assert [is_definite(error) for error in unsure] == [False] * 5


def test_a_schema_that_was_not_made_yet() -> None:
    assert [is_missing_table(error) for error in (state("42P01"), number(1146), state("42601"), LookupError())] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("error", "parent", "code", "status", "retryable"),
    [
        (StaleEpoch, Conflict, "stale-epoch", 409, False),
        (Duplicate, Conflict, "duplicate", 409, False),
        (ValueRefused, InvalidInput, "value-refused", 400, False),
        (errors.UnknownDatabase, InvalidInput, "unknown-database", 400, False),
        (DatabaseUnavailable, Unavailable, "database-unavailable", 503, True),
        (errors.DatabaseLocked, DatabaseUnavailable, "database-locked", 503, True),
        (DatabaseBusy, DatabaseUnavailable, "database-busy", 503, True),
        (CommitUnknown, DatabaseUnavailable, "commit-unknown", 503, False),
        (RowRefused, Unexpected, "row-refused", 500, False),
        (ReadOnly, Unexpected, "read-only", 500, False),
        (errors.CipherMissing, Unexpected, "cipher-missing", 500, False),
    ],
)
def test_every_error_has_its_place_in_the_tree(error: Any, parent: type[Exception], code: str, status: int, retryable: bool) -> None:
    assert issubclass(error, parent)
    assert (error.code, error.status, error.retryable) == (code, status, retryable)
    assert isinstance(error.exit_code, ExitCode)
