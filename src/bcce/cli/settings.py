"""The configuration of this command: file, environment, overrides."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import click

from bcce.config.environ import process_environ
from bcce.config.load import Loaded, Sources, find_file, load
from bcce.runtime.settings import Settings


def load_settings(overrides: Mapping[str, object] | None = None) -> Loaded[Settings]:
    """The settings that the options before the command ask for.

    Raises:
        InvalidConfig: with everything that is wrong.
    """
    options = cast("dict[str, str | None]", click.get_current_context().find_root().obj or {})
    environ = process_environ()
    named = options.get("config")
    path = Path(named).absolute() if named else find_file(environ, Path.cwd())
    return load(Settings, Sources(path=path, environ=environ, environment=options.get("environment"), overrides=overrides or {}))


def home() -> Path:
    """The folder for state."""
    return load_settings().home(process_environ())
