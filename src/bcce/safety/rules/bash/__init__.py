"""Rules for bash, one per file: each has a `RULE` and a `find(view)` that yields the places where it applies."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bcce.kit.findings import Rule
from bcce.safety.bash.script import Command, Redirect
from bcce.safety.bash.view import View


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule applies: a command or a redirect, and optionally what exactly is wrong there."""

    at: Command | Redirect
    message: str | None = None


@dataclass(frozen=True, slots=True)
class BashRule:
    """A rule and its search."""

    rule: Rule
    find: Callable[[View], Iterable[Place]]


def all_rules() -> tuple[BashRule, ...]:
    """Every rule of this folder, by id."""
    modules = [importlib.import_module(f"{__name__}.{item.name}") for item in pkgutil.iter_modules(__path__)]
    return tuple(sorted((BashRule(module.RULE, module.find) for module in modules), key=lambda item: item.rule.id))
