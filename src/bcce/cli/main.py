"""`bcce`: finds the command without importing the others, and turns every foreseen error into one line and an exit code."""

import importlib
import sys
from typing import Any

import click

from bcce.kit.errors import BcceError, ExitCode

#: Every command: the module and attribute that hold it, and its line in the help. Nothing is imported until it is used.
COMMANDS: dict[str, tuple[str, str]] = {
    "alert": ("bcce.cli.commands.alert:group", "Send and look at alerts."),
    "audit": ("bcce.cli.commands.audit:group", "Check the audit log."),
    "bench": ("bcce.cli.commands.bench:command", "Measure this installation."),
    "config": ("bcce.cli.commands.config:group", "Show and check the configuration."),
    "demo": ("bcce.cli.commands.demo:command", "Watch a broken service being repaired, from a real webhook on."),
    "dispatch": ("bcce.cli.commands.dispatch:group", "Look at attempts to run a script, settle what cannot be known."),
    "incident": ("bcce.cli.commands.incident:group", "Look at incidents, approve or reject what they ask."),
    "init": ("bcce.cli.commands.init:command", "Write a commented bcce.config.yaml."),
    "script": ("bcce.cli.commands.script:group", "Judge scripts without running them."),
    "serve": ("bcce.cli.commands.serve:command", "Run the server: API, webhooks and workflows."),
    "sop": ("bcce.cli.commands.sop:group", "Load and list SOPs."),
    "token": ("bcce.cli.commands.token:group", "Make, list and revoke tokens."),
    "workflow": ("bcce.cli.commands.workflow:group", "List, show and check workflows."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, by name."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help, from the table, so that it imports nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version  # noqa: PLC0415 - only for --version

        click.echo(f"bcce {version('bcce')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit.")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file; else BCCE_CONFIG, else bcce.config.yaml here.")
@click.option("--env", "environment", metavar="NAME", help="The environment whose overlay applies; else BCCE_ENV.")
@click.pass_context
def cli(ctx: click.Context, config_path: str | None, environment: str | None) -> None:
    """BCCE turns a monitoring alert into a verified fix."""
    ctx.obj = {"config": config_path, "environment": environment}


def main(argv: list[str] | None = None) -> None:
    """Runs one command and exits with its code."""
    sys.exit(run(argv))


def run(argv: list[str] | None = None) -> int:
    """Runs one command; returns its exit code from the one table."""
    try:
        result: Any = cli.main(args=argv, prog_name="bcce", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except click.Abort:
        click.echo("stopped", err=True)
        return ExitCode.FAILED
    except click.ClickException as error:
        error.show()
        return ExitCode.FAILED
    except BcceError as error:
        click.echo(f"error: {error.message}  [{error.code}]", err=True)
        if error.hint:
            click.echo(f"hint: {error.hint}", err=True)
        return error.exit_code
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        return ExitCode.FAILED
    return int(result) if isinstance(result, int) else ExitCode.OK
