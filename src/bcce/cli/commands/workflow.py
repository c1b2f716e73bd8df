"""`bcce workflow`."""

import sys
from pathlib import Path

import click

from bcce.cli.client import call, segment
from bcce.cli.output import json_option, show_item, show_list
from bcce.kit.errors import ExitCode, InvalidInput


@click.group()
def group() -> None:
    """List, show and check workflows."""


@group.command("list")
@json_option
def list_workflows(as_json: bool) -> None:
    """List workflows."""
    page = call(lambda client: client.get("/api/v1/workflows"))
    show_list(page["items"], ("name", "origin", "digest", "createdAt"), as_json=as_json)


@group.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a workflow's file."""
    found = call(lambda client: client.get(f"/api/v1/workflows/{segment(name)}"))
    if as_json:
        show_item(found, as_json=True)
    else:
        click.echo(found["source"], nl=False)


@group.command()
@click.argument("file", metavar="FILE|-")
@json_option
def validate(file: str, as_json: bool) -> int:
    """Check a workflow file; everything that is wrong is shown with its line. Exit 1 if something is."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}") from error
    result = call(lambda client: client.post("/api/v1/workflows/validate", {"text": text, "path": file}))
    if as_json:
        show_item(result, as_json=True)
    else:
        for item in result["findings"]:
            click.echo(f"{file}:{item.get('line', 1)}:{item.get('column', 1)}: {item['message']} [{item['rule_id']}]")
            if item.get("hint"):
                click.echo(f"    {item['hint']}")
        if result["valid"]:
            click.echo(f"{file}: workflow {result['name']} is valid")
    return ExitCode.OK if result["valid"] else ExitCode.FAILED
