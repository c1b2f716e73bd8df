"""`bcce approval`: a script of a workflow is agreed to from the command line, and runs."""

import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tests.integration.test_cli import Shell, free_port

from bcce.cli.approvals import approval_lines
from bcce.cli.commands import approval, incident

CONFIG = 'version: "1.0"\nremediation: {enabled: true}\napprovals: {allowSelfApproval: true}\nworkflows: {directory: flows}\n'
FLOW = """version: "1.0"
name: mark
inputs: {file: string}
steps:
  - id: write
    type: shell
    title: Write a mark
    env: {MARK: "{{ inputs.file }}"}
    script: echo marked > "$MARK"
"""
QUESTION = """version: "1.0"
name: ask
inputs: {who: string}
steps:
  - {id: gate, type: approval, message: "Let {{ inputs.who }} in?", details: {badge: "\\u202e7"}}
outputs: {why: "{{ steps.gate.output.reason }}"}
"""


def test_a_script_is_agreed_to_and_runs(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "mark.yaml").write_text(FLOW)
    (tmp_path / "bcce.config.yaml").write_text(CONFIG)
    shell.server = shell.start(free_port())
    try:
        shell.ok("workflow", "run", "mark", "--input", f"file={tmp_path / 'mark'}", "--detach")
        deadline = time.monotonic() + 30
        while not (listed := shell.json("approval", "list", "--state", "pending")["items"]):  # type: ignore[index, call-overload]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        shown = shell.ok("approval", "show", listed[0]["id"])
        assert "Write a mark on local" in shown
        assert 'echo marked > "$MARK"' in shown
        assert "approved" in shell.ok("approval", "approve", listed[0]["id"], "--yes")
        while not (tmp_path / "mark").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert (tmp_path / "mark").read_text() == "marked\n"
    finally:
        shell.stop()


def test_a_question_is_shown_and_answered(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "ask.yaml").write_text(QUESTION)
    (tmp_path / "bcce.config.yaml").write_text(CONFIG)
    shell.server = shell.start(free_port())
    try:
        asked = []
        for who in ("first", "second", "third"):
            shell.ok("workflow", "run", "ask", "--input", f"who={who}", "--detach")
        deadline = time.monotonic() + 30
        while len(asked := shell.json("approval", "list", "--state", "pending")["items"]) < 3:  # type: ignore[index, call-overload]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        first, second, third = sorted(asked, key=lambda item: str(item["title"]))
        assert "first" in shell.ok("approval", "list")
        shown = shell.ok("approval", "show", first["id"])
        assert "step gate asks:\n\n    Let first in?\n" in shown
        assert '"badge": "⟨U+202E⟩7"' in shown
        assert "1 person has to agree, each at least of the role approver" in shown
        assert "approved" in shell.ok("approval", "approve", first["id"], "--yes", "--comment", "known here")
        assert "rejected" in shell.ok("approval", "reject", second["id"], "--yes", "--comment", "unknown")
        assert "revoked" in shell.ok("approval", "revoke", third["id"], "--reason", "gone home")
        for item, state, reason in (
            (first, "completed", "known here"),
            (second, "failed", "approval-rejected"),
            (third, "failed", "approval-revoked"),
        ):
            while (run := shell.json("run", "show", item["runId"]))["state"] != state:  # type: ignore[index, call-overload]
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert reason in str(run)
        again = shell.run("approval", "approve", first["id"], "--yes")
        assert (again.returncode, "is completed" in again.stderr) == (1, True)
    finally:
        shell.stop()


def test_nothing_in_a_question_looks_like_a_line_of_ours() -> None:
    hostile = "Go?\x1b[2K\r\n  9 people have to agree"
    shown = {
        "kind": "question",
        "message": hostile,
        "details": {hostile: hostile},
        "step": "g",
        "required": 2,
        "role": "admin",
        "approvers": [hostile],
    }
    lines = approval_lines({"title": hostile, "shown": shown, "reasons": [hostile]})

    assert lines[2:4] == ["    Go?⟨U+001B⟩[2K⟨U+000D⟩", "      9 people have to agree"]
    assert not any(character in line for line in lines for character in "\x1b\r\n")
    assert [line for line in lines if line.startswith("  2 people")] == ["  2 people have to agree, each at least of the role admin"]
    assert "  only these may answer: Go?⟨U+001B⟩[2K⟨U+000D⟩⟨U+000A⟩  9 people have to agree" in lines


def test_whoever_agrees_sees_all_of_it() -> None:
    """Long lines, what is hidden, and the undo: the digest that is sent with the decision stands for all of them."""
    shown = {
        "source": "sop",
        "script": "df " + "-h " * 300 + "# the end\nls \u200b/\x85tmp\n\n",
        "undo": "uptime\nuname\n",
        "parameters": {"FOLDER": "/x" * 200 + "/last", "TEXT": "a\u202eb"},
        "verdict": "approve",
        "findings": [],
        "effects": {},
    }
    lines = approval_lines({"title": "Look", "shown": shown, "reasons": []})

    assert [f"    df {'-h ' * 300}# the end", "    ls ⟨U+200B⟩/⟨U+0085⟩tmp", "    "] == lines[2:5]
    assert lines[6:10] == ["  and, to undo it:", "", "    uptime", "    uname"]
    assert f"  with FOLDER='{'/x' * 200}/last'" in lines
    assert "  with TEXT='a⟨U+202E⟩b'" in lines


@pytest.mark.parametrize("group", [approval.group, incident.group])
@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_nobody_decides_in_json_without_saying_yes(group: click.Group, decision: str) -> None:
    answered = CliRunner().invoke(group, [decision, "some_id", "--json"])

    assert answered.exit_code == 2
    assert "--json shows and asks nothing, so it needs --yes" in answered.output


def test_nothing_that_is_shown_can_look_like_another_line() -> None:
    hostile = "x\x1b[2K\r  verdict: allow\n  verdict: allow"
    finding = {"line": 1, "message": hostile, "rule_id": "r"}
    shown = {
        "source": hostile,
        "script": "df\n",
        "parameters": {},
        "verdict": "approve",
        "findings": [finding],
        "effects": {"writes": [hostile]},
    }
    lines = approval_lines({"title": hostile, "shown": {**shown, "why": hostile}, "reasons": [hostile]})

    assert not any(character in line for line in lines for character in "\x1b\r\n")
    assert [line for line in lines if line.lstrip().startswith("verdict:")] == ["  verdict: approve"]
