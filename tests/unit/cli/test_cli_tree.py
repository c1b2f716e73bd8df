"""How a run is shown on a terminal: the tree, the frame that fits, and the screen on which it is drawn in place."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.terminal import Terminal

from bcce.cli import screen as screen_module
from bcce.cli.following import ending, frame
from bcce.cli.runs import about, progress, state_of, took, tree
from bcce.cli.screen import Screen

NOW = datetime(2026, 1, 2, 3, 5, 0, tzinfo=UTC)
BEGAN = "2026-01-02T03:04:05.000000Z"
EVIL = "\x1b[2Jgone\r\n  ✓ all  is well\u202e\x9b1A"


def step(key: str, state: str = "completed", **more: Any) -> dict[str, Any]:
    ended = None if state in ("started", "waiting", "retrying") else "2026-01-02T03:04:06.500000Z"
    base = {"key": key, "type": "set", "state": state, "attempt": 1, "startedAt": BEGAN, "endedAt": ended, "copied": False}
    return {**base, "output": {}, "error": None, "waitingFor": None, "wakeAt": None, **more}


def node(key: str, depth: int = 0, kind: str = "step", **more: Any) -> dict[str, Any]:
    return {"key": key, "kind": kind, "type": "set", "depth": depth, "branch": None, "index": None, "count": None, **more}


def run(steps: list[dict[str, Any]], nodes: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    nodes = nodes if nodes is not None else [node(key) for key in dict.fromkeys(step["key"] for step in steps)]
    base = {"id": "run_1", "workflow": "w", "state": "active", "cancelAt": None, "startedAt": BEGAN, "createdAt": BEGAN, "endedAt": None}
    counts = {"nodes": nodes, "known": len(nodes), "done": sum(item["state"] == "completed" for item in steps)}
    return {**base, "steps": steps, "children": [], "outline": counts, "error": None, "output": None, **more}


def shown(given: dict[str, Any]) -> list[str]:
    return [line.text for line in tree(given, NOW)]


def test_each_line_says_state_time_and_tries() -> None:
    steps = [
        step("a", "failed", error={"message": "no"}),
        step("a", attempt=2),
        step("b", "waiting", waitingFor="a person"),
        step("c", "skipped"),
    ]

    assert shown(run(steps, [node("a"), node("b", 1), node("c"), node("d")])) == [
        "  ✓ a  set  completed  1.5 s  2 tries",
        "    … b  set  waiting  55.0 s  a person",
        "  - c  set  skipped",
        "  · d  set  not begun",
    ]


def test_turns_branches_and_started_runs_are_named() -> None:
    loop = step("l", "started", type="foreach", output={"items": ["web1", {"n": 1}]})
    nodes = [node("l", type="foreach", count=2), *(node(f"l[{n}]", 1, "turn", index=n) for n in (0, 1)), node("c", type="condition")]
    given = run([loop, step("c", type="condition", output={"branch": "else"})], nodes)
    given["children"] = [{"id": "run_2", "workflow": "child", "state": "failed", "parentKey": "c"}]

    assert shown(given) == [
        "  ▸ l  foreach  started  55.0 s  2 turns",
        "    l[0]  web1",
        '    l[1]  {"n": 1}',
        "  ✓ c  condition  completed  1.5 s  else",
        "    ✗ run run_2  child  failed",
    ]


def test_a_re_run_says_so_and_marks_what_it_did_not_execute() -> None:
    given = run([step("a", copied=True)], rerunOf="run_0", rerunFrom="b")

    assert list(about(given)) == ["  re-run of run_0 from b"]
    assert shown(given) == ["  ✓ a  set  completed  1.5 s  copied from run_0, not executed"]
    assert list(about(run([]))) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "0 of 1 steps  55.0 s  a waits for a person"),
        ({"state": "paused"}, "0 of 1 steps  55.0 s  paused: nothing begins until `bcce run resume run_1`"),
        (
            {"state": "queued", "concurrency": {"group": "g", "limit": 1, "hasTurn": False, "ahead": 2}},
            "0 of 1 steps  55.0 s  waits for its turn, 2 before it, in the concurrency group g (at most 1 at a time)",
        ),
        ({"state": "needs-upgrade"}, "0 of 1 steps  55.0 s  waits for a newer release: this one does not know its format"),
    ],
)
def test_the_line_of_progress_says_what_the_run_waits_for(more: dict[str, Any], said: str) -> None:
    assert progress(run([step("a", "waiting", waitingFor="a person")], **more), NOW) == said


def test_a_run_that_tries_again_or_is_cancelled_says_so() -> None:
    again = run([step("a", "retrying", wakeAt="2026-01-02T03:05:10.250000Z", error={"message": "no"})], cancelAt=BEGAN)

    assert progress(again, NOW).endswith("tries a again at 03:05:10Z")
    assert shown(again) == ["  ↻ a  set  retrying  no  again at 03:05:10Z"]
    assert [state_of(again), state_of({**again, "state": "paused"}), state_of({**again, "state": "cancelled"})] == [
        *("being cancelled", "paused, being cancelled", "cancelled")
    ]


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        ("2026-01-02T03:04:05.004000Z", "4 ms"),
        ("2026-01-02T03:05:10Z", "1 m 05 s"),
        ("2026-01-02T05:06:00Z", "2 h 01 m"),
        (BEGAN[:-8] + "Z", "0 ms"),
    ],
)
def test_times_are_short(ended: str, said: str) -> None:
    assert took(BEGAN, ended, NOW) == said
    assert took(None, None, NOW) == ""


def test_no_text_from_outside_begins_a_line_or_moves_the_cursor() -> None:
    loop = step("l", "started", type="foreach", output={"items": [EVIL]})
    steps = [loop, step("a", "failed", error={"message": EVIL}), step("b", "waiting", waitingFor=EVIL)]
    given = run(steps, [node("l", count=1), node("l[0]", 1, "turn", index=0), node("a"), node("b")], workflow=EVIL, state="failed")
    given |= {"error": {"step": "a", "message": EVIL}, "children": [{"id": "run_2", "workflow": EVIL, "state": "active", "parentKey": "a"}]}

    lines = [*frame(given, 40), *shown(given), *ending(given)]

    assert len(lines) == (1 + 5 + 1) + 5 + 1
    assert not [line for line in lines for char in line if ord(char) < 32 or char in "\u202e\x9b\x7f"]
    assert "\x1b" not in "".join(ending({**given, "output": {"text": EVIL}}))


@pytest.mark.parametrize("room", range(4, 12))
def test_a_frame_fits_and_what_is_going_on_stays_with_what_it_stands_below(room: int) -> None:
    nodes = [node("first"), node("block"), *(node(f"s{n}", 1) for n in range(30)), node("last")]
    steps = [step("first"), step("block", "started"), *(step(f"s{n}") for n in range(20)), step("s20", "started")]

    lines = frame(run(steps, nodes), room)

    assert len(lines) <= room
    assert lines[0].startswith("run_1")
    assert lines[-1].startswith("  21 of 33 steps")
    if room > 5:
        assert [line for line in lines if "s20" in line or "block" in line][1].startswith("    ▸ s20")
        assert lines[-2] == f"  … {room - 3} of 33 lines; all of them: bcce run show run_1"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    seen = Terminal(20)
    monkeypatch.setattr(screen_module, "size", lambda: (seen.columns, 24))
    monkeypatch.setattr(screen_module.click, "echo", lambda text, nl: seen.write(text))
    yield seen
    assert not seen.strange


def test_a_frame_is_drawn_over_the_one_before_it(terminal: Terminal) -> None:
    terminal.write("before\n")
    drawn = Screen()

    drawn.draw(["one line", "another", "a third"])
    drawn.draw(["one", "a line that is longer than the screen is wide"])
    assert terminal.rows == ["before", "one", "a line that is lon…", ""]

    drawn.clear()
    drawn.clear()
    assert terminal.rows == ["before", ""]


def test_letters_that_take_two_columns_do_not_break_a_line(terminal: Terminal) -> None:
    Screen().draw(["日本語日本語日本語日本語"])

    assert terminal.rows == ["日本語日本語日本語…", ""]


def test_a_terminal_that_becomes_narrower_keeps_nothing_of_the_last_frame(terminal: Terminal) -> None:
    terminal.write("before\n")
    drawn = Screen()
    drawn.draw(["x" * 18, "y" * 12])

    terminal.narrow(10)
    drawn.draw(["x" * 18, "y" * 5])

    assert terminal.rows == ["before", "x" * 8 + "…", "y" * 5, ""]
