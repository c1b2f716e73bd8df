"""The lock that keeps a second process away from a SQLite file."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bcce.kit.errors import BcceError
from bcce.storage.errors import DatabaseLocked, DatabaseUnavailable


def lock_path(database: Path) -> Path:
    """The lock file that belongs to a database file."""
    return database.with_name(f"{database.name}.lock")


@contextmanager
def locked(database: Path, *, owner: str) -> Iterator[None]:
    """Hold the lock of `database` as long as the context lasts; the system releases it when the process dies in any way.

    The file stays: deleting it would let a third process lock a new file while a second still waits for the old one.

    Args:
        owner: id of this opening; written into the file with the process id, for people and for the message of whoever comes second.

    Raises:
        DatabaseLocked: another process, or another opening in this one, has it.
        DatabaseUnavailable: the lock file cannot be made.
    """
    path = lock_path(database)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DatabaseLocked(path, pid=_owner_pid(descriptor)) from error
        except OSError as error:
            raise _unusable(path, error) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "owner": owner}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _owner_pid(descriptor: int) -> int | None:
    try:
        pid = json.loads(os.pread(descriptor, 1000, 0))["pid"]
    except (ValueError, KeyError, TypeError):
        return None  # the owner has not written it yet
    return pid if isinstance(pid, int) else None


def _unusable(path: Path, error: OSError) -> BcceError:
    return DatabaseUnavailable(
        f"cannot lock {path}: {error.strerror}", hint="the folder must exist and be writable, on a file system with locks"
    )
