"""How much work something takes, counted and not timed: imports, transactions, statements, growth."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from bcce.api.app import create_app
from bcce.runtime import Settings, open_runtime
from bcce.runtime.runtime import Overrides
from bcce.safety.bash.reader import read_script
from bcce.safety.validators.bash import look
from bcce.storage.doors import Append, Database

HEAVY = {"sqlalchemy", "pydantic", "starlette", "uvicorn", "httpx", "rich", "tree_sitter", "structlog", "jinja2", "yaml", "ruamel"}


def imported(*words: str) -> set[str]:
    """The top-level packages that `bcce` imports for a command line."""
    code = "import sys\nfrom bcce.cli.main import run\ntry:\n    run(sys.argv[1:])\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - our own program
    return {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize("words", [("--help",), ("--version",)])
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    assert not imported(*words) & HEAVY


class Counting:
    """A real database that counts its units of work."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.appends = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def append(self, op: Append) -> None:
        self.appends += 1
        await self._inner.append(op)


def body(first: int, count: int) -> bytes:
    alerts = [
        {"status": "firing", "labels": {"alertname": f"A{number}"}, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z"}
        for number in range(first, first + count)
    ]
    return json.dumps({"version": "4", "status": "firing", "alerts": alerts}).encode()


async def test_a_delivery_is_one_commit_however_many_alerts_it_holds_and_are_stored(tmp_path: Path) -> None:
    made: list[Counting] = []

    def counting(inner: Database) -> Any:
        made.append(Counting(inner))
        return made[-1]

    statements: list[str] = []

    def count(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", count)
    taken: list[tuple[int, int]] = []
    try:
        async with open_runtime(Settings(), home=tmp_path, overrides=Overrides(database=counting), works=False) as runtime:
            headers = {"Authorization": f"Bearer {(tmp_path / 'admin.token').read_text().strip()}"}
            transport = httpx.ASGITransport(create_app(runtime))
            async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
                for number, alerts in enumerate((1, 1, 200, 200, 1)):
                    made[0].appends = 0
                    statements.clear()
                    answer = await client.post("/api/v1/webhooks/alertmanager", content=body(number * 1000, alerts))
                    assert answer.status_code == 202
                    taken.append((made[0].appends, len(statements)))
    finally:
        event.remove(Engine, "before_cursor_execute", count)

    assert [appends for appends, _ in taken] == [1, 1, 1, 1, 1]
    assert taken[4][1] <= taken[1][1] + 2, "the number of statements does not grow with what is stored"


@pytest.mark.parametrize(("unit", "join"), [("ls -l /tmp", "\n"), ("ls", " | "), ("echo $x", "; "), ("x=1", "\n"), ("f() { ls; }", "\n")])
def test_the_validators_work_grows_with_the_script_and_no_faster(unit: str, join: str) -> None:
    """Commands and calls are counted; a script that is ten times as long may have ten times as many."""
    few, many = (look(read_script(join.join([unit] * count)), ()) for count in (20, 200))

    assert len(many.calls) <= 10 * max(len(few.calls), 1)
    assert len(many.script.commands) <= 10 * max(len(few.script.commands), 1)
