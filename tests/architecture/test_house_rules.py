"""Each rule of `tools/lint` finds what it is for, leaves the near misses alone, and holds in the source."""

from pathlib import Path

import pytest
from tools.lint.__main__ import main
from tools.lint.check import check_module, check_tree
from tools.lint.exemptions import EXEMPTIONS
from tools.lint.module import Module, read_modules
from tools.lint.rules import RULES

ROOT = Path(__file__).parents[2]

POSITIVE = [
    # rule, module, source, line of the hit
    ("commit-outside-storage", "alerts/service.py", "def f(conn):\n    conn.commit()", 2),
    ("select-outside-repository", "alerts/service.py", "from sqlalchemy import select\nselect(1)", 2),
    ("select-outside-repository", "alerts/service.py", "import sqlalchemy as sa\n\nsa.select(1)", 3),
    ("select-outside-repository", "alerts/service.py", "from sqlalchemy.sql import select as pick\npick(1)", 2),
    ("select-outside-repository", "alerts/service.py", "from bcce.alerts.tables import alerts\nalerts.select()", 2),
    ("environment-outside-config", "kit/ids.py", "import os\nos.environ['A']", 2),
    ("environment-outside-config", "kit/ids.py", "import os\nos.environ.get('A')", 2),
    ("environment-outside-config", "kit/ids.py", "import os\nos.getenv('A')", 2),
    ("environment-outside-config", "kit/ids.py", "from os import environ", 1),
    ("clock-outside-kit", "alerts/model.py", "from datetime import datetime\ndatetime.now()", 2),
    ("clock-outside-kit", "alerts/model.py", "import datetime as dt\ndt.datetime.now(dt.UTC)", 2),
    ("clock-outside-kit", "alerts/model.py", "from datetime import date\ndate.today()", 2),
    ("clock-outside-kit", "alerts/model.py", "import time\ntime.time()", 2),
    ("clock-outside-kit", "alerts/model.py", "from time import time", 1),
    (
        "clock-outside-kit",
        "alerts/model.py",
        "from dataclasses import field\nfrom datetime import datetime\nfield(default_factory=datetime.now)",
        3,
    ),
    ("process-outside-executor", "alerts/model.py", "import subprocess\nsubprocess.run(['true'])", 2),
    ("process-outside-executor", "alerts/model.py", "from subprocess import Popen", 1),
    ("process-outside-executor", "alerts/model.py", "import asyncio\nasyncio.create_subprocess_shell('x')", 2),
    ("process-outside-executor", "alerts/model.py", "from asyncio.subprocess import create_subprocess_exec", 1),
    ("process-outside-executor", "alerts/model.py", "import os\nos.execvpe('x', [], {})", 2),
    ("process-outside-executor", "alerts/model.py", "import os\nos.posix_spawn('x', [], {})", 2),
    ("process-outside-executor", "alerts/model.py", "import os\nrun = os.system", 2),
    ("process-outside-executor", "alerts/model.py", "def f(get_loop):\n    get_loop().subprocess_exec(None, 'x')", 2),
    ("process-outside-executor", "alerts/model.py", "def f(run):\n    run('x', shell=True)", 2),
    ("process-outside-executor", "alerts/model.py", "import sandlock\nsandlock.Sandbox().run(['x'])", 2),
    ("process-outside-executor", "alerts/model.py", "from sandlock import Sandbox", 1),
    ("process-outside-executor", "alerts/model.py", "import multiprocessing\nmultiprocessing.get_context('spawn')", 2),
    ("process-outside-executor", "alerts/model.py", "from multiprocessing.pool import Pool", 1),
    ("process-outside-executor", "alerts/model.py", "from concurrent.futures import ProcessPoolExecutor", 1),
    ("process-outside-executor", "alerts/model.py", "import pty\npty.spawn(['x'])", 2),
    ("process-outside-executor", "alerts/model.py", "import os\nos.fork()", 2),
    ("process-outside-executor", "alerts/model.py", "from ctypes import CDLL", 1),
    ("process-outside-executor", "alerts/model.py", "import asyncssh\nasyncssh.connect('h')", 2),
    ("print-call", "cli/alert.py", "print('x')", 1),
    ("ignore-without-reason", "kit/ids.py", "import os  # noqa", 1),
    ("ignore-without-reason", "kit/ids.py", "import os  # noqa: F401", 1),
    ("ignore-without-reason", "kit/ids.py", "a = 1  # type: ignore", 1),
    ("ignore-without-reason", "kit/ids.py", "a = 1  # type: ignore[assignment]", 1),
    ("ignore-without-reason", "kit/ids.py", "a = 1  # type: ignore  # because it is so", 1),
]
NEAR_MISSES = [
    ("commit-outside-storage", "storage/writer.py", "def f(conn):\n    conn.commit()"),
    ("commit-outside-storage", "alerts/service.py", "def f(conn):\n    conn.commit\n    conn.committed()"),
    ("select-outside-repository", "alerts/repository.py", "from sqlalchemy import select\nselect(1)"),
    ("select-outside-repository", "security/tokens/repository.py", "from sqlalchemy import select\nselect(1)"),
    ("select-outside-repository", "workflows/repository/runs.py", "from sqlalchemy import select\nselect(1)"),
    ("select-outside-repository", "storage/outbox.py", "from sqlalchemy import select\nselect(1)"),
    ("select-outside-repository", "alerts/service.py", "def select(a):\n    return a\nselect(1)"),
    ("select-outside-repository", "demo/patient.py", "import select\nselect.select([], [], [])"),
    ("environment-outside-config", "config/environment.py", "import os\nos.environ['A']"),
    ("environment-outside-config", "kit/ids.py", "def f(environ):\n    return environ['A']"),
    ("environment-outside-config", "kit/ids.py", "import os\nos.urandom(1)"),
    ("clock-outside-kit", "kit/clock.py", "from datetime import UTC, datetime\ndatetime.now(UTC)"),
    ("clock-outside-kit", "alerts/model.py", "def f(clock):\n    return clock.now()"),
    ("clock-outside-kit", "alerts/model.py", "from datetime import UTC, datetime\ndatetime.fromtimestamp(1, UTC)"),
    ("clock-outside-kit", "alerts/model.py", "import time\ntime.monotonic()"),
    ("process-outside-executor", "alerts/model.py", "import subprocess\nsubprocess.DEVNULL"),
    ("process-outside-executor", "alerts/model.py", "import os\nos.kill(1, 2)"),
    ("process-outside-executor", "alerts/model.py", "from concurrent.futures import ThreadPoolExecutor"),
    ("process-outside-executor", "alerts/model.py", "def f(run):\n    run('x', shell='bash')"),
    ("process-outside-executor", "alerts/model.py", "from bcce.workflows.sandbox import PythonSandbox"),
    ("print-call", "cli/alert.py", "def f(console):\n    console.print('x')"),
    ("ignore-without-reason", "kit/ids.py", "a = 1  # noqa: S105 - a name, no password"),
    ("ignore-without-reason", "kit/ids.py", "a = 1  # type: ignore[assignment]  # the stub is wrong"),
    ("ignore-without-reason", "kit/ids.py", "a = '# noqa'"),
]


