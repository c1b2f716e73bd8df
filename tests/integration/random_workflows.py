"""Workflows of every kind of step, made at random, all of which end by themselves once the events come that they wait for."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from tests.integration.workflow_support import ACTOR

from bcce.kit.errors import BcceError
from bcce.runtime.runtime import Runtime
from bcce.workflows.tables import gates

CHILD = 'version: "1.0"\nname: child\nsteps:\n  - {id: c, type: emit, event: child}\n  - {id: d, type: wait, duration: 5ms}\n'
_SCOPES = ("parallel", "foreach", "group", "composite", "condition")
_STRATEGIES = ("abort", "continue", "wait-all")
_FAILS = "fails: -1, retryable: false"


class Maker:
    """Makes workflows.

    Args:
        port: where a server of this machine listens for the `http` steps; None: there are none.
        script: there are `script` steps, each of which starts a process.
        is_racy: steps fail wherever they stand, so that what becomes of those beside them is a matter of time.
        with_events: there are steps that wait for events.
        trace: the file in which the steps `keyed` and `act` leave their traces; None: there are none of them.
    """

    def __init__(
        self,
        chance: random.Random,
        *,
        port: int | None = None,
        script: bool = False,
        is_racy: bool = False,
        trace: str | None = None,
        with_events: bool = True,
    ) -> None:
        self._chance = chance
        self._port = port
        self._trace = trace
        self._number = 0
        self._is_racy = is_racy
        self._kinds = ["work", "work", "retry", "resilient", "fallback", "compensate", "emit", "watch", "wait", "set", "transform"]
        self._kinds += (
            ["left", "skipped", "workflow"]
            + (["event"] if with_events else [])
            + (["http"] if port else [])
            + (["script"] if script else [])
        )
        self._kinds += ["fail", "late", "compensate"] if is_racy else []
        self._kinds += ["keyed", "keyed", "act"] if trace else []

    def text(self, name: str = "random") -> str:
        """A workflow."""
        ids: list[str] = []
        body = self._list(2, depth=0, ids=ids)
        if self._chance.random() < 0.4:
            # At the very end, so that nothing is in progress beside it.
            undo = self._chance.choice(["fail", "compensate"])
            body += f"  - {{id: end, type: work, depends_on: [{', '.join(ids)}], {_FAILS}, on_failure: {undo}}}\n"
        return f'version: "1.0"\nname: {name}\ninputs: {{yes: {{type: boolean, default: true}}}}\nsteps:\n{body}'

    def _list(self, indent: int, *, depth: int, ids: list[str] | None = None) -> str:
        made = []
        for _ in range(self._chance.randint(1, 4)):
            made.append(self._step(indent, depth))
            if ids is not None:
                ids.append(made[-1].split("\n", 1)[0].split("id: ")[1])
        return "".join(made)

    def _step(self, indent: int, depth: int) -> str:
        self._number += 1
        name, pad = f"s{self._number}", " " * indent
        head = f"{pad}- id: {name}\n"
        pad += "  "
        if self._chance.random() < 0.2:
            head += f"{pad}depends_on: []\n"
        kind = self._chance.choice(self._kinds + ([] if depth > 2 else list(_SCOPES)))
        return head + (
            self._scope(kind, indent, depth) if kind in _SCOPES else pad + self._simple(kind, name).replace("\n", f"\n{pad}") + "\n"
        )

    def _scope(self, kind: str, indent: int, depth: int) -> str:
        pad, chance = " " * (indent + 2), self._chance
        below = self._list(indent + 4, depth=depth + 1)
        late = f"{pad}timeout: {chance.choice([0.05, 30])}\n" if self._is_racy and kind != "condition" and chance.random() < 0.3 else ""
        strategy = f"{pad}failure_strategy: {chance.choice(_STRATEGIES)}\n{late}"
        if kind == "condition":
            otherwise = f"{pad}else:\n{self._list(indent + 4, depth=depth + 1)}" if chance.random() < 0.5 else ""
            asks = chance.choice(["{{ inputs.yes }}", "{{ not inputs.yes }}"])
            return f"{pad}type: condition\n{pad}condition: '{asks}'\n{pad}then:\n{below}{otherwise}"
        if kind == "foreach":
            return f"{pad}type: foreach\n{pad}items: [a, b]\n{pad}concurrency: {chance.randint(1, 2)}\n{strategy}{pad}steps:\n{below}"
        return f"{pad}type: {kind}\n{strategy}{pad}steps:\n{below}"

    def _simple(self, kind: str, name: str) -> str:
        undone = f"compensate: {{type: emit, event: undo-{name}}}"
        other = f"fallback: {{type: emit, event: f-{name}}}"
        return {
            "work": f"type: work\nvalue: {name}\nseconds: {self._chance.choice([0, 0.005])}",
            "retry": "type: work\nfails: 2\nretry: {attempts: 3, base: 1ms}",
            "resilient": f"type: resilient\nretry: {{attempts: 2, base: 1ms}}\n{other}\nstep: {{type: work, fails: 2}}",
            "fallback": f"type: work\nfails: -1\nretryable: false\n{other}",
            "compensate": f"type: work\n{undone}",
            "emit": f"type: emit\nevent: {name}\n{undone}" if self._is_racy else f"type: emit\nevent: {name}",
            "watch": "type: watch\nseconds: 0.01",
            "wait": "type: wait\nduration: 5ms",
            "event": f"type: wait\nevent: {self._chance.choice('xyz')}",
            "set": "type: set\nx: 1",
            "transform": "type: transform\nvalue: '{{ inputs.yes }}'",
            "left": "type: work\nfails: -1\nretryable: false\non_failure: continue",
            "skipped": "type: work\nwhen: '{{ not inputs.yes }}'",
            "workflow": "type: workflow\nworkflow: child",
            "http": f"type: http\nmethod: POST\nurl: http://127.0.0.1:{self._port}/{name}",
            "script": "type: script\ncode: print('{}')",
            "fail": f"type: work\nfails: -1\nretryable: false\non_failure: {self._chance.choice(['fail', 'compensate'])}",
            "late": "type: work\nseconds: 30\ntimeout: 0.02\non_failure: continue",
            "keyed": f"type: keyed\nvalue: {self._trace}\nseconds: {self._chance.choice([0, 0.02])}",
            "act": f"type: act\nvalue: {self._trace}",
        }[kind]


@dataclass
class Counter:
    """A server that counts the idempotency keys that it gets."""

    port: int = 0
    keys: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            self.keys += [line.split(": ", 1)[1] for line in head if line.lower().startswith("idempotency-key: ")]
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def counting() -> AsyncIterator[Counter]:
    """Such a server, on a free port of this machine."""
    counter = Counter()
    server = await asyncio.start_server(counter.serve, "127.0.0.1", 0)
    counter.port = server.sockets[0].getsockname()[1]
    async with server:
        yield counter


def settings_for(counter: Counter) -> dict[str, Any]:
    """The section `workflows` that lets `http` steps reach the server."""
    return {"http": {"allowed_hosts": [f"127.0.0.1:{counter.port}"], "allowed_networks": ["127.0.0.1/32"], "breaker_failures": 100}}


async def signal_waiting(runtime: Runtime) -> None:
    """Sends every event that some run waits for now."""
    asked = select(gates.c.run_id, gates.c.name).where(gates.c.kind == "event", gates.c.state == "open")
    for run_id, name in await runtime.db.read(lambda conn: [tuple(row) for row in conn.execute(asked)]):
        try:
            await runtime.workflows.signal(ACTOR, run_id, name, {})
        except BcceError:
            # It ended meanwhile, or the process is dead; then it is asked again.
            continue
        runtime.ring(run_id)
