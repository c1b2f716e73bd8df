"""The file in which a server says where it listens, and how others know that it still does."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bcce.kit.errors import Unavailable

SERVER_FILE = "server.json"


@contextmanager
def announced(where: Path, address: str) -> Iterator[None]:
    """Says as long as the context lasts that the server of `where` listens at `address`; by rename, so that nobody reads half a file.

    The file is locked meanwhile. The system takes the lock away however the process dies, and a number of a process would not do: in a
    container each server has the same one, and elsewhere it may be another program's by now.
    """
    part = where / f"{SERVER_FILE}.part"
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, json.dumps({"url": address, "token": str(where / "admin.token"), "pid": os.getpid()}).encode())
        part.replace(where / SERVER_FILE)
        yield
    finally:
        (where / SERVER_FILE).unlink(missing_ok=True)
        os.close(descriptor)


def read_server(where: Path) -> dict[str, Any] | None:
    """The running server's address and token path, None when none runs.

    Raises:
        Unavailable: the file cannot be read.
    """
    try:
        descriptor = os.open(where / SERVER_FILE, os.O_RDONLY)
    except PermissionError as error:
        raise Unavailable(f"{where} cannot be read", hint="run as the account that runs the server, or set BCCE_HOME") from error
    except OSError:  # no file, or no folder
        return None
    with os.fdopen(descriptor, encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            return None
        try:
            found: dict[str, Any] = json.load(file)
        except ValueError:  # nothing in it that a server has written
            return None
        return found
