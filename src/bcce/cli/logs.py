"""How the log of a run is printed, and followed."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import click

from bcce.cli.client import Client, segment
from bcce.cli.runs import OVER
from bcce.kit.text import clean

_LOOK_S = 0.3
#: Looks at an ended run's log that have to find nothing before it counts as complete.
_QUIET_LOOKS = 2


async def print_log(client: Client, run_id: str, *, step: str | None, follows: bool, as_json: bool) -> None:
    """Prints the log from its beginning; with `follows` until the run is over."""
    cursor, is_over, quiet, is_empty = None, False, 0, True
    while True:
        if follows:
            is_over = (await client.get(f"/api/v1/runs/{segment(run_id)}"))["state"] in OVER
        page = await client.get(f"/api/v1/runs/{segment(run_id)}/logs", step=step, cursor=cursor)
        is_empty = is_empty and not page["items"]
        for line in page["items"]:
            click.echo(json.dumps(line, ensure_ascii=False) if as_json else log_text(line))
        cursor = page["follow"]
        if page["next"] is not None:
            continue
        # On a server the last events get their positions a moment after the run has ended.
        quiet = quiet + 1 if is_over and not page["items"] else 0
        if not follows or quiet == _QUIET_LOOKS:
            if is_empty and step is not None:
                click.echo(f"step {clean(step, limit=80)} has not begun, so it has no lines", err=True)
            return
        await asyncio.sleep(_LOOK_S)


def log_text(line: Mapping[str, Any]) -> str:
    """A line of a log for a terminal: time, level, step, what was said."""
    where = str(line["step"] or "run") + (f"/{line['attempt']}" if (line["attempt"] or 1) > 1 else "")
    facts = "".join(f"  {name}={json.dumps(value, ensure_ascii=False)}" for name, value in line["facts"].items())
    return clean(f"{line['at'][:23]}Z  {line['level']:<7}  {where}  {line['message']}{facts}", limit=5000)
