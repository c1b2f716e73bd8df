"""Expressions between `{{` and `}}`: Jinja2's sandbox with nothing in it that could make two evaluations differ.

An expression sees `inputs` and `steps` and the filters below; it has no clock, no randomness, no environment and no function
of ours, so a decision that was recorded can be explained later. The language carries a version (`EXPRESSION_VERSION`) that is part of the
definition's format.
"""

import re
from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bcce.kit.text import canonical_json
from bcce.workflows.errors import InvalidExpression

EXPRESSION_VERSION = 1
MAX_EXPRESSION_CHARS = 4096
MAX_RESULT_BYTES = 256 * 1024

#: Filters whose result depends on their input alone; `random` and the HTML ones stay out.
_FILTERS = (
    *("abs", "capitalize", "count", "default", "d", "dictsort", "first", "float", "int", "items", "join", "last", "length", "list"),
    *("lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "select", "selectattr", "sort"),
    *("string", "sum", "title", "tojson", "trim", "truncate", "unique", "upper"),
)
_WHOLE = re.compile(r"\s*\{\{(?P<expression>(?:(?!\}\}).)*)\}\}\s*", re.DOTALL)
_PART = re.compile(r"\{\{(?P<expression>(?:(?!\}\}).)*)\}\}", re.DOTALL)


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, and products and powers kept small: `'a' * 10**9` would otherwise eat the process's memory."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        sizes = [len(side) if isinstance(side, str | list | tuple) else abs(side) for side in (left, right)]
        if operator == "**" and (sizes[0] > 1000 or sizes[1] > 100):
            raise SecurityError("the power is too large")
        if operator == "*" and not all(isinstance(side, int | float) for side in (left, right)) and sizes[0] * sizes[1] > MAX_RESULT_BYTES:
            raise SecurityError("the product is too large")
        return super().call_binop(context, operator, left, right)


def _environment() -> _Environment:
    environment = _Environment(undefined=StrictUndefined, autoescape=False)
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    return environment


class Expressions:
    """Compiles, checks and evaluates expressions."""

    def __init__(self) -> None:
        self._environment = _environment()
        self._compiled: dict[str, Any] = {}

    def evaluate(self, expression: str, scope: Mapping[str, object]) -> object:
        """The value of one bare expression (without braces).

        Raises:
            InvalidExpression: syntax, an unknown name, a forbidden operation, or a result that is no JSON value.
        """
        compiled = self._compile(expression)
        try:
            value = compiled(**scope)
            size = len(canonical_json(value))
        except (TemplateError, SecurityError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise InvalidExpression(
                f"cannot evaluate {{{{ {expression.strip()} }}}}: {error}", hint="check the names against the outputs of the earlier steps"
            ) from error
        if size > MAX_RESULT_BYTES:
            raise InvalidExpression(f"the result of {{{{ {expression.strip()} }}}} is larger than {MAX_RESULT_BYTES} bytes")
        return value

    def truth(self, condition: str, scope: Mapping[str, object]) -> bool:
        """Whether a condition holds; braces around it are optional."""
        whole = _WHOLE.fullmatch(condition)
        return bool(self.evaluate(whole["expression"] if whole else condition, scope))

    def render(self, value: object, scope: Mapping[str, object]) -> object:
        """`value` with every expression inside its strings evaluated.

        A string that is one expression becomes that expression's value with its type; an expression amid text becomes text.
        """
        if isinstance(value, str):
            whole = _WHOLE.fullmatch(value)
            if whole:
                return self.evaluate(whole["expression"], scope)
            return _PART.sub(lambda match: str(self.evaluate(match["expression"], scope)), value)
        if isinstance(value, Mapping):
            return {key: self.render(item, scope) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.render(item, scope) for item in value]
        return value

    def steps_used(self, value: object, *, is_condition: bool = False) -> set[str]:
        """The ids of the steps that the expressions inside `value` read.

        Raises:
            InvalidExpression: one of them has a syntax error or uses a name other than `inputs` and `steps`.
        """
        if isinstance(value, Mapping):
            return set().union(*(self.steps_used(item) for item in value.values()))
        if isinstance(value, list | tuple):
            return set().union(*(self.steps_used(item) for item in value))
        if not isinstance(value, str):
            return set()
        found = [match["expression"] for match in _PART.finditer(value)]
        if is_condition and not found:
            found = [value]
        return set().union(*(self._steps_in(expression) for expression in found))

    def _steps_in(self, expression: str) -> set[str]:
        self._compile(expression)
        tree = self._environment.parse("{{ (" + expression + ") }}")
        for name in tree.find_all(nodes.Name):
            if name.ctx == "load" and name.name not in ("inputs", "steps"):
                raise InvalidExpression(
                    f"unknown name {name.name!r} in {{{{ {expression.strip()} }}}}", hint="expressions see `inputs` and `steps`"
                )
        used: set[str] = set()
        for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
            if isinstance(node, nodes.Getattr | nodes.Getitem) and isinstance(node.node, nodes.Name) and node.node.name == "steps":
                if isinstance(node, nodes.Getattr):
                    used.add(node.attr)
                elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
                    used.add(str(node.arg.value))
        return used

    def _compile(self, expression: str) -> Any:
        if expression not in self._compiled:
            if len(expression) > MAX_EXPRESSION_CHARS:
                raise InvalidExpression(f"an expression is longer than {MAX_EXPRESSION_CHARS} characters")
            try:
                self._compiled[expression] = self._environment.compile_expression(expression, undefined_to_none=False)
            except (TemplateSyntaxError, TemplateError) as error:
                raise InvalidExpression(f"syntax error in {{{{ {expression.strip()} }}}}: {error}") from error
        return self._compiled[expression]
