"""Outside text becomes a process on one way only: the gate makes a Clearance, and one module hands it to an executor.

`tools/lint` finds every place that can make a process; this says which those are, and that nothing leads around the gate.
"""

import ast
from collections.abc import Iterator

from tests.architecture.source import Source, sources
from tools.lint.exemptions import EXEMPTIONS

#: Every module that can make a process, and what its command line is. Only executors get text from outside, with a Clearance.
SPAWNERS = {
    "bench/startup.py": "fixed",
    "demo/child.py": "fixed",
    "demo/patient.py": "fixed",
    "demo/processes.py": "fixed",
    "execution/executors/local.py": "executor",
    "safety/bash/opinion.py": "fixed",
    "workflows/sandbox.py": "registered file, in a sandbox without effects",
}


def _calls(source: Source) -> Iterator[ast.Call]:
    yield from (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""


def _modules_that_call(*names: str) -> set[str]:
    return {source.name for source in sources() for call in _calls(source) if _called(call) in names}


def test_the_modules_that_can_make_a_process_are_these() -> None:
    assert {module for rule, module in EXEMPTIONS if rule == "process-outside-executor"} == set(SPAWNERS)


def test_no_text_becomes_python() -> None:
    found = {
        source.name
        for source in sources()
        for call in _calls(source)
        if isinstance(call.func, ast.Name) and call.func.id in ("eval", "exec", "compile")
    }

    assert found == set()


def test_only_the_gate_makes_and_signs_clearances() -> None:
    made = {
        source.name for source in sources() for call in _calls(source) if isinstance(call.func, ast.Name) and call.func.id == "Clearance"
    }

    assert made == {"remediation/gate.py"}
    assert _modules_that_call("sign_clearance") == {"remediation/gate.py"}
    assert _modules_that_call("SignedClearance") == {"execution/signing.py"}


def test_only_one_module_asks_the_gate_and_starts_what_it_cleared() -> None:
    assert _modules_that_call("clear") & {source.name for source in sources() if "remediation.gate" in source.text} == {
        "remediation/jobs.py"
    }
    starters = {
        source.name
        for source in sources()
        for call in _calls(source)
        if not source.name.startswith("demo/") and _called(call) == "start" and len(call.args) == 3 and isinstance(call.func, ast.Attribute)
    }
    assert starters == {"remediation/jobs.py"}


def test_every_executor_admits_before_it_asks_its_target() -> None:
    """`admit` verifies signature, time, target, script and parameters, and stands above whatever else `start` does."""
    executors = [
        source for source in sources() if source.name.startswith("execution/executors/") and not source.name.endswith("__init__.py")
    ]
    assert executors
    for source in executors:
        (start,) = (node for node in ast.walk(source.tree) if isinstance(node, ast.AsyncFunctionDef) and node.name == "start")
        first = next(item for item in start.body if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)))
        assert "admit(" in ast.unparse(first), source.name
