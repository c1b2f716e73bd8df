"""What a script leaves in its folder for artifacts, read so that nothing which the script did to that folder leads anywhere else."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

#: The folder inside a script's scratch folder whose files are given back; the script cannot make folders.
FOLDER = "artifacts"


@contextlib.contextmanager
def left_files(folder: Path) -> Iterator[int]:
    """The folder for files that are given back, opened before the script can put something else in its place."""
    (folder / FOLDER).mkdir()
    opened = os.open(folder / FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield opened
    finally:
        os.close(opened)


def read_files(folder: int, limit_bytes: int) -> dict[str, bytes] | None:
    """The plain files in an opened folder, by name; None when they are too large together, which files with holes can be.

    Nobody writes to them any more. A link, a pipe or a second name of another file is passed over: it could lead out of the folder.
    """
    found: dict[str, bytes] = {}
    for name in sorted(os.listdir(folder)):
        try:
            opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except OSError:
            continue
        with os.fdopen(opened, "rb") as file:
            about = os.fstat(opened)
            if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
                continue
            limit_bytes -= about.st_size
            if limit_bytes < 0:
                return None
            found[name] = file.read(about.st_size)
    return found
