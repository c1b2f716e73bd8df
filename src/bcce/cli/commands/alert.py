"""`bcce alert`."""

import sys
from pathlib import Path

import click

from bcce.cli.client import Client, call, segment
from bcce.cli.output import json_option, show_item, show_list
from bcce.kit.errors import InvalidInput


@click.group()
def group() -> None:
    """Send and look at alerts."""


@group.command()
@click.argument("body", metavar="FILE|-")
@click.option("--provider", default="alertmanager", show_default=True, help="Whose body it is.")
@click.option("--source", default="default", show_default=True, help="The source that it is sent for.")
@json_option
def send(body: str, provider: str, source: str, as_json: bool) -> None:
    """Send a webhook body as the provider would."""
    try:
        data = sys.stdin.buffer.read() if body == "-" else Path(body).read_bytes()
    except OSError as error:
        raise InvalidInput(f"{body} cannot be read: {error.strerror}") from error
    show_item(call(lambda client: client.post_bytes(f"/api/v1/webhooks/{segment(provider)}/{segment(source)}", data)), as_json=as_json)


@group.command("list")
@click.option("--status", type=click.Choice(["firing", "resolved"]), help="Only alerts with this status.")
@click.option("--name", help="Only alerts with this name.")
@click.option("--cursor", help="Where the next page begins.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500), help="How many at most.")
@json_option
def list_alerts(status: str | None, name: str | None, cursor: str | None, limit: int, as_json: bool) -> None:
    """List alerts, the most recently seen first."""
    page = call(lambda client: client.get("/api/v1/alerts", status=status, name=name, cursor=cursor, limit=limit))
    show_list(
        page["items"], ("id", "status", "severity", "name", "host", "timesSeen", "lastSeenAt"), as_json=as_json, following=page["next"]
    )


@group.command()
@click.argument("alert_id")
@json_option
def show(alert_id: str, as_json: bool) -> None:
    """Show an alert with its notifications."""
    show_item(call(lambda client: client.get(f"/api/v1/alerts/{segment(alert_id)}")), as_json=as_json)


@group.command("dead-letters")
@json_option
def dead_letters(as_json: bool) -> None:
    """List webhook bodies that could not be understood."""

    async def ask(client: Client) -> dict[str, list[dict[str, object]]]:
        found: dict[str, list[dict[str, object]]] = await client.get("/api/v1/dead-letters")
        return found

    show_list(call(ask)["items"], ("id", "provider", "source", "receivedAt", "bytes", "reason"), as_json=as_json)
