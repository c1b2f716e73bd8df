"""`bcce config`."""

import json

import click

from bcce.cli.output import json_option
from bcce.cli.settings import home, load_settings
from bcce.kit.redact import redact


@click.group()
def group() -> None:
    """Show and check the configuration."""


@group.command()
@json_option
def show(as_json: bool) -> None:
    """Show every setting in force and where it comes from."""
    loaded = load_settings()
    values = redact(loaded.settings.model_dump(mode="json"))
    if as_json:
        where = str(loaded.path) if loaded.path else None
        click.echo(json.dumps({"settings": values, "origins": dict(loaded.origins), "file": where, "home": str(home())}, indent=2))
        return
    click.echo(f"file  {loaded.path or 'none'}\nhome  {home()}\n")
    for key, value in _flat(values):
        click.echo(f"{key} = {json.dumps(value)}  ({loaded.origins.get(key, 'default')})")
    for notice in loaded.notices:
        click.echo(f"note: {notice}")


@group.command()
@json_option
def validate(as_json: bool) -> None:
    """Check the configuration; every problem is shown with its file and line."""
    loaded = load_settings()
    if as_json:
        click.echo(json.dumps({"valid": True, "file": str(loaded.path) if loaded.path else None, "notices": list(loaded.notices)}))
        return
    click.echo(f"{loaded.path or 'the defaults'}: valid")
    for notice in loaded.notices:
        click.echo(f"note: {notice}")


def _flat(value: object, prefix: str = "") -> list[tuple[str, object]]:
    if isinstance(value, dict) and value:
        return [pair for key, item in value.items() for pair in _flat(item, f"{prefix}.{key}" if prefix else str(key))]
    return [(prefix, value)]
