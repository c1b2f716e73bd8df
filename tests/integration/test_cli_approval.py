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
