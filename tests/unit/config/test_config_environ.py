"""The process's environment, read in one place."""

from pathlib import Path

import pytest

from bcce.config.environ import clean_environ, default_home, expand, process_environ


def test_the_environment_is_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BCCE_TEST_COPY", "before")
    copy = process_environ()
    monkeypatch.setenv("BCCE_TEST_COPY", "after")
    assert copy["BCCE_TEST_COPY"] == "before"


def test_a_child_gets_what_it_needs_and_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.setenv("BCCE_HOME", "/srv")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("LD_PRELOAD", "/evil.so")
    child = clean_environ()
    assert child["PATH"] == "/bin"
    assert not {"BCCE_HOME", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD"} & set(child)


def test_a_child_also_gets_what_it_is_given_which_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "C")
    assert {"LANG": "de", "BCCE_TEST_X": "1"}.items() <= clean_environ({"LANG": "de", "BCCE_TEST_X": "1"}).items()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"BCCE_HOME": "/srv/bcce", "XDG_STATE_HOME": "/state"}, "/srv/bcce"),
        ({"BCCE_HOME": "~/x", "HOME": "/people/me"}, "/people/me/x"),
        ({"BCCE_HOME": "", "XDG_STATE_HOME": "/state"}, "/state/bcce"),
        ({"XDG_STATE_HOME": "", "HOME": "/people/me"}, "/people/me/.local/state/bcce"),
    ],
)
def test_the_default_home_follows_the_xdg_specification(environ: dict[str, str], expected: str) -> None:
    assert str(default_home(environ)) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a/b", "/a/b"),
        ("~", "/people/me"),
        ("~/b", "/people/me/b"),
        ("b/c", "/base/b/c"),
        ("~other/b", "/base/~other/b"),
        (Path("b"), "/base/b"),
    ],
)
def test_expand_makes_a_path_absolute(path: str | Path, expected: str) -> None:
    assert str(expand(path, {"HOME": "/people/me"}, Path("/base"))) == expected


def test_expand_without_a_home_variable_asks_the_system() -> None:
    assert expand("~/b", {}, Path("/base")) == Path.home() / "b"
