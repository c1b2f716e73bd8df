"""`bcce approval`: a script of a workflow is agreed to from the command line, and runs."""

import time
from pathlib import Path

from tests.integration.test_cli import Shell, free_port

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
