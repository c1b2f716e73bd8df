"""Column types that mean the same on SQLite, PostgreSQL, MySQL and MariaDB: the one place that knows the differences.

Ids and names compare byte by byte everywhere: case counts, trailing spaces count, order is code point order. Times are aware UTC
with microseconds.
"""

import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Dialect, Double, LargeBinary, String, Text, literal
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import DateTime, TypeDecorator, TypeEngine

from bcce.kit.clock import format_time, parse_time
from bcce.kit.text import canonical_text
from bcce.storage.errors import CipherMissing, ValueRefused

#: Attribute of an engine's dialect under which `open_database` leaves the cipher, so that each open database has its own.
CIPHER_ATTRIBUTE = "bcce_cipher"
#: SQL function that an SQLite connection of ours has: the injected clock plus an offset in seconds, in the text form of `UtcDateTime`.
NOW_FUNCTION = "bcce_now"


def _exact_collation(dialect: Dialect) -> str:
    """The collation that equates nothing; MySQL and MariaDB gave theirs different names."""
    return "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"


class Name(TypeDecorator[str]):
    """Text of at most `length` characters that is compared exactly: names, keys, states. A longer value is refused, never cut."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The dialect's string type with its exact collation."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.VARCHAR(self.length, charset="utf8mb4", collation=_exact_collation(dialect)))
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.VARCHAR(self.length, collation="C"))
        return dialect.type_descriptor(String(self.length))

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """Checks the length, because SQLite does not. One plain function: half of all values that BCCE writes pass through here."""
        limit = self.length

        def process(value: str | None) -> str | None:
            if value is not None and len(value) > limit:
                raise ValueRefused(f"a text of {len(value)} characters does not fit a column of {limit}", details={"limit": limit})
            return value

        return process


class Id(Name):
    """An id or another short key, at most 64 characters, compared exactly."""

    cache_ok = True

    def __init__(self) -> None:
        super().__init__(64)


@lru_cache(maxsize=1024)
def _text_of(moment: datetime) -> str:
    """`format_time`, once for the several columns and rows of one commit that hold the same moment."""
    return format_time(moment)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware, UTC, microseconds. Fixed-width text on SQLite, so that text order is time order."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """`timestamptz`, `DATETIME(6)` or text."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(String(27))

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """The dialect's form of a moment; refuses one without a time zone. One plain function, as with `Name`."""
        name = dialect.name

        def process(value: datetime | None) -> Any:
            if value is None:
                return None
            if value.tzinfo is None:
                raise ValueRefused("a time without a time zone cannot be stored")
            if name == "sqlite":
                return _text_of(value)
            in_utc = value.astimezone(UTC)
            return in_utc if name == "postgresql" else in_utc.replace(tzinfo=None)

        return process

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """The same for a value that stands in a statement's text."""
        return self.bind_processor(dialect)(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """The moment in UTC."""
        if value is None:
            return None
        if isinstance(value, str):
            return parse_time(value)
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class LongText(TypeDecorator[str]):
    """Text of any length (up to 4 GiB on MariaDB, 1 GiB elsewhere); not for comparing."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """`TEXT` or `LONGTEXT`."""
        if dialect.name in ("mysql", "mariadb"):
            return mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_bin")
        # Not by way of the dialect's descriptor: asyncpg's would call it VARCHAR.
        return Text()


class Json(TypeDecorator[Any]):
    """A JSON value as canonical text; None is NULL. Text, so that what is read back is exactly what was digested."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """`TEXT` or `LONGTEXT`."""
        return LongText().load_dialect_impl(dialect)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """Canonical JSON; refuses what is no JSON value. One plain function, as with `Name`."""

        def process(value: Any) -> str | None:
            if value is None:
                return None
            try:
                return canonical_text(value)
            except (TypeError, ValueError) as error:
                raise ValueRefused(f"not a JSON value: {error}") from error

        return process

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """The same for a value that stands in a statement's text."""
        return self.bind_processor(dialect)(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """The parsed value."""
        return None if value is None else json.loads(value)


class Compressed(bytes):
    """What `CompressedBytes` makes of large content, made beforehand, so that no transaction has to wait for it."""

    @classmethod
    def of(cls, value: bytes) -> "Compressed":
        """Level 1: twice as fast as the default, and webhook bodies shrink nearly as well."""
        return cls(zlib.compress(value, 1))


class CompressedBytes(TypeDecorator[bytes]):
    """Bytes, stored zlib-compressed; for bodies that are kept but seldom read. `Compressed` bytes are taken as they are."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """`BLOB`, `BYTEA` or `LONGBLOB`."""
        return _blob(dialect)

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """The compressed bytes, as plain bytes: not every driver takes another type."""
        if value is None:
            return None
        return bytes(value if isinstance(value, Compressed) else Compressed.of(value))

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        """The bytes as they were."""
        return None if value is None else zlib.decompress(value)


class Encrypted(TypeDecorator[Any]):
    """Text or bytes that only this installation's key can read; what goes in as text comes out as text.

    Args:
        context: `table.column`; a ciphertext that is moved to another column does not decrypt there.
    """

    impl = LargeBinary
    cache_ok = True

    def __init__(self, context: str = "") -> None:
        super().__init__()
        self.context = context

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """`BLOB`, `BYTEA` or `LONGBLOB`."""
        return _blob(dialect)

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """The ciphertext.

        Raises:
            CipherMissing: the database was opened without a cipher.
            ValueRefused: neither text nor bytes.
        """
        if value is None:
            return None
        if isinstance(value, str):
            plain = b"t" + value.encode()
        elif isinstance(value, bytes):
            plain = b"b" + value
        else:
            raise ValueRefused(f"an encrypted column takes text or bytes, not {type(value).__name__}")
        return bytes(_cipher(dialect).encrypt(plain, context=self.context.encode()))

    def process_result_value(self, value: Any, dialect: Dialect) -> str | bytes | None:
        """The plain value.

        Raises:
            CipherMissing: the database was opened without a cipher.
        """
        if value is None:
            return None
        plain = bytes(_cipher(dialect).decrypt(bytes(value), context=self.context.encode()))
        return plain[1:].decode() if plain[:1] == b"t" else plain[1:]


def _cipher(dialect: Dialect) -> Any:
    cipher = getattr(dialect, CIPHER_ATTRIBUTE, None)
    if cipher is None:
        raise CipherMissing
    return cipher


def _blob(dialect: Dialect) -> TypeEngine[Any]:
    return dialect.type_descriptor(mysql.LONGBLOB() if dialect.name in ("mysql", "mariadb") else LargeBinary())


def tenant_column() -> Column[str]:
    """The column that says whose row this is; every table has it."""
    return Column("tenant_id", Id(), nullable=False)


class _DbNow(FunctionElement[datetime]):
    """The present moment of the database's clock, moved by its only argument, seconds."""

    name = NOW_FUNCTION
    inherit_cache = True
    type = UtcDateTime()


@compiles(_DbNow)  # SQLite: the function that `open_database` registers, fed by the injected clock
def _now_sqlite(element: _DbNow, compiler: SQLCompiler, **kw: Any) -> str:
    return f"{NOW_FUNCTION}({compiler.process(element.clauses, **kw)})"


@compiles(_DbNow, "postgresql")
def _now_postgresql(element: _DbNow, compiler: SQLCompiler, **kw: Any) -> str:
    # Not now(): a transaction that waited for a lock would see the time before the wait. Not clock_timestamp(): it cannot use an index.
    return f"(statement_timestamp() + make_interval(secs => {compiler.process(element.clauses, **kw)}))"


@compiles(_DbNow, "mysql")
@compiles(_DbNow, "mariadb")
def _now_mysql(element: _DbNow, compiler: SQLCompiler, **kw: Any) -> str:
    # MICROSECOND, because the SECOND unit loses fractions that come as floating point numbers.
    return f"(UTC_TIMESTAMP(6) + INTERVAL ROUND(1000000 * ({compiler.process(element.clauses, **kw)})) MICROSECOND)"


def db_now(offset_s: float | ColumnElement[Any] = 0) -> ColumnElement[datetime]:
    """The database's own clock plus `offset_s` seconds (may be negative, or a column), for leases and timers.

    On SQLite it is the clock that `open_database` was given. Each statement sees one moment on servers.
    """
    return _DbNow(literal(float(offset_s), Double()) if isinstance(offset_s, int | float) else offset_s)
