"""Rules for PowerShell, one per file: each has a `RULE` and a `find(view)` that yields the places where it applies."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bcce.kit.findings import Rule
from bcce.safety.powershell.nodes import Node
from bcce.safety.powershell.view import View


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule applies, and optionally what exactly is wrong there."""

    at: Node
    message: str | None = None


@dataclass(frozen=True, slots=True)
class PowerShellRule:
    """A rule and its search."""

    rule: Rule
    find: Callable[[View], Iterable[Place]]


def all_rules() -> tuple[PowerShellRule, ...]:
    """Every rule of this folder, by id."""
    modules = [importlib.import_module(f"{__name__}.{item.name}") for item in pkgutil.iter_modules(__path__)]
    return tuple(sorted((PowerShellRule(module.RULE, module.find) for module in modules), key=lambda item: item.rule.id))
