"""`bcce dispatch`."""

import click

from bcce.cli.client import call, segment
from bcce.cli.output import json_option, show_item, show_list


@click.group()
def group() -> None:
    """Look at attempts to run a script, and settle one whose outcome nobody else can tell."""


@group.command("list")
@click.option("--state", help="Only dispatches in this state, such as indeterminate.")
@click.option("--cursor", help="Where the next page begins.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500), help="How many at most.")
@json_option
def list_dispatches(state: str | None, cursor: str | None, limit: int, as_json: bool) -> None:
    """List dispatches, newest first."""
    page = call(lambda client: client.get("/api/v1/dispatches", state=state, cursor=cursor, limit=limit))
    items = [{**item, "target": item["target"]["name"]} for item in page["items"]] if not as_json else page["items"]
    show_list(items, ("id", "state", "target", "exitCode", "incidentId", "createdAt"), as_json=as_json, following=page["next"])


@group.command()
@click.argument("dispatch_id")
@json_option
def show(dispatch_id: str, as_json: bool) -> None:
    """Show a dispatch with its target and the end of its output."""
    show_item(call(lambda client: client.get(f"/api/v1/dispatches/{segment(dispatch_id)}")), as_json=as_json)


@group.command()
@click.argument("dispatch_id")
@click.option(
    "--outcome", required=True, type=click.Choice(["succeeded", "failed", "stopped", "never-ran"]), help="What became of the script."
)
@click.option("--reason", required=True, help="How you know; kept in the audit log.")
@json_option
def settle(dispatch_id: str, outcome: str, reason: str, as_json: bool) -> None:
    """Say what became of a script after looking at the target. Frees the target for other scripts.

    For a dispatch whose outcome cannot be known, and for one that is still cleared or started although its step or run has ended.
    """
    path = f"/api/v1/dispatches/{segment(dispatch_id)}/settle"
    show_item(call(lambda client: client.post(path, {"outcome": outcome, "reason": reason})), as_json=as_json)
