"""How many rows a second `append` makes durable on SQLite, beside what Python's bare sqlite3 can do with the same rows.

    python benchmarks/storage_append.py [--rows 60000] [--callers 500] [--folder /var/tmp]

Three variants run one after the other on the same disk, all with WAL and synchronous=FULL:

- `floor`: `executemany` of values that need no conversion, as many rows per commit as there are callers; one thread, no event loop.
- `bcce`, name `append`: that many callers, each waiting for its row to be durable before it sends the next.
- `bcce`, name `append-step`: the same with a fence, a journal row, an event (which gets its position) and an audit row in each append.

Prints the form of all benchmarks: `{"results": [{"name", "variant", "store", "metric", "value", "unit"}]}`.
"""

import argparse
import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Integer, MetaData, Table, insert

from bcce.kit.clock import SystemClock, format_time
from bcce.kit.events import Event
from bcce.kit.ids import DEFAULT_TENANT, Ids
from bcce.kit.text import canonical_json
from bcce.storage.doors import Append, Database, Fence, open_database
from bcce.storage.outbox import event_item, outbox, outbox_cursors
from bcce.storage.types import Id, Json, Name, UtcDateTime, tenant_column

metadata = MetaData()
runs = Table("runs", metadata, Column("id", Id(), primary_key=True), Column("epoch", Integer, nullable=False))


def _journal(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("run_id", Id(), primary_key=True),
        Column("step_key", Name(255), primary_key=True),
        tenant_column(),
        Column("state", Name(32), nullable=False),
        Column("output", Json()),
        Column("started_at", UtcDateTime(), nullable=False),
    )


steps = _journal("steps")
audit = _journal("audit")
ADD_STEP, ADD_AUDIT = insert(steps), insert(audit)
OUTPUT = {"status": "completed", "host": "web-1.example.org", "attempts": 1}


def measure(*, rows: int, callers: int, folder: Path) -> dict[str, list[dict[str, object]]]:
    """Run all variants in new files inside `folder`; `rows` is how many rows `append` stores, `append-step` makes a third as many steps."""
    results = [_result("append", "floor", "rows", _floor(folder / "floor.sqlite", rows=rows, per_commit=callers), "rows/s")]
    rate, waits = asyncio.run(_appends(folder / "append.sqlite", rows, callers, _one_row))
    results += _shown("append", "rows", rate, waits)
    rate, waits = asyncio.run(_appends(folder / "step.sqlite", rows // 3, callers, _one_step))
    results += _shown("append-step", "steps", rate, waits)
    return {"results": results}


def _floor(path: Path, *, rows: int, per_commit: int) -> float:
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA journal_mode=WAL")
    conn.execute("PRAGMA synchronous=FULL")
    conn.execute(
        "CREATE TABLE steps (run_id TEXT, step_key TEXT, tenant_id TEXT, state TEXT, output TEXT, started_at TEXT, "
        "PRIMARY KEY (run_id, step_key))"
    )
    at, output = format_time(SystemClock().now()), canonical_json(OUTPUT).decode()
    values = [(f"run-{n % per_commit}", f"step-{n}", DEFAULT_TENANT, "completed", output, at) for n in range(rows)]
    began = time.perf_counter()
    for start in range(0, rows, per_commit):
        conn.execute("BEGIN IMMEDIATE")
        conn.executemany("INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?)", values[start : start + per_commit])
        conn.execute("COMMIT")
    took = time.perf_counter() - began
    conn.close()
    return rows / took


async def _appends(path: Path, count: int, callers: int, make: Callable[..., Append]) -> tuple[float, list[float]]:
    """Appends per second, and how long each waited in milliseconds."""
    clock = SystemClock()
    ids = Ids(clock)
    async with open_database(f"sqlite:///{path}", clock=clock, ids=ids, fence_table=runs) as db:
        await db.migrate(lambda conn: outbox.metadata.create_all(conn, tables=[outbox, outbox_cursors]))
        await db.migrate(metadata.create_all)
        owned = [{"id": f"run-{number}", "epoch": 1} for number in range(callers)]
        await db.write(lambda conn: conn.execute(insert(runs), owned) and None)
        waits: list[float] = []
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(callers):
                group.create_task(_caller(db, lambda run, n: make(run, n, clock, ids), number, count // callers, waits))
        return count // callers * callers / (time.perf_counter() - began), waits


async def _caller(db: Database, make: Callable[[str, int], Append], number: int, count: int, waits: list[float]) -> None:
    for n in range(count):
        began = time.perf_counter()
        await db.append(make(f"run-{number}", n))
        waits.append((time.perf_counter() - began) * 1000)


def _row(run: str, n: int, clock: SystemClock) -> dict[str, Any]:
    return {
        "run_id": run,
        "step_key": f"step-{n}",
        "tenant_id": DEFAULT_TENANT,
        "state": "completed",
        "output": OUTPUT,
        "started_at": clock.now(),
    }


def _one_row(run: str, n: int, clock: SystemClock, _: Ids) -> Append:
    return Append(items=((ADD_STEP, _row(run, n, clock)),))


def _one_step(run: str, n: int, clock: SystemClock, ids: Ids) -> Append:
    row = _row(run, n, clock)
    event = Event(type="step.completed", timestamp=clock.now(), source="bench", tenant_id=DEFAULT_TENANT, data={"stepId": f"step-{n}"})
    return Append(items=((ADD_STEP, row), event_item(ids, event), (ADD_AUDIT, row)), fences=(Fence(run, 1),))


def _shown(name: str, what: str, rate: float, waits: list[float]) -> list[dict[str, object]]:
    cuts = statistics.quantiles(waits, n=100)
    return [
        _result(name, "bcce", what, rate, f"{what}/s"),
        _result(name, "bcce", "p50", cuts[49], "ms"),
        _result(name, "bcce", "p99", cuts[98], "ms"),
    ]


def _result(name: str, variant: str, metric: str, value: float, unit: str) -> dict[str, object]:
    return {"name": name, "variant": variant, "store": "sqlite", "metric": metric, "value": round(value, 2), "unit": unit}


def main() -> None:
    """Parse the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--callers", type=int, default=500)
    parser.add_argument("--folder", type=Path, default=None, help="where the files are made; a folder on the disk that matters")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        json.dump(measure(rows=chosen.rows, callers=chosen.callers, folder=Path(folder)), sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
