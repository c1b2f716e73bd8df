"""`bcce`: finds the command without importing the others, and turns every foreseen error into one line and an exit code."""

import codecs
import contextlib
import importlib
import io
import os
import sys
from typing import Any

import click

from bcce.kit.errors import BcceError, ExitCode, Unexpected

#: Every command: the module and attribute that hold it, and its line in the help. Nothing is imported until it is used.
COMMANDS: dict[str, tuple[str, str]] = {
    "alert": ("bcce.cli.commands.alert:group", "Send and look at alerts."),
    "approval": ("bcce.cli.commands.approval:group", "Look at what people are asked, and answer it."),
    "audit": ("bcce.cli.commands.audit:group", "Check the audit log."),
    "bench": ("bcce.cli.commands.bench:group", "Measure this installation."),
    "config": ("bcce.cli.commands.config:group", "Show and check the configuration."),
    "demo": ("bcce.cli.commands.demo:command", "Watch a broken service being repaired, from a real webhook on."),
    "dispatch": ("bcce.cli.commands.dispatch:group", "Look at attempts to run a script, settle what cannot be known."),
    "incident": ("bcce.cli.commands.incident:group", "Look at incidents, approve or reject what they ask."),
    "init": ("bcce.cli.commands.init:command", "Write a commented bcce.config.yaml."),
    "run": ("bcce.cli.commands.run:group", "Look at runs, follow them, stop them, try them again."),
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
    _escape_unwritable()
    try:
        code = _run(argv)
        _flush()
    except (KeyboardInterrupt, click.Abort):
        code = _fail("stopped")
    except BrokenPipeError:  # whoever read has gone, and wants to hear no more
        code = ExitCode.FAILED
    except BcceError as error:
        code = _refuse(error)
    except Exception as error:  # the command line's one loop: whatever a command raises, the person gets one line and a code of the table
        code = _unforeseen(error)
    _drop_unwritten()
    return code


def _run(argv: list[str] | None) -> int:
    try:
        result: Any = cli.main(args=argv, prog_name="bcce", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except click.ClickException as error:
        error.show()
        return ExitCode.FAILED
    return int(result) if isinstance(result, int) else ExitCode.OK


def _refuse(error: BcceError) -> int:
    from bcce.cli.output import error_lines  # noqa: PLC0415 - only when something is wrong

    return _fail(*error_lines(error), code=error.exit_code)


def _unforeseen(error: Exception) -> int:
    """Says in one line what a command did not foresee, and with BCCE_DEBUG where it came from."""
    from bcce.config.environ import is_debugging  # noqa: PLC0415 - only when something is wrong
    from bcce.kit.text import clean  # noqa: PLC0415 - as above

    if is_debugging():
        import traceback  # noqa: PLC0415 - as above

        _fail("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, OSError) and error.strerror:
        said = f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    else:
        said = f"{type(error).__name__}: {error}"
    return _refuse(Unexpected(" ".join(clean(said, limit=300).split()), hint="BCCE_DEBUG=1 shows where it came from"))


def _fail(*lines: str, code: int = ExitCode.FAILED) -> int:
    with contextlib.suppress(OSError):  # the terminal may be gone
        for line in lines:
            click.echo(line, err=True)
    return code


def _escape_unwritable() -> None:
    """A character that the output's encoding does not have is written as JSON writes it, so that JSON stays JSON."""
    codecs.register_error("bcce-escape", _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="bcce-escape")


def _escape(error: UnicodeError) -> tuple[str, int]:
    import json  # noqa: PLC0415 - hardly ever needed

    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def _flush() -> None:
    if isinstance(sys.stdout, io.IOBase):  # None when the shell has closed it
        sys.stdout.flush()


def _drop_unwritten() -> None:
    """What could not be written would be tried again, and complained about, when the interpreter ends."""
    try:
        _flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
