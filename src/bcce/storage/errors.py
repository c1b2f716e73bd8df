"""What can go wrong between BCCE and its database.

Conflict
├── StaleEpoch              a fence was refused: another worker owns the run
└── Duplicate               a row with this key is there already
InvalidInput
├── ValueRefused            a value does not fit its column
└── UnknownDatabase         the URL names no database that BCCE can use
Unavailable
└── DatabaseUnavailable     no connection, no answer, closed, or crashed
    ├── DatabaseLocked      another process has this SQLite file
    ├── DatabaseBusy        too many writes are waiting already
    └── CommitUnknown       the connection was lost while the commit was under way
Unexpected
├── RowRefused              a row breaks a rule of the schema: a bug
├── ReadOnly                something tried to write through `read`: a bug
└── CipherMissing           an encrypted column without a cipher
"""

from pathlib import Path

from bcce.kit.errors import Conflict, InvalidInput, Unavailable, Unexpected


class StaleEpoch(Conflict):
    """The run is owned under another epoch; nothing was written."""

    code = "stale-epoch"


class Duplicate(Conflict):
    """A row with this key is there already."""

    code = "duplicate"


class ValueRefused(InvalidInput):
    """A value does not fit its column."""

    code = "value-refused"


class UnknownDatabase(InvalidInput):
    """The database URL cannot be used."""

    code = "unknown-database"


class DatabaseUnavailable(Unavailable):
    """The database does not answer; nothing was stored."""

    code = "database-unavailable"


class DatabaseLocked(DatabaseUnavailable):
    """Another process has this database open.

    `path` is the lock file; `pid` is the process that wrote itself into it, None when it cannot be read.
    """

    code = "database-locked"

    def __init__(self, path: Path, *, pid: int | None) -> None:
        self.path, self.pid = path, pid
        owner = f"process {pid}" if pid is not None else "another process"
        super().__init__(
            f"{owner} has the database open (lock file {path})",
            hint="talk to the running server, or stop it first; the lock goes with its process, never delete the file",
            details={"path": str(path), "pid": pid},
        )


class DatabaseBusy(DatabaseUnavailable):
    """Too many writes are waiting; this one was not taken."""

    code = "database-busy"


class CommitUnknown(DatabaseUnavailable):
    """The database did not say whether it stored this; read before you write it again."""

    code = "commit-unknown"
    # A blind second attempt could find its own first one and report a conflict that is none.
    retryable = False


class RowRefused(Unexpected):
    """The database refused a row that breaks a rule of its schema."""

    code = "row-refused"


class ReadOnly(Unexpected):
    """A read tried to change the database."""

    code = "read-only"


class CipherMissing(Unexpected):
    """The database was opened without the cipher that an encrypted column needs."""

    code = "cipher-missing"
