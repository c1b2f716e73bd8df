"""`bcce audit`."""

import click

from bcce.cli.client import call
from bcce.cli.output import json_option, show_item
from bcce.kit.errors import ExitCode


@click.group()
def group() -> None:
    """Check the audit log."""


@group.command()
@json_option
def verify(as_json: bool) -> int:
    """Check every record, every link and every signed checkpoint; exit 1 if something is wrong."""
    report = call(lambda client: client.get("/api/v1/audit"))
    if as_json:
        show_item(report, as_json=True)
    else:
        click.echo(f"{'ok' if report['ok'] else 'BROKEN'}: {report['records']} records, {report['checkpoints']} signed checkpoints")
        for problem in report["problems"]:
            click.echo(f"  problem: {problem}")
        for unseen in report["unseen"]:
            click.echo(f"  cannot be seen: {unseen}")
    return ExitCode.OK if report["ok"] else ExitCode.FAILED
