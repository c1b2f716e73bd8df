"""`bcce demo`."""

import asyncio
import contextlib
import errno
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bcce.cli.approvals import approval_lines
from bcce.demo.folder import keep_logs, remove
from bcce.demo.stop import Stop
from bcce.demo.story import DEMO_USER, Outcome, Story
from bcce.kit.clock import SystemClock
from bcce.kit.errors import ExitCode
from bcce.kit.text import clean

_STYLES = {"closed": "bold green", "resolved": "bold green", "escalated": "bold yellow", "awaiting_approval": "bold cyan"}


@click.command()
@click.option("--yes", is_flag=True, help="Approve as a named demo user instead of asking.")
@click.option("--keep", is_flag=True, help="Leave the server, the patient and the monitor running after it went well.")
@click.option("--timeout", default=90.0, show_default=True, help="Seconds after which a scene in which nothing happens has failed.")
def command(yes: bool, keep: bool, timeout: float) -> int:
    """Watch a broken service being repaired, from a real monitoring webhook on. Exit 0 only if it truly answers again."""
    screen = ConsoleScreen(_Console(highlight=False), asks=not yes and sys.stdin.isatty())
    with Stop() as stop:
        return asyncio.run(_play(stop, screen, keep=keep, timeout_s=timeout))


async def _play(stop: Stop, screen: "ConsoleScreen", *, keep: bool, timeout_s: float) -> int:
    folder = Path(tempfile.mkdtemp(prefix="bcce-demo-"))
    story = Story(folder=folder, screen=screen, clock=SystemClock(), timeout_s=timeout_s)
    stays, logs_stay = False, True
    try:
        outcome = await stop.guard(story.play())
        _tell(screen, outcome, keep=keep)
        # A signal that came during the last words counts too.
        await stop.guard(asyncio.sleep(0))
        stays, logs_stay = keep and outcome.is_success, not outcome.is_success
        return ExitCode.OK if outcome.is_success else ExitCode.FAILED
    except (asyncio.CancelledError, click.Abort):
        logs_stay = False
        raise click.Abort from None
    except BrokenPipeError:  # whoever watched has gone
        logs_stay = False
        raise
    finally:
        # Nothing interrupts this: further signals do nothing, and it takes no longer than the graces of `stop_all`.
        await story.close(stays=stays)
        if logs_stay:
            await keep_logs(folder)
            _warn(f"the logs are in {folder}")
        elif not stays and not await remove(folder):
            _warn(f"{folder} could not be removed; it holds a token and keys")


def _tell(screen: "ConsoleScreen", outcome: Outcome, *, keep: bool) -> None:
    screen.scene("The end")
    screen.say(f"the patient {'answers again' if outcome.is_healthy else 'does NOT answer'}")
    if outcome.is_healthy:  # else there was no second scene
        screen.say(f"the tampered script {'was blocked; nothing ran' if outcome.is_guarded else 'was NOT stopped'}")
    if keep and outcome.is_success:
        prefix = f"BCCE_HOME={outcome.home}"
        screen.say(f"the server stays up on {outcome.url}; look further with:")
        for line in ("incident list", "incident show ID", "alert list", "workflow show remediate", "audit verify"):
            screen.say(f"  {prefix} bcce {line}")
        screen.say(f"stop it with: kill {' '.join(map(str, outcome.pids))}")
    else:
        screen.say("look further: bcce demo --keep leaves the server up; bcce workflow show remediate shows the workflow that just ran")


def _warn(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone
        click.echo(text, err=True)


class _Console(Console):
    """A console that says when its reader has gone, instead of ending the process before the demonstration is cleared away."""

    def on_broken_pipe(self) -> None:
        """Goes on to whoever plays the story."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class ConsoleScreen:
    """The story as lines on a terminal. Everything that came from outside is cleaned and never read as markup."""

    def __init__(self, console: Console, *, asks: bool) -> None:
        self._console = console
        self._asks = asks

    def scene(self, title: str) -> None:
        """A rule across the screen."""
        self._console.print()
        self._console.rule(title, align="left")

    def say(self, text: str) -> None:
        """One line."""
        self._console.print(f"  {clean(text, limit=3000)}", markup=False, soft_wrap=True)

    def happened(self, entry: Mapping[str, Any]) -> None:
        """Time, what, and the sentence."""
        kind = str(entry["kind"])
        line = f"  {entry['at'][11:23]}  {kind:<18} {clean(str(entry['text']), limit=300)}"
        self._console.print(line, style=_STYLES.get(kind, ""), markup=False, soft_wrap=True)

    async def agrees(self, asked: Mapping[str, Any]) -> bool:
        """Shows plan, script and findings, and asks; without a terminal, or with --yes, the demo user agrees and it is said."""
        for line in approval_lines(dict(asked)):
            self._console.print(f"    {line}", markup=False, soft_wrap=True)
        if not self._asks:
            self.say(f"nobody is asked (no terminal, or --yes): {DEMO_USER} approves")
            return True
        while True:
            self._console.print(f"  Run this as {DEMO_USER}? [Y/n]: ", markup=False, end="")
            answer = (await _read_line()).strip().lower()
            if answer in ("", "y", "yes", "n", "no"):
                return not answer.startswith("n")

    def summary(self, view: Mapping[str, Any]) -> None:
        """What became of the incident."""
        took = view["timeToResolveSeconds"]
        self.say(f"incident {view['id']}: {view['state']}{f', resolved after {took:.1f} s' if took is not None else ''}")
        self.say(f"  {view['summary'] or view['title']}")
        for item in view["dispatches"]:
            self.say(f"  script {item['state']} with exit code {item['exitCode']}: {' / '.join((item['output'] or '').splitlines())}")
        if view.get("ticket"):
            self.say(f"  ticket {view['ticket']['id']}: {view['ticket']['state']}")


async def _read_line() -> str:
    """The next line that is typed. Waits in the loop: a thread that reads could not be stopped before the next line.

    Raises:
        click.Abort: there will be none.
    """
    typed = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), typed.set)
    try:
        await typed.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    line = sys.stdin.readline()
    if not line:
        raise click.Abort
    return line
