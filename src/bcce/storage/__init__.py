"""The database behind two doors to write and one to read; knows no domain.

SQLite in a file with one writer thread, or PostgreSQL, MySQL and MariaDB over the network: callers cannot tell.
"""

from bcce.storage.doors import Append, Cipher, Database, DialectName, Fence, Hooks, Item, Options, open_database, run
from bcce.storage.errors import (
    CipherMissing,
    CommitUnknown,
    DatabaseBusy,
    DatabaseLocked,
    DatabaseUnavailable,
    Duplicate,
    ReadOnly,
    RowRefused,
    StaleEpoch,
    UnknownDatabase,
    ValueRefused,
)
from bcce.storage.metadata import metadata
from bcce.storage.outbox import OutboxRow, advance_cursor, assign_positions, cursor, event_item, read_after
from bcce.storage.returning import update_returning
from bcce.storage.upsert import upsert

__all__ = [
    "Append",
    "Cipher",
    "CipherMissing",
    "CommitUnknown",
    "Database",
    "DatabaseBusy",
    "DatabaseLocked",
    "DatabaseUnavailable",
    "DialectName",
    "Duplicate",
    "Fence",
    "Hooks",
    "Item",
    "Options",
    "OutboxRow",
    "ReadOnly",
    "RowRefused",
    "StaleEpoch",
    "UnknownDatabase",
    "ValueRefused",
    "advance_cursor",
    "assign_positions",
    "cursor",
    "event_item",
    "metadata",
    "open_database",
    "read_after",
    "run",
    "update_returning",
    "upsert",
]
