"""`bcce config`."""

import json

import click

from bcce.cli.output import json_option, show_error
from bcce.cli.settings import home, load_settings
from bcce.config.errors import InvalidConfig
from bcce.kit.errors import ExitCode
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
def validate(as_json: bool) -> int:
    """Check the configuration; every problem is shown with its file and line. Exit 1: something is wrong; 64: it cannot be read."""
    try:
        loaded = load_settings()
    except InvalidConfig as error:
        if as_json:
            click.echo(json.dumps({"valid": False, "file": error.path, "problems": [item.to_dict() for item in error.problems]}))
        else:
            show_error(error)
        return ExitCode.USAGE if error.is_unread else ExitCode.FAILED
    if as_json:
        click.echo(json.dumps({"valid": True, "file": str(loaded.path) if loaded.path else None, "notices": list(loaded.notices)}))
        return ExitCode.OK
    click.echo(f"{loaded.path or 'the defaults'}: valid")
    for notice in loaded.notices:
        click.echo(f"note: {notice}")
    return ExitCode.OK


def _flat(value: object, prefix: str = "") -> list[tuple[str, object]]:
    if isinstance(value, dict) and value:
        return [pair for key, item in value.items() for pair in _flat(item, f"{prefix}.{key}" if prefix else str(key))]
    return [(prefix, value)]
