"""`bcce run`."""

import json
import re
from datetime import timedelta
from typing import Any

import click

from bcce.cli.client import Client, call, segment
from bcce.cli.files import read_text, write_bytes
from bcce.cli.following import follow
from bcce.cli.logs import print_log
from bcce.cli.output import json_option, show_item, show_list
from bcce.cli.runs import about, standing, told, tree
from bcce.kit.clock import SystemClock, format_time, parse_time
from bcce.kit.errors import InvalidInput
from bcce.kit.text import clean

_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_COLUMNS = ("id", "workflow", "state", "waitingForGroup", "createdAt", "endedAt")
#: What only the engine wants to know, and what is shown in another form.
_UNSHOWN = frozenset(
    {
        "steps",
        "wakeSeq",
        "seenSeq",
        "epoch",
        "leaseOwner",
        "definitionFormat",
        "queue",
        "priority",
        "suspect",
        "concurrency",
        "integrations",
        "children",
        "outline",
        "rerunOf",
        "rerunFrom",
    }
)


@click.group()
def group() -> None:
    """Look at runs of workflows, follow them, stop them, try them again."""


@group.command("list")
@click.option("--state", "states", multiple=True, metavar="STATE", help="Only runs in this state, such as failed; may be repeated.")
@click.option("--workflow", help="Only runs of this workflow, also those that other runs started.")
@click.option("--subject", help="Only runs about this, such as the id of an incident.")
@click.option("--parent", metavar="RUN", help="Only runs that steps of this run started.")
@click.option("--children", is_flag=True, help="Also runs that other runs started.")
@click.option("--since", metavar="TIME", help="Only runs asked for since then: 2h for the last two hours, or 2026-01-02T03:04:05Z.")
@click.option("--until", metavar="TIME", help="Only runs asked for before then.")
@click.option("--cursor", help="Where the next page begins.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500), help="How many at most.")
@json_option
def list_runs(states: tuple[str, ...], children: bool, since: str | None, until: str | None, as_json: bool, **others: Any) -> None:
    """List runs, newest first. Those that other runs started are left out, but with --children, --parent or --workflow."""
    wanted = {**others, "state": list(states) or None, "children": True if children else None}
    moments = {"since": _moment(since, "--since"), "until": _moment(until, "--until")}
    page = call(lambda client: client.get("/api/v1/runs", **wanted, **moments))
    columns = _COLUMNS if all(run["parentId"] is None for run in page["items"]) else (*_COLUMNS, "parentId")
    show_list(page["items"], columns, as_json=as_json, following=page["next"])


def _moment(text: str | None, option: str) -> str | None:
    """A moment as the API takes it, from one or from how long ago it was."""
    if text is None:
        return None
    try:
        return format_time(parse_time(text))
    except ValueError:
        pass
    ago = re.fullmatch(r"([0-9]{1,5})(s|m|h|d)", text)
    if ago is None:
        raise InvalidInput(f"{option} {clean(text, limit=60)!r} is no time", hint="for example 2h, 7d, or 2026-01-02T03:04:05Z")
    return format_time(SystemClock().now() - int(ago[1]) * _UNITS[ago[2]])


@group.command()
@click.argument("run_id")
@json_option
def show(run_id: str, as_json: bool) -> None:
    """Show a run with its steps, each below the block that holds it, and the runs that they started."""
    run = call(lambda client: client.get(f"/api/v1/runs/{segment(run_id)}"))
    if as_json:
        show_item(run, as_json=True)
        return
    show_item(run, as_json=False, skip=_UNSHOWN)
    steps = (line.text for line in tree(run, SystemClock().now()))
    for line in (*about(run), *standing(run), *steps, *told(run)):
        click.echo(line)


@group.command()
@click.argument("run_id")
def watch(run_id: str) -> int:
    """Follow a run until it ends. Exit 1: it did not end well."""
    return call(lambda client: follow(client, run_id), works=True)


@group.command()
@click.argument("run_id")
@json_option
def cancel(run_id: str, as_json: bool) -> None:
    """Stop a run, and undo what can be undone."""
    _change(run_id, "cancel", as_json)


@group.command()
@click.argument("run_id")
@json_option
def pause(run_id: str, as_json: bool) -> None:
    """Let what runs end, and begin nothing more."""
    _change(run_id, "pause", as_json)


@group.command()
@click.argument("run_id")
@json_option
def resume(run_id: str, as_json: bool) -> None:
    """Go on with a paused run."""
    _change(run_id, "resume", as_json)


@group.command()
@click.argument("run_id")
@click.option("--from", "step", help="Start a new run that begins at this step; without it the steps that failed are tried again.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="With --from: another input; text or JSON, as its type says.")
@json_option
def retry(run_id: str, step: str | None, inputs: tuple[str, ...], as_json: bool) -> None:
    """Try the steps again that did not end well, or run again from a step."""
    if step is None:
        if inputs:
            raise InvalidInput("--input needs --from", hint="a run that goes on keeps its inputs")
        _change(run_id, "retry", as_json)
        return
    body = {"step": step, **read_inputs(inputs, None)}
    show_item(call(lambda client: client.post(f"/api/v1/runs/{segment(run_id)}/rerun", body)), as_json=as_json)


@group.command()
@click.argument("run_id")
@click.argument("name")
@click.option("--payload", default="{}", help="A JSON object that goes along.")
@json_option
def signal(run_id: str, name: str, payload: str, as_json: bool) -> None:
    """Tell a run that something it may wait for has happened."""
    try:
        body = json.loads(payload)
    except ValueError as error:
        raise InvalidInput("--payload is no JSON") from error
    path = f"/api/v1/runs/{segment(run_id)}/signals/{segment(name)}"
    show_item(call(lambda client: client.post(path, {"payload": body})), as_json=as_json)


@group.command()
@click.argument("run_id")
@click.option("--step", help="Only lines of this step, in all turns of its loops; or of one key, such as look[2].")
@click.option("--follow", is_flag=True, help="Go on until the run ends.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="json: an object a line.")
def logs(run_id: str, step: str | None, follow: bool, form: str) -> None:
    """Show what a run's steps said, and what the engine did."""
    call(lambda client: print_log(client, run_id, step=step, follows=follow, as_json=form == "json"), works=follow)


@group.command()
@click.argument("run_id")
@click.option("--get", "wanted", metavar="NAME|DIGEST", help="Write this one: its name, STEP/NAME where steps share it, or its digest.")
@click.option("--output", metavar="FILE|-", help="Where to; - is the standard output.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@click.option("--cursor", help="Where the next page begins.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500), help="How many at most.")
@json_option
def artifacts(run_id: str, wanted: str | None, output: str | None, force: bool, cursor: str | None, limit: int, as_json: bool) -> None:
    """List what a run's steps left, or write one of it to a file."""
    path = f"/api/v1/runs/{segment(run_id)}/artifacts"
    if wanted is None:
        if output is not None or force:
            raise InvalidInput("--output and --force need --get", hint="--get says which artifact to write")
        page = call(lambda client: client.get(path, cursor=cursor, limit=limit))
        show_list(page["items"], ("step", "attempt", "name", "bytes", "mediaType", "digest"), as_json=as_json, following=page["next"])
        return
    if output is None:
        raise InvalidInput("--get needs --output", hint="--output FILE, or --output - for the standard output")
    name = wanted

    async def fetch(client: Client) -> bytes:
        return await client.get_bytes(f"{path}/{segment(await find_artifact(client, path, name))}")

    write_bytes(output, call(fetch), force=force)


async def find_artifact(client: Client, path: str, wanted: str) -> str:
    """The digest of the artifact that `wanted` names: a digest, a name, or STEP/NAME; of several attempts the last one's.

    Raises:
        InvalidInput: there is none, or several steps have one of that name.
    """
    if re.fullmatch("(sha256:)?[0-9a-f]{64}", wanted):
        return wanted
    found: dict[str, str] = {}
    cursor = None
    while True:
        page = await client.get(path, cursor=cursor, limit=500)
        for item in page["items"]:
            if wanted in (item["name"], f"{item['step'] or ''}/{item['name']}"):
                found[f"{item['step'] or ''}/{item['name']}"] = item["digest"]
        cursor = page["next"]
        if cursor is None:
            break
    if not found:
        raise InvalidInput(f"the run has no artifact {clean(wanted, limit=80)!r}", hint="without --get all are listed")
    if len(set(found.values())) > 1:
        raise InvalidInput(f"several steps left {clean(wanted, limit=80)!r}", hint=f"one of: {', '.join(sorted(found))}")
    return next(iter(found.values()))


def read_inputs(pairs: tuple[str, ...], file: str | None) -> dict[str, dict[str, Any]]:
    """`inputs` from a JSON file, and `texts` from `NAME=VALUE` pairs, which the workflow's own types are read from.

    Raises:
        InvalidInput: no file, no JSON object, or a pair without a name.
    """
    found: dict[str, Any] = {}
    if file is not None:
        try:
            loaded = json.loads(read_text(file))
        except ValueError as error:
            raise InvalidInput(f"the inputs in {file} are no JSON", hint='for example {"host": "web1"}') from error
        if not isinstance(loaded, dict):
            raise InvalidInput(f"the inputs in {file} are no JSON object", hint='for example {"host": "web1"}')
        found |= loaded
    texts: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise InvalidInput(f"{clean(pair, limit=60)!r} is no NAME=VALUE", hint="for example --input host=web1")
        texts[name] = value
    return {"inputs": found, "texts": texts}


def _change(run_id: str, what: str, as_json: bool) -> None:
    run = call(lambda client: client.post(f"/api/v1/runs/{segment(run_id)}/{what}", {}))
    if as_json:
        show_item(run, as_json=True)
    else:
        click.echo(f"{run['id']} {run['state']}" + (", being cancelled" if run.get("cancelAt") and run["state"] == "active" else ""))
