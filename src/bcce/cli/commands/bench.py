"""`bcce bench`."""

import asyncio
import json

import click

from bcce.bench.startup import measure
from bcce.kit.clock import SystemClock


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 100), help="How often each variant is measured.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(rounds: int, as_json: bool) -> None:
    """Measure how quickly the command line starts, beside a bare interpreter in the same run."""
    results = asyncio.run(measure(SystemClock(), rounds))
    if as_json:
        click.echo(json.dumps({"results": results}, indent=2))
        return
    for item in results:
        click.echo(f"{item['name']}  {item['variant']:<6} {item['metric']}  {item['value']} {item['unit']}")
