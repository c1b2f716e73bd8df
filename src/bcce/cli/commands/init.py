"""`bcce init`."""

from pathlib import Path

import click

from bcce.config.template import render_template
from bcce.kit.errors import Conflict
from bcce.runtime.settings import Settings


@click.command()
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(force: bool) -> None:
    """Write a commented bcce.config.yaml with every setting and its default."""
    path = Path("bcce.config.yaml")
    if path.exists() and not force:
        raise Conflict(f"{path} is there already", hint="use --force to replace it")
    path.write_text(render_template(Settings), encoding="utf-8")
    click.echo(f"wrote {path}; nothing runs on a machine until execution.targets and remediation.enabled are set")
