"""The one place that reads the process's environment."""

import os
from collections.abc import Mapping
from pathlib import Path

#: Variables that are not `BCCE_<SECTION>__<KEY>`, and what they are for.
SPECIAL = {
    "BCCE_ENV": "which overlay under `environments` applies",
    "BCCE_CONFIG": "path of the configuration file",
    "BCCE_HOME": "the folder for the database, keys and tokens",
    "BCCE_PLUGIN_PATH": "more folders in which plugins are looked for, separated like PATH",
    "BCCE_CLIENT_POOL_SIZE": "connections that each AWS client keeps open",
    "BCCE_DEBUG": "not empty: commands show where an unexpected error came from",
}
#: Those of them that are no setting: two decide what is loaded, one is for the command line.
NOT_SETTINGS = ("BCCE_ENV", "BCCE_CONFIG", "BCCE_DEBUG")
#: Variables of the test suite; a server that is started by a test inherits them.
IGNORED_PREFIXES = ("BCCE_TEST_", "BCCE_REQUIRE_SERVICES", "BCCE_SOAK_", "BCCE_CRASH_")

#: What a child process needs to find programs, its user's home and its language.
_CHILD_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TERM", "VIRTUAL_ENV")


def process_environ() -> Mapping[str, str]:
    """A copy of the environment of this process."""
    return dict(os.environ)


def is_debugging() -> bool:
    """`BCCE_DEBUG` is set to something."""
    return bool(os.environ.get("BCCE_DEBUG"))


def is_dumb_terminal() -> bool:
    """What the output goes to, if it is a terminal, cannot move its cursor."""
    return os.environ.get("TERM", "dumb") in ("", "dumb")


def clean_environ(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a child process gets: enough to run, nothing of ours and nothing secret, and then `extra`."""
    kept = {name: value for name, value in os.environ.items() if name in _CHILD_VARIABLES}
    return {**kept, **(extra or {})}


def default_home(environ: Mapping[str, str]) -> Path:
    """`BCCE_HOME`, else `$XDG_STATE_HOME/bcce`, else `~/.local/state/bcce` (XDG Base Directory Specification); always absolute."""
    if environ.get("BCCE_HOME"):
        return expand(environ["BCCE_HOME"], environ, Path.cwd())
    state = environ.get("XDG_STATE_HOME", "")
    # The specification says that a relative path in this variable is to be ignored.
    return Path(state) / "bcce" if state.startswith("/") else expand("~/.local/state/bcce", environ, Path.cwd())


def expand(path: str | Path, environ: Mapping[str, str], base: Path) -> Path:
    """`path` as an absolute path: a leading `~` is `HOME`, and a relative path begins at `base`."""
    text = str(path)
    if text == "~" or text.startswith("~/"):
        return Path(environ.get("HOME") or Path.home(), text[2:])
    return (base / text).absolute()