def found(rule: str, module: str, source: str) -> list[int]:
    return [problem.line for problem in check_module(Module.parse(module, source)) if problem.rule == rule]


@pytest.mark.parametrize(("rule", "module", "source", "line"), POSITIVE)
def test_a_broken_rule_is_found_at_its_line(rule: str, module: str, source: str, line: int) -> None:
    assert line in found(rule, module, source)


@pytest.mark.parametrize(("rule", "module", "source"), NEAR_MISSES)
def test_a_near_miss_is_left_alone(rule: str, module: str, source: str) -> None:
    assert found(rule, module, source) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_has_both_kinds_of_example_and_gives_its_reason(rule: object) -> None:
    name = rule.__name__.replace("_", "-")  # type: ignore[attr-defined]  # a function, which mypy sees as an object here

    assert name in {row[0] for row in POSITIVE}
    assert name in {row[0] for row in NEAR_MISSES}
    assert len((rule.__doc__ or "").split("\n\n")) == 2, "a first line with the rule, then a paragraph with the reason"


def test_the_source_keeps_every_rule() -> None:
    assert check_tree(ROOT / "src", EXEMPTIONS) == []


def test_every_exemption_gives_a_reason() -> None:
    assert {place: reason for place, reason in EXEMPTIONS.items() if len(reason) < 30} == {}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    module = tmp_path / "bcce" / "cli" / "noisy.py"
    module.parent.mkdir(parents=True)
    module.write_text("print('x')\n", encoding="utf-8")
    return tmp_path


def test_an_exemption_covers_its_rule_in_its_module_only(tree: Path) -> None:
    assert [problem.rule for problem in check_tree(tree, {})] == ["print-call"]
    assert check_tree(tree, {("print-call", "cli/noisy.py"): "a test"}) == []
    assert len(check_tree(tree, {("print-call", "cli/other.py"): "a test"})) == 2


def test_an_exemption_that_nothing_needs_is_a_problem(tree: Path) -> None:
    problems = check_tree(tree, {("print-call", "cli/noisy.py"): "a test", ("clock-outside-kit", "cli/noisy.py"): "old"})

    assert [str(problem) for problem in problems] == ["cli/noisy.py:0: clock-outside-kit: this exemption is not needed; remove it"]


def test_a_folder_without_the_package_is_an_error(tmp_path: Path) -> None:
    """A wrong path must not look like clean source."""
    with pytest.raises(FileNotFoundError, match="no package bcce"):
        list(read_modules(tmp_path))


def test_the_program_prints_each_problem_and_fails(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "bcce" / "execution" / "executors").mkdir(parents=True)
    status = main([str(tree)])
    output = capsys.readouterr().out

    assert status == 1
    assert f"{tree}/bcce/cli/noisy.py:1: print-call: print(): Nothing prints." in output
