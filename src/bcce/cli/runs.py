"""How runs are shown: as a tree while they go on, and as their log."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from bcce.cli.client import Client, segment
from bcce.cli.output import show_item
from bcce.kit.errors import ExitCode
from bcce.kit.text import clean

_LOOK_S = 0.3
#: Looks at an ended run's log that have to find nothing before it counts as complete.
_QUIET_LOOKS = 2
_OVER = ("completed", "failed", "cancelled", "dead")
_MARKS = {"completed": "✓", "failed": "✗", "skipped": "-", "cancelled": "■", "waiting": "…", "started": "▸", "retrying": "↻"}


async def follow(client: Client, run_id: str, *, as_json: bool = False) -> int:
    """Prints each change of a run until it is over, or as JSON the run when it is; 0 when it ended well."""
    told: dict[str, str] = {}
    was = ""
    while True:
        run = await client.get(f"/api/v1/runs/{segment(run_id)}")
        if run["state"] == "queued" and was != "queued" and not as_json:
            click.echo("\n".join(standing(run)))
        was = run["state"]
        for step in run["steps"]:
            now = f"{step['state']}/{step['attempt']}"
            if told.get(step["key"]) != now and not as_json:
                told[step["key"]] = now
                click.echo(_line(step, 0))
        if run["state"] in _OVER:
            if as_json:
                show_item(run, as_json=True)
                return ExitCode.OK if run["state"] == "completed" else ExitCode.FAILED
            click.echo(f"{run['id']} {run['state']}" + (f": {_reason(run['error'])}" if run.get("error") else ""))
            if run.get("output"):
                click.echo(json.dumps(run["output"], indent=2, ensure_ascii=False))
            return ExitCode.OK if run["state"] == "completed" else ExitCode.FAILED
        await asyncio.sleep(_LOOK_S)


def standing(run: Mapping[str, Any]) -> Iterator[str]:
    """One line about the run's concurrency group, if it has one."""
    place = run.get("concurrency")
    if place:
        what = "has its turn" if place["hasTurn"] else f"waits for its turn, {place['ahead']} before it,"
        yield f"  {what} in the concurrency group {clean(place['group'], limit=255)} (at most {place['limit']} at a time)"


def told(run: Mapping[str, Any]) -> Iterator[str]:
    """One line for each connector that hears of the run's events."""
    for lane in run.get("integrations") or ():
        counts = f"{lane['delivered']} delivered, {lane['pending']} waiting, {lane['givenUp']} given up"
        why = f"  {_reason(lane['error'])}" if lane["error"] else ""
        when = f"  tried {lane['failures']} times, again at {lane['nextTryAt']}" if lane["failures"] else ""
        yield f"  → {lane['connector']}  {counts}{when}{why}"


def tree(run: Mapping[str, Any]) -> Iterator[str]:
    """One line for the latest attempt of each step, those of a loop's turns below it."""
    latest = {step["key"]: step for step in run["steps"]}
    for key, step in latest.items():
        yield _line(step, key.count("["))


def _line(step: Mapping[str, Any], depth: int) -> str:
    what = f"{_MARKS.get(step['state'], '?')} {step['key']}  {step['type']}  {step['state']}"
    if step["attempt"] > 1:
        what += f"  try {step['attempt']}"
    if step.get("waitingFor"):
        what += f"  {clean(step['waitingFor'], limit=200)}"
    if step.get("error") and step["state"] in ("failed", "retrying"):
        what += f"  {_reason(step['error'])}"
    return "  " * (depth + 1) + what


def _reason(error: Mapping[str, Any]) -> str:
    where = f"step {error['step']}: " if error.get("step") else ""
    return clean(f"{where}{error.get('message', error.get('code', ''))}", limit=500)


async def print_log(client: Client, run_id: str, *, step: str | None, follows: bool, as_json: bool) -> None:
    """Prints the log from its beginning; with `follows` until the run is over."""
    cursor, is_over, quiet = None, False, 0
    while True:
        if follows:
            is_over = (await client.get(f"/api/v1/runs/{segment(run_id)}"))["state"] in _OVER
        page = await client.get(f"/api/v1/runs/{segment(run_id)}/logs", step=step, cursor=cursor)
        for line in page["items"]:
            click.echo(json.dumps(line, ensure_ascii=False) if as_json else log_text(line))
        cursor = page["follow"]
        if page["next"] is not None:
            continue
        # On a server the last events get their positions a moment after the run has ended.
        quiet = quiet + 1 if is_over and not page["items"] else 0
        if not follows or quiet == _QUIET_LOOKS:
            return
        await asyncio.sleep(_LOOK_S)


def log_text(line: Mapping[str, Any]) -> str:
    """A line of a log for a terminal: time, level, step, what was said."""
    where = str(line["step"] or "run") + (f"/{line['attempt']}" if (line["attempt"] or 1) > 1 else "")
    facts = "".join(f"  {name}={json.dumps(value, ensure_ascii=False)}" for name, value in line["facts"].items())
    return clean(f"{line['at'][:23]}Z  {line['level']:<7}  {where}  {line['message']}{facts}", limit=5000)
