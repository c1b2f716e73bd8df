"""Following a run to its end: redrawn in place on a terminal, else one line for each change."""

import asyncio
import contextlib
import json
import logging
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import click

from bcce.cli.client import Client, segment
from bcce.cli.output import one_line, show_item
from bcce.cli.runs import OVER, Line, about, progress, reason, standing, state_of, step_text, tree
from bcce.cli.screen import Screen, is_terminal, size
from bcce.kit.clock import SystemClock
from bcce.kit.errors import BcceError, ExitCode
from bcce.kit.text import visible

#: Between looks at a run whose events tell when there is something to see, for what they do not tell: runs that it started.
_BEAT_S = 5.0
#: Between looks where there are no events to follow.
_LOOK_S = 0.3
#: Between frames, so that clocks go on; and the least between looks, so that a crowd of events is one.
_FRAME_S, _LEAST_S = 1.0, 0.1
_CLOCK = SystemClock()


async def follow(client: Client, run_id: str, *, as_json: bool = False) -> int:
    """Shows a run until it is over, or prints it as JSON when it is; 0 when it ended well. Ctrl-C leaves the run alone."""
    shown: _Shown = _Silent() if as_json else _Drawn() if is_terminal() else _Lines()
    try:
        run = await _watch(client, run_id, shown)
    except asyncio.CancelledError:
        shown.stop()
        what = "the run goes on, and this follows it again" if client.is_server else "the run is kept, and this or a server goes on with it"
        click.echo(f"no longer followed; {what}:\n  bcce run watch {run_id}", err=True)
        if (task := asyncio.current_task()) is not None:
            task.uncancel()
        return ExitCode.FAILED
    except BaseException:
        shown.stop()
        raise
    if as_json:
        show_item(run, as_json=True)
    return ExitCode.OK if run["state"] == "completed" else ExitCode.FAILED


async def _watch(client: Client, run_id: str, shown: "_Shown") -> Mapping[str, Any]:
    path = f"/api/v1/runs/{segment(run_id)}"
    async with _changes(client, path) as changed:
        while True:
            changed.clear()
            run: Mapping[str, Any] = await client.get(path)
            shown.show(run)
            if run["state"] in OVER:
                shown.end(run)
                return run
            await asyncio.sleep(_LEAST_S)
            left = _BEAT_S if client.is_server else _LOOK_S - _LEAST_S
            while left > 0 and not changed.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), min(left, _FRAME_S))
                left -= _FRAME_S
                if not changed.is_set():
                    shown.tick(run)


@asynccontextmanager
async def _changes(client: Client, path: str) -> AsyncIterator[asyncio.Event]:
    """What is set whenever the run may have changed, or the terminal has another size."""
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    listener = asyncio.create_task(_listen(client, f"{path}/events", changed)) if client.is_server else None
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not the main thread, or no such signal
        loop.add_signal_handler(signal.SIGWINCH, changed.set)
    try:
        yield changed
    finally:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.remove_signal_handler(signal.SIGWINCH)
        if listener is not None:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)


async def _listen(client: Client, path: str, changed: asyncio.Event) -> None:
    """Tells of every event of the run; where they cannot be had, the looks at the run itself say what is wrong."""
    last: str | None = None
    while True:
        with contextlib.suppress(BcceError):
            async for event_id in client.events(path, last):
                last = event_id
                changed.set()
        changed.set()
        await asyncio.sleep(_FRAME_S)


class _Shown:
    """What a person sees of a run that is followed."""

    def show(self, run: Mapping[str, Any]) -> None:
        """The run as it is now."""

    def tick(self, run: Mapping[str, Any]) -> None:
        """Time has passed, and nothing else."""

    def stop(self) -> None:
        """Nobody follows any more."""

    def end(self, run: Mapping[str, Any]) -> None:
        """The run is over."""


class _Silent(_Shown):
    """Nothing: the run is printed at its end."""


