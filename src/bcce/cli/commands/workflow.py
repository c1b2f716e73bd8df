"""`bcce workflow`."""

import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any

import click

from bcce.cli.client import ApiProblem, Client, call, segment
from bcce.cli.output import json_option, show_error, show_item, show_list
from bcce.kit.errors import ExitCode, InvalidInput

#: What `validate` says of a text of which nothing is known.
_NOTHING = {"name": None, "digest": None, "valid": False}


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
    """Check a workflow file; everything that is wrong is shown with its line. Exit 1: something is; 64: it cannot be read."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        unread = InvalidInput(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}")
        if as_json:
            show_item({**_NOTHING, "findings": [_finding(unread.code, unread.message)]}, as_json=True)
        else:
            show_error(unread)
        return unread.exit_code
    result = call(lambda client: _validated(client, text))
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


async def _validated(client: Client, text: str) -> dict[str, Any]:
    """What the server finds; a text that is no workflow at all, which it refuses, is a finding too."""
    try:
        found: dict[str, Any] = await client.post("/api/v1/workflows/validate", {"text": text})
    except ApiProblem as problem:
        if problem.status != HTTPStatus.BAD_REQUEST:
            raise
        place = {name: problem.details[name] for name in ("line", "column") if problem.details.get(name) is not None}
        message = problem.message.removeprefix("".join(f"{number}:" for number in place.values())).strip()
        return {**_NOTHING, "findings": [_finding(problem.code, message, problem.hint, **place)]}
    return found


def _finding(code: str, message: str, hint: str | None = None, **place: Any) -> dict[str, Any]:
    return {"rule_id": code, "message": message, **place, **({"hint": hint} if hint else {})}
