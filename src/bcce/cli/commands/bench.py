"""`bcce bench`."""

import asyncio
import json
from typing import Any

import click

from bcce.bench import startup
from bcce.cli.loop import run_long
from bcce.kit.clock import SystemClock

rounds_option = click.option(
    "--rounds", default=5, show_default=True, type=click.IntRange(1, 100), help="How often each variant is measured."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def group() -> None:
    """Measure this installation, each figure beside a floor from the same run."""


@group.command("startup")
@rounds_option
@json_option
def measure_startup(rounds: int, as_json: bool) -> None:
    """How quickly the command line starts, beside a bare interpreter."""
    _show(asyncio.run(startup.measure(SystemClock(), rounds)), as_json)


@group.command()
@rounds_option
@click.option("--runs", "count", default=500, show_default=True, type=click.IntRange(1, 10_000), help="How many runs at once.")
@click.option(
    "--parked", default=10_000, show_default=True, type=click.IntRange(100, 1_000_000), help="How many runs wait at the same time."
)
@click.option("--database", help="The URL of a server's database to measure too; its rows stay there, so make one for it.")
@json_option
def workflows(rounds: int, count: int, parked: int, database: str | None, as_json: bool) -> None:
    """How fast workflows run on SQLite, beside a bare loop that writes the same rows, and beside DBOS where it is installed."""
    from bcce.bench.workflows import measure  # noqa: PLC0415 - it needs the whole program

    _show(run_long(measure(SystemClock(), rounds=rounds, count=count, parked=parked, server=database)), as_json)


def _show(results: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"results": results}, indent=2))
        return
    for item in results:
        click.echo(f"{item['name']:<10} {item['variant']:<6} {item['store']:<11} {item['metric']}  {item['value']} {item['unit']}")
