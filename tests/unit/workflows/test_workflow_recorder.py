"""What the recorder looks at while other steps of the run begin."""

import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from bcce.workflows.model import StepRecord, StepState
from bcce.workflows.reader import read_definition
from bcce.workflows.recorder import Recorder

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NONE: Any = None


def record(key: str, state: StepState) -> StepRecord:
    return StepRecord(key=key, attempt=1, state=state, type="x", started_at=NOW)


@pytest.fixture(autouse=True)
def _many_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_steps_may_begin_while_the_end_of_another_is_written_in_another_thread() -> None:
    records = {f"s{n}": record(f"s{n}", StepState.COMPLETED) for n in range(3000)} | {"live": record("live", StepState.STARTED)}
    recorder = Recorder(NONE, NONE, NONE, NONE, NONE, NONE)
    attempt: Any = SimpleNamespace(records=records, definition=read_definition("name: t\nsteps:\n  - {id: a, type: x}\n", number=2))
    is_over = threading.Event()

    def begin() -> None:
        while not is_over.is_set():
            for n in range(50):
                records[f"new{n}"] = record(f"new{n}", StepState.STARTED)
            for n in range(50):
                del records[f"new{n}"]

    beginner = threading.Thread(target=begin)
    beginner.start()
    try:
        for _ in range(100):
            assert recorder._finish(attempt, record("s0", StepState.COMPLETED)) is None
    finally:
        is_over.set()
        beginner.join()
