"""Apply the rules to a source tree."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.lint.module import Module, read_modules
from tools.lint.rules import RULES, Check


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Problem:
    """One broken rule at one place; `line` counts from 1 and is 0 for a whole module."""

    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


def check_module(module: Module, rules: Iterable[Check] = RULES) -> Iterator[Problem]:
    """Every broken rule in one module, exemptions not yet considered."""
    for rule in rules:
        first = (rule.__doc__ or rule.__name__).splitlines()[0]
        for line, found in rule(module):
            yield Problem(path=str(module.path), line=line, rule=rule.__name__.replace("_", "-"), message=f"{found}: {first}")


def check_tree(root: Path, exemptions: Mapping[tuple[str, str], str], rules: Iterable[Check] = RULES) -> list[Problem]:
    """Every broken rule below `root` that is not exempt, and every exemption that nothing needs."""
    rules = tuple(rules)
    problems = {problem for module in read_modules(root) for problem in check_module(module, rules)}
    broken = {(problem.rule, problem.path) for problem in problems}
    stale = [
        Problem(path=path, line=0, rule=rule, message="this exemption is not needed; remove it")
        for rule, path in exemptions
        if (rule, path) not in broken
    ]
    return sorted([problem for problem in problems if (problem.rule, problem.path) not in exemptions] + stale)
