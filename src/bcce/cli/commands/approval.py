"""`bcce approval`."""

from typing import Any

import click

from bcce.cli.approvals import approval_lines, check_is_shown, decide, one_line
from bcce.cli.client import Client, call, segment
from bcce.cli.output import json_option, show_item, show_list


@click.group()
def group() -> None:
    """Look at what people are asked, and answer it."""


@group.command("list")
@click.option("--state", help="Only approvals in this state, such as pending.")
@click.option("--cursor", help="Where the next page begins.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500), help="How many at most.")
@json_option
def list_approvals(state: str | None, cursor: str | None, limit: int, as_json: bool) -> None:
    """List approvals, newest first."""
    page = call(lambda client: client.get("/api/v1/approvals", state=state, cursor=cursor, limit=limit))
    show_list(page["items"], ("id", "state", "title", "runId", "incidentId", "expiresAt"), as_json=as_json, following=page["next"])


@group.command()
@click.argument("approval_id")
@json_option
def show(approval_id: str, as_json: bool) -> None:
    """Show what would run or is asked, why, and who said what."""
    view = call(lambda client: client.get(f"/api/v1/approvals/{segment(approval_id)}"))
    if as_json:
        show_item(view, as_json=True)
        return
    show_item(view, as_json=False, skip=("shown", "reasons", "decisions", "digest", "title"))
    for line in [
        "",
        *approval_lines(view),
        *(one_line(f"  {item['decision']} by {item['actorName']} {item['comment']}") for item in view["decisions"]),
    ]:
        click.echo(line.rstrip())


@group.command()
@click.argument("approval_id")
@click.option("--comment", default="", help="Why; kept in the audit log.")
@click.option("--yes", is_flag=True, help="Do not ask again; --json needs it.")
@json_option
def approve(approval_id: str, comment: str, yes: bool, as_json: bool) -> None:
    """Agree to what an approval is about, after showing it."""
    _decide(approval_id, "approve", comment, yes, as_json)


@group.command()
@click.argument("approval_id")
@click.option("--comment", default="", help="Why; kept in the audit log.")
@click.option("--yes", is_flag=True, help="Do not ask again; --json needs it.")
@json_option
def reject(approval_id: str, comment: str, yes: bool, as_json: bool) -> None:
    """Refuse what an approval is about; one refusal is final."""
    _decide(approval_id, "reject", comment, yes, as_json)


@group.command()
@click.argument("approval_id")
@click.option("--reason", required=True, help="Why; kept in the audit log.")
@json_option
def revoke(approval_id: str, reason: str, as_json: bool) -> None:
    """Take an approval back before its script has started, or its run has gone on."""
    view = call(lambda client: client.post(f"/api/v1/approvals/{segment(approval_id)}/revoke", {"reason": reason}))
    _show(view, as_json)


def _decide(approval_id: str, decision: str, comment: str, yes: bool, as_json: bool) -> None:
    check_is_shown(yes=yes, as_json=as_json)
    path = f"/api/v1/approvals/{segment(approval_id)}"

    async def find(client: Client) -> dict[str, Any]:
        found: dict[str, Any] = await client.get(path)
        return found

    _show(call(lambda client: decide(client, path, find, decision, comment, yes=yes, as_json=as_json)), as_json)


def _show(view: dict[str, Any], as_json: bool) -> None:
    show_item(view if as_json else {name: view[name] for name in ("id", "state", "title", "runId")}, as_json=as_json)
