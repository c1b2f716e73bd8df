"""A server is known by the lock on its file, not by a number that another process may have by now."""

import json
import os
from pathlib import Path

from bcce.cli.server_file import SERVER_FILE, announced, read_server


def test_a_server_is_found_as_long_as_it_lives(tmp_path: Path) -> None:
    assert read_server(tmp_path) is None
    with announced(tmp_path, "http://127.0.0.1:1"):
        assert read_server(tmp_path) == {"url": "http://127.0.0.1:1", "token": str(tmp_path / "admin.token"), "pid": os.getpid()}
        assert (tmp_path / SERVER_FILE).stat().st_mode & 0o777 == 0o600
    assert (read_server(tmp_path), (tmp_path / SERVER_FILE).exists()) == (None, False)


def test_what_a_dead_server_left_says_nothing_whoever_has_its_number_now(tmp_path: Path) -> None:
    (tmp_path / SERVER_FILE).write_text(json.dumps({"url": "http://127.0.0.1:1", "token": "t", "pid": os.getpid()}))
    assert read_server(tmp_path) is None

    with announced(tmp_path, "http://127.0.0.1:2"):
        found = read_server(tmp_path)
    assert found is not None
    assert found["url"] == "http://127.0.0.1:2"


def test_a_folder_that_is_not_there_has_no_server(tmp_path: Path) -> None:
    assert read_server(tmp_path / "nowhere") is None
