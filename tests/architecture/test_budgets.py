"""Modules and functions stay small enough to be read in one go.

A module has about 300 lines, a function 50. What is longer stands here with the reason; a module never has more than 500 lines.
"""

import ast
from collections.abc import Iterator

from tests.architecture.source import Source, sources

MODULE_LINES = 300
MODULE_LINES_HARD = 500
FUNCTION_LINES = 50

#: Module -> why it is easier to read in one piece.
LONG_MODULES: dict[str, str] = {
    "config/load.py": "the order of the layers is the module, and each layer is one short method of it",
    "safety/bash/reader.py": "one visitor over the grammar: every kind of node is handled in it or is a problem",
    "safety/powershell/grammar.py": "one method for each kind of statement, which call each other",
    "workflows/repository.py": "every query on the engine's tables, so that what locks what can be read in one place",
    "workflows/control.py": "what people do to runs, one method each, with what a repeat may take over",
    "workflows/planner.py": "one walk over places, lists and scopes, whose parts call each other",
    "workflows/calls.py": "one call from its parameters to its record, in the order in which it happens",
    "workflows/service.py": "what begins a run, in one place, beside what shows definitions and runs",
    "runtime/runtime.py": "the composition root: one list of what is built from what, in the order of the layers",
}
#: Module and function -> why.
LONG_FUNCTIONS: dict[str, str] = {
    "runtime/runtime.py:_Builder.build": "the composition root: it decides nothing, and split up it would only pass the same names around",
    "safety/bash/readers/cloud.py:azure": "the words of one tool, judged together because each changes what the others mean",
    "safety/bash/readers/network.py:curl": "the option grammar of one tool: one branch for each kind of word",
    "safety/report.py:CommonRules.of": "one table of ten rules with their sentences; cut up it would say less",
    "safety/rules/bash/destroy_cluster.py:_destroys": "a table in the form of code: one tool after the other",
    "safety/rules/bash/gain_privilege.py:_grants": "a table in the form of code: one tool after the other",
    "safety/rules/powershell/disable_guard.py:find": "a table in the form of code: one cmdlet or program after the other",
    "safety/rules/powershell/exfiltrate.py:find": "a table in the form of code: one way out after the other",
    "safety/rules/powershell/gain_privilege.py:find": "a table in the form of code: one cmdlet or program after the other",
    "safety/rules/powershell/persist.py:find": "a table in the form of code: one place after the other",
}
#: A migration is a list of tables that nobody edits once it was released.
UNCOUNTED = ("runtime/migrations/versions/",)


def counted() -> list[Source]:
    return [source for source in sources() if not source.name.startswith(UNCOUNTED)]


def functions(tree: ast.AST, path: str = "") -> Iterator[tuple[str, int]]:
    """Each function's dotted name inside its module, and its lines without decorators."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path}{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1
            yield from functions(node, f"{path}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{path}{node.name}.")
        else:
            yield from functions(node, path)


def long_modules(limit: int) -> dict[str, int]:
    lengths = {source.name: len(source.text.splitlines()) for source in counted()}
    return {name: length for name, length in lengths.items() if length > limit}


def long_functions() -> dict[str, int]:
    lengths = {f"{source.name}:{name}": length for source in counted() for name, length in functions(source.tree)}
    return {name: length for name, length in lengths.items() if length > FUNCTION_LINES}


def test_no_module_is_over_the_hard_limit() -> None:
    assert long_modules(MODULE_LINES_HARD) == {}


def test_every_long_module_is_listed_with_its_reason() -> None:
    assert sorted(LONG_MODULES) == sorted(long_modules(MODULE_LINES))


def test_every_long_function_is_listed_with_its_reason() -> None:
    assert sorted(LONG_FUNCTIONS) == sorted(long_functions())


def test_a_reason_says_something() -> None:
    assert [name for name, reason in (LONG_MODULES | LONG_FUNCTIONS).items() if len(reason) < 30] == []


def test_functions_are_found_with_their_lengths() -> None:
    tree = ast.parse("class A:\n    async def f(self):\n        def g():\n            pass\nif 1:\n    def h():\n        pass\n")

    assert dict(functions(tree)) == {"A.f": 3, "A.f.g": 2, "h": 2}
