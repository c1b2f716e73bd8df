"""`bcce sop`."""

from pathlib import Path
from typing import Any

import click

from bcce.cli.client import Client, call
from bcce.cli.output import json_option, show_list
from bcce.kit.errors import BcceError, ExitCode, InvalidInput


@click.group()
def group() -> None:
    """Load and list SOPs."""


@group.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
def load(paths: tuple[str, ...]) -> int:
    """Store SOPs; a file that cannot be used is reported and keeps no other from being stored."""

    async def store(client: Client) -> int:
        failed = 0
        for path in paths:
            try:
                text = Path(path).read_text(encoding="utf-8")  # noqa: ASYNC240 - a command with nothing else to do
                result: dict[str, Any] = await client.put("/api/v1/documents", {"text": text, "origin": path})
            except (OSError, UnicodeDecodeError) as error:
                failed += 1
                click.echo(f"{path}: {InvalidInput(str(error)).message}", err=True)
            except BcceError as error:
                failed += 1
                click.echo(f"{path}: {error.message}", err=True)
            else:
                click.echo(f"{path}: {result['change']}")
        return ExitCode.FAILED if failed else ExitCode.OK

    return call(store)


@group.command("list")
@json_option
def list_documents(as_json: bool) -> None:
    """List SOPs."""
    page = call(lambda client: client.get("/api/v1/documents"))
    show_list(page["items"], ("slug", "title", "version", "updatedAt"), as_json=as_json)
