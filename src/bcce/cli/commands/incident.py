"""`bcce incident`."""

from typing import Any

import click

from bcce.cli.approvals import check_is_shown, decide
from bcce.cli.client import Client, call, segment
from bcce.cli.output import json_option, show_item, show_list
from bcce.kit.text import clean


@click.group()
def group() -> None:
    """Look at incidents, approve or reject what they ask."""


@group.command("list")
@click.option("--state", help="Only incidents in this state.")
@click.option("--cursor", help="Where the next page begins.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500), help="How many at most.")
@json_option
def list_incidents(state: str | None, cursor: str | None, limit: int, as_json: bool) -> None:
    """List incidents, newest first."""
    page = call(lambda client: client.get("/api/v1/incidents", state=state, cursor=cursor, limit=limit))
    show_list(page["items"], ("id", "state", "severity", "title", "host", "openedAt"), as_json=as_json, following=page["next"])


@group.command()
@click.argument("incident_id")
@json_option
def show(incident_id: str, as_json: bool) -> None:
    """Show an incident with its timeline, plan, approvals, script outcome and ticket."""
    view = call(lambda client: client.get(f"/api/v1/incidents/{segment(incident_id)}"))
    if as_json:
        show_item(view, as_json=True)
        return
    show_item(view, as_json=False, skip=("timeline", "alerts", "plan", "approvals", "dispatches", "run", "ticket"))
    for line in incident_lines(view):
        click.echo(line)


@group.command()
@click.argument("incident_id")
@click.option("--comment", default="", help="Why; kept in the audit log.")
@click.option("--yes", is_flag=True, help="Do not ask again; --json needs it.")
@json_option
def approve(incident_id: str, comment: str, yes: bool, as_json: bool) -> None:
    """Agree to the script that the incident waits for, after showing it."""
    _decide(incident_id, "approve", comment, yes, as_json)


@group.command()
@click.argument("incident_id")
@click.option("--comment", default="", help="Why; kept in the audit log.")
@click.option("--yes", is_flag=True, help="Do not ask again; --json needs it.")
@json_option
def reject(incident_id: str, comment: str, yes: bool, as_json: bool) -> None:
    """Refuse the script that the incident waits for; the incident is handed to a person."""
    _decide(incident_id, "reject", comment, yes, as_json)


@group.command()
@click.argument("incident_id")
@click.option("--reason", required=True, help="Why; kept in the audit log.")
@json_option
def revoke(incident_id: str, reason: str, as_json: bool) -> None:
    """Take an approval back before its script has started; the incident is handed to a person."""
    show_item(call(lambda client: client.post(f"/api/v1/incidents/{segment(incident_id)}/revoke", {"reason": reason})), as_json=as_json)


def _decide(incident_id: str, decision: str, comment: str, yes: bool, as_json: bool) -> None:
    check_is_shown(yes=yes, as_json=as_json)
    path = f"/api/v1/incidents/{segment(incident_id)}"

    async def find(client: Client) -> dict[str, Any] | None:
        view = await client.get(path)
        return next((item for item in reversed(view["approvals"]) if item["state"] == "pending"), None)

    show_item(call(lambda client: decide(client, path, find, decision, comment, yes=yes, as_json=as_json)), as_json=as_json)


def incident_lines(view: dict[str, Any]) -> list[str]:
    """The parts of an incident that are lists, a line each."""
    lines = ["", "timeline"]
    lines += [f"  {entry['at'][11:19]}  {entry['kind']:<18} {clean(entry['text'], limit=300)}" for entry in view["timeline"]]
    lines += ["alerts", *(f"  {item['status']:<9} {item['name']}  seen {item['timesSeen']} times" for item in view["alerts"])]
    for asked in view["approvals"]:
        by = ", ".join(f"{item['by']} ({item['decision']})" for item in asked["decisions"])
        lines.append(f"approval  {asked['state']}: {asked['title']}{f' by {by}' if by else ''}")
    for item in view["dispatches"]:
        lines.append(f"script    {item['state']} on {item['target']}, exit code {item['exitCode']}")
        lines += [f"    | {clean(line, limit=300)}" for line in (item["output"] or "").splitlines()[:20]]
    if view.get("ticket"):
        lines.append(f"ticket    {view['ticket']['id']} {view['ticket']['state']}: {view['ticket']['resolution'] or 'no resolution yet'}")
    return lines
