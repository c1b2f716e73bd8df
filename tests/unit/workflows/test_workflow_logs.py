"""What a step says is bounded, masked and told once; what events say to a reader."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.kit.events import EVENT_TYPES
from bcce.kit.text import canonical_json, has_hidden
from bcce.workflows.logs.model import LogLimits, StepLog
from bcce.workflows.logs.narration import Said, narrate, step_of

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET = "bcce_pat_" + "s" * 40


def log(lines: int = 10, size: int = 10_000) -> StepLog:
    return StepLog(LogLimits(lines=lines, bytes=size), is_continued=False)


def texts(step_log: StepLog, *, is_last: bool = True) -> list[str]:
    batch = step_log.lines(at=AT, is_last=is_last)
    step_log.stored(batch)
    return [str(line["text"]) for line in batch.lines]


def test_each_line_of_a_message_is_one() -> None:
    step_log = log()
    step_log.say(AT, "warning", "one\r\ntwo", {"status": 200})

    assert list(step_log.lines(at=AT, is_last=True).lines) == [
        {"at": "2026-01-02T03:04:05.000000Z", "level": "warning", "text": text, "facts": {"status": 200}} for text in ("one", "two")
    ]


def test_lines_above_the_limit_are_counted_and_the_last_batch_says_how_many() -> None:
    step_log = log(lines=3)
    for number in range(7):
        step_log.say(AT, "info", str(number), None)

    assert texts(step_log, is_last=False) == ["0", "1", "2"]
    step_log.say(AT, "info", "7", None)
    assert texts(step_log) == ["… 5 lines left out"]
    assert texts(step_log) == []


def test_bytes_are_limited_too() -> None:
    step_log = log(lines=1000, size=1000)
    for _ in range(100):
        step_log.say(AT, "info", "x" * 100, None)

    found = texts(step_log)
    assert found[-1] == f"… {100 - len(found) + 1} lines left out"
    assert sum(map(len, found)) < 1200


def test_what_is_not_stored_yet_stays_and_what_was_said_meanwhile_too() -> None:
    step_log = log()
    step_log.say(AT, "info", "first", None)
    batch = step_log.lines(at=AT, is_last=False)
    step_log.say(AT, "info", "second", None)

    step_log.stored(batch)

    assert texts(step_log) == ["second"]


def test_what_is_said_while_the_lines_are_being_taken_stays() -> None:
    step_log = log()
    step_log.say(AT, "info", "first", None)

    class Busy(list[Any]):
        """Somebody speaks in another thread just when all have been looked at."""

        def __iter__(self) -> Iterator[Any]:
            yield from self[:]
            if len(self) == 1:
                step_log.say(AT, "info", "second", None)

    step_log._waiting = Busy(step_log._waiting)

    assert texts(step_log) == ["first"]
    assert texts(step_log) == ["second"]


def test_a_continued_attempt_has_the_room_that_is_left_of_it() -> None:
    step_log = StepLog(LogLimits(lines=5, bytes=10_000), is_continued=True)
    for number in range(4):
        step_log.say(AT, "info", str(number), None)

    batch = step_log.lines(at=AT, is_last=False, stored=(3, 100), limits=LogLimits(lines=5, bytes=10_000))
    step_log.stored(batch)

    assert [line["text"] for line in batch.lines] == ["0", "1"]
    assert texts(step_log) == ["… 2 lines left out"]


@given(st.text(max_size=300), st.text(max_size=300), st.dictionaries(st.text(max_size=10), st.text(max_size=50), max_size=3))
def test_no_credential_and_nothing_hidden_reaches_a_line(before: str, after: str, facts: dict[str, str]) -> None:
    step_log = log(lines=1000, size=1_000_000)
    step_log.say(AT, "info", f"{before} {SECRET} {after}", {**facts, "note": f"Bearer {SECRET}", "password": "hunter2"})

    lines = step_log.lines(at=AT, is_last=True).lines
    written = canonical_json(list(lines)).decode()
    assert SECRET not in written
    assert "hunter2" not in written
    assert not any(has_hidden(str(line["text"])) for line in lines)


def test_a_credential_at_the_cut_leaves_no_half_of_itself() -> None:
    step_log = log()
    step_log.say(AT, "info", "x" * 1980 + " " + SECRET, {"big": "y" * 5000})

    (line,) = step_log.lines(at=AT, is_last=True).lines
    assert "bcce_pat" not in str(line["text"])
    assert line["facts"] == {"facts": "left out: more than 2000 bytes"}


@pytest.mark.parametrize(
    ("kind", "data", "level", "message"),
    [
        ("step.started", {"stepType": "http"}, "info", "began (http)"),
        ("step.completed", {"duration": 1234.5}, "info", "completed after 1.23 s"),
        ("step.failed", {"duration": 10, "error": "no", "errorType": "unavailable"}, "error", "failed after 0.01 s: no  [unavailable]"),
        (
            "step.retried",
            {"error": "no", "errorType": "unavailable", "retryAt": "2026-01-01T00:00:00.000000Z"},
            "warning",
            "failed: no  [unavailable]; it is tried again at 2026-01-01T00:00:00.000000Z",
        ),
        ("step.skipped", {"stepId": "asked[2]"}, "info", "skipped: its condition does not hold: {{ inputs.yes }}"),
        ("step.skipped", {"stepId": "other"}, "info", "skipped: it is not needed"),
        ("step.waiting", {"waitingFor": "the event go"}, "info", "waits for the event go"),
        ("workflow.cancelling", {"by": "alice"}, "warning", "alice asked for the run to be stopped"),
        ("workflow.failed", {"stepId": "a", "error": "no", "errorType": "x"}, "error", "the run failed: step a: no  [x]"),
        ("workflow.failed", {"stepId": None, "error": None}, "error", "the run failed: no reason is known"),
    ],
)
def test_an_event_says(kind: str, data: dict[str, Any], level: str, message: str) -> None:
    assert narrate(kind, data, {"asked": "{{ inputs.yes }}"}.get) == Said(level, message)


def test_every_event_of_runs_and_steps_says_something_even_without_data() -> None:
    silent = {kind for kind in EVENT_TYPES if kind.startswith(("step.", "workflow.")) and narrate(kind, {}, lambda name: None) is None}

    assert silent == {"step.logged"}
    assert narrate("alert.received", {}, lambda name: None) is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"decision": "approve", "by": "user:ada", "comment": "go"}, Said("info", "user:ada agreed (approval apr_1): go")),
        ({"decision": "reject", "by": "user:ada", "comment": ""}, Said("warning", "user:ada refused (approval apr_1)")),
        ({"decision": "revoke", "by": "user:ada", "reason": "no"}, Said("warning", "user:ada took the approval back (approval apr_1): no")),
        ({"decision": "expire"}, Said("warning", "nobody answered in time (approval apr_1)")),
        ({"decision": "new"}, None),
    ],
)
def test_the_log_says_who_answered_a_question(data: dict[str, object], expected: Said | None) -> None:
    assert narrate("approval.decided", {**data, "approvalId": "apr_1"}, lambda name: None) == expected


def test_a_run_that_was_tried_again_and_waits_says_both() -> None:
    asked = narrate("workflow.waiting", {"by": "ada", "group": "g"}, lambda name: None)
    goes_on = narrate("workflow.resumed", {}, lambda name: None)

    assert asked == Said("info", "ada asked for the run to be tried again; it waits for its turn in the group g")
    assert goes_on == Said("info", "the run has its turn, and goes on")


@pytest.mark.parametrize(("key", "step"), [("look", "look"), ("look[2][0]", "look"), ("ask.fallback[2]", "ask"), ("ask.compensate", "ask")])
def test_the_step_of_a_key(key: str, step: str) -> None:
    assert step_of(key) == step
