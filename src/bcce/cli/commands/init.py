"""`bcce init`."""

import os
from pathlib import Path

import click

from bcce.config.template import render_template
from bcce.kit.errors import Conflict, InvalidInput
from bcce.runtime.settings import Settings


@click.command()
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(force: bool) -> None:
    """Write a commented bcce.config.yaml with every setting and its default."""
    path = Path("bcce.config.yaml")
    if os.path.lexists(path) and not force:
        raise Conflict(f"{path} is there already", hint="use --force to replace it")
    try:
        path.write_text(render_template(Settings), encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written here: {error.strerror}") from error
    click.echo(f"wrote {path}; nothing runs on a machine until remediation.enabled is true")
