"""Files that a command is given, and that it writes."""

import sys
from pathlib import Path

from bcce.kit.errors import InvalidInput

#: The name that means standard input, or standard output.
STDIN = "-"
_HINT = "name a file, or - for standard input"


def read_bytes(file: str) -> bytes:
    """What is in a file, or comes on standard input.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}", hint=_HINT) from error
    except ValueError as error:
        raise InvalidInput(f"{file!r} is no name of a file", hint=_HINT) from error


def read_text(file: str) -> str:
    """The text of a file, or of standard input.

    Raises:
        InvalidInput: it cannot be read, or is no UTF-8.
    """
    try:
        return read_bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} cannot be read: byte {error.start} is no UTF-8", hint="save it as UTF-8") from error


def write_bytes(file: str, content: bytes, *, force: bool) -> None:
    """Writes a file, or with `-` to standard output; a file that is there is only overwritten with `force`.

    Raises:
        InvalidInput: it is there, or cannot be written.
    """
    if file == STDIN:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        # Asked for in one step with the opening, so that a file that comes in between is kept too.
        with Path(file).open("wb" if force else "xb") as stream:
            stream.write(content)
    except FileExistsError as error:
        raise InvalidInput(f"{file} is there already", hint="--force overwrites it") from error
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}", hint="name a file in a folder that is there") from error
    except ValueError as error:
        raise InvalidInput(f"{file!r} is no name of a file", hint="name a file, or - for standard output") from error