class _Lines(_Shown):
    """A line for each change, for a file or a program."""

    def __init__(self) -> None:
        self._steps: dict[str, str] = {}
        self._state = ""

    def show(self, run: Mapping[str, Any]) -> None:
        if not self._state:
            click.echo("\n".join((f"{run['id']} {one_line(run['workflow'], limit=128)}", *about(run))))
        state = state_of(run)
        if state != self._state:
            self._tell(run, state)
        self._state = state
        # Of what happened since the last look the first comes first.
        for step in sorted(run["steps"], key=lambda step: str(step["endedAt"] or step["startedAt"])):
            now = f"{step['state']}/{step['attempt']}"
            if self._steps.get(step["key"]) != now:
                self._steps[step["key"]] = now
                notes = ("copied, not executed",) if step["copied"] else ()
                click.echo(f"  {step_text(step, _CLOCK.now(), tries=step['attempt'], notes=notes)}")

    def _tell(self, run: Mapping[str, Any], state: str) -> None:
        if run["state"] == "queued":
            click.echo("\n".join(standing(run)))
        elif run["state"] not in OVER and (self._state or state != "active"):
            click.echo(f"  {run['id']} " + ("goes on" if state == "active" else state))

    def end(self, run: Mapping[str, Any]) -> None:
        click.echo("\n".join(ending(run)))


class _Drawn(_Shown):
    """The tree, redrawn in place; at the end the whole of it stays."""

    def __init__(self) -> None:
        self._screen = Screen()
        # A warning of the engine in this process would stand in the middle of the frame; the tree and the run's log tell the same.
        logging.getLogger().setLevel(logging.ERROR)

    def show(self, run: Mapping[str, Any]) -> None:
        self._screen.draw(frame(run, size()[1] - 1))

    def tick(self, run: Mapping[str, Any]) -> None:
        self.show(run)

    def end(self, run: Mapping[str, Any]) -> None:
        self._screen.clear()
        click.echo("\n".join((_title(run), *about(run), *(line.text for line in tree(run, _CLOCK.now())), *ending(run))))


def frame(run: Mapping[str, Any], room: int) -> list[str]:
    """The lines of a run that is followed, at most `room` of them: what is going on or went wrong before all else."""
    now = _CLOCK.now()
    head = [_title(run), *about(run)]
    lines = tree(run, now)
    left = room - len(head) - 1
    if len(lines) > left:
        kept = _fitting(lines, max(0, left - 1))
        head += [line.text for line in kept]
        head.append(f"  … {len(kept)} of {len(lines)} lines; all of them: bcce run show {run['id']}")
    else:
        head += [line.text for line in lines]
    return [*head, f"  {progress(run, now)}"][:room]


def _fitting(lines: Sequence[Line], room: int) -> list[Line]:
    """As many lines as there is room for: the urgent ones with what they stand below, then those before and behind them."""
    chosen: set[int] = set()
    for index in reversed([index for index, line in enumerate(lines) if line.is_urgent]):
        wanted = {index, *_above(lines, index)} - chosen
        if len(chosen) + len(wanted) <= room:
            chosen |= wanted
    middle = max(chosen, default=0)
    for index in sorted(range(len(lines)), key=lambda index: abs(index - middle)):
        if len(chosen) >= room:
            break
        chosen.add(index)
    return [lines[index] for index in sorted(chosen)]


def _above(lines: Sequence[Line], index: int) -> Iterator[int]:
    depth = lines[index].depth
    for above in range(index - 1, -1, -1):
        if lines[above].depth < depth:
            depth = lines[above].depth
            yield above


def _title(run: Mapping[str, Any]) -> str:
    return f"{run['id']}  {one_line(run['workflow'], limit=128)}  {state_of(run)}"


def ending(run: Mapping[str, Any]) -> Iterator[str]:
    """How a run ended, and what came of it."""
    yield f"{run['id']} {run['state']}" + (f": {reason(run['error'])}" if run.get("error") else "")
    if run.get("output"):
        yield visible(json.dumps(run["output"], indent=2, ensure_ascii=False))
