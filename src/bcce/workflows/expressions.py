"""Expressions between `{{` and `}}`: Jinja2's sandbox with nothing in it that could make two evaluations differ.

An expression sees `inputs` and `steps` and the filters below; it has no clock, no randomness, no environment and no function
of ours, so a decision that was recorded can be explained later. The language carries a version (`EXPRESSION_VERSION`) that is part of the
definition's format.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, Undefined, nodes
from jinja2.exceptions import SecurityError

from bcce.kit.text import canonical_json
from bcce.workflows.errors import InvalidExpression
from bcce.workflows.jinja import FILTERS, MAX_RESULT_BYTES, as_text, environment
from bcce.workflows.template import Template, split

EXPRESSION_VERSION = 1
MAX_EXPRESSION_CHARS = 4096
#: What a parameter may have that is one value of an earlier output, as it is; nothing is made of it.
MAX_VALUE_BYTES = 16 * 1024 * 1024

_ASKING = frozenset({"defined", "undefined", "default", "d"})


@dataclass(frozen=True, slots=True)
class Read:
    """An expression reads `<name>.<path>`, as in `steps.check.output`. `is_asked`: it has an answer for when that is not there."""

    name: str
    path: tuple[str, ...]
    is_asked: bool


class Expressions:
    """Compiles, checks and evaluates expressions."""

    def __init__(self) -> None:
        self._environment = environment()
        self._compiled: dict[str, Any] = {}
        self._split: dict[str, Template] = {}

    def evaluate(self, expression: str, scope: Mapping[str, object], *, is_whole: bool = False) -> object:
        """The value of one bare expression (without braces). `is_whole`: it is all of a parameter, and may hand a large value on.

        Raises:
            InvalidExpression: syntax, an unknown name, a forbidden operation, or a result that is no JSON value.
        """
        compiled = self._compile(expression)
        try:
            value = compiled(**scope)
            if isinstance(value, Undefined):
                str(value)  # which says what is not there
            size = len(canonical_json(value))
        except (TemplateError, SecurityError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise InvalidExpression(
                f"cannot evaluate {{{{ {expression.strip()} }}}}: {error}", hint="check the names against the outputs of the earlier steps"
            ) from error
        if size > MAX_RESULT_BYTES:
            limit = MAX_VALUE_BYTES if is_whole and self._is_path(expression) else MAX_RESULT_BYTES
            if size > limit:
                raise InvalidExpression(f"the result of {{{{ {expression.strip()} }}}} is larger than {limit} bytes")
        return value

    def text(self, expression: str, scope: Mapping[str, object]) -> str:
        """The value of one bare expression as it stands amid text: a text is itself, anything else its JSON."""
        return as_text(self.evaluate(expression, scope))

    def truth(self, condition: str, scope: Mapping[str, object]) -> bool:
        """Whether a condition holds; braces around it are optional.

        Raises:
            InvalidExpression: it has no value, or its value is a text: "false" and "no" would hold, and lead into the wrong branch.
        """
        value = self.evaluate(self._bare(condition), scope)
        if isinstance(value, str):
            message = f"the condition {condition.strip()} gives the text {value[:60]!r}, which is neither true nor false"
            raise InvalidExpression(message, hint="compare it, as in inputs.mode == 'fast', or with '' to see whether it is empty")
        return bool(value)

    def render(self, value: object, scope: Mapping[str, object]) -> object:
        """`value` with every expression inside its strings evaluated.

        A string that is one expression becomes that expression's value with its type; amid text it stands as `text` says.
        """
        if isinstance(value, str):
            if "{{" not in value:
                return value
            template = self._template(value)
            if template.whole is not None:
                return self.evaluate(template.whole, scope, is_whole=True)
            return "".join(piece if isinstance(piece, str) else self.text(piece.source, scope) for piece in template.pieces)
        if isinstance(value, Mapping):
            return {key: self.render(item, scope) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.render(item, scope) for item in value]
        return value

    def is_constant(self, value: object) -> bool:
        """Whether rendering `value` gives `value` whatever the scope is."""
        if isinstance(value, str):
            return "{{" not in value
        if isinstance(value, Mapping):
            return all(map(self.is_constant, value.values()))
        return not isinstance(value, list | tuple) or all(map(self.is_constant, value))

    def reads(self, text: str, *, is_condition: bool = False, names: Collection[str] | None = ("inputs", "steps")) -> list[Read]:
        """What the expressions in `text` read, each once. A condition may do without braces.

        Args:
            names: what they may see; None: that has been checked.

        Raises:
            InvalidExpression: one of them has a syntax error or uses another name than `names`.
        """
        template = self._template(text)
        if template.is_open:
            raise InvalidExpression("`{{` is never closed", hint="end the expression with }}, or write {{ '{{' }} for the characters")
        found = [self._bare(text)] if is_condition else template.expressions
        return list(dict.fromkeys(read for expression in found for read in self._reads(expression, names)))

    def reads_of(self, value: object) -> list[Read]:
        """What all expressions inside `value` read, each once; `value` has been validated."""
        return list(dict.fromkeys(read for text in _texts(value) for read in self.reads(text, names=None)))

    def constant_truth(self, condition: str) -> bool | None:
        """What a condition is that reads nothing; None when it reads something.

        Raises:
            InvalidExpression: it has a syntax error, or no value.
        """
        expression = self._bare(condition)
        self._compile(expression)
        tree = self._environment.parse("{{ (" + expression + ") }}")
        return None if any(True for _ in tree.find_all(nodes.Name)) else self.truth(condition, {})

    def _reads(self, expression: str, names: Collection[str] | None) -> Iterator[Read]:
        self._compile(expression)
        tree = self._environment.parse("{{ (" + expression + ") }}")
        for name in tree.find_all(nodes.Name):
            if names is not None and name.ctx == "load" and name.name not in names:
                hint = f"expressions see {', '.join(f'`{item}`' for item in names)} here; text needs quotes"
                if re.search(r"\.\w+-" + re.escape(name.name), expression):
                    hint = "a name with - in it stands in brackets: steps['a-b'].output"
                message = f"unknown name {name.name!r} in {{{{ {expression.strip()} }}}}"
                raise InvalidExpression(message, hint=hint, details={"name": name.name})
        paths = [path for path in map(_path, _outermost(tree)) if path is not None]
        asked = {path[:2] for path in _asked(tree)}
        for path in paths:
            yield Read(path[0], path[1:], path[:2] in asked)

    def _is_path(self, expression: str) -> bool:
        """Whether an expression is only a name with what is taken from it."""
        tree = self._environment.parse("{{ (" + expression + ") }}")
        output = tree.body[0]
        return isinstance(output, nodes.Output) and len(output.nodes) == 1 and _path(output.nodes[0]) is not None

    def _template(self, text: str) -> Template:
        if text not in self._split:
            self._split[text] = split(text)
        return self._split[text]

    def _bare(self, condition: str) -> str:
        """A condition without the braces that may stand around it."""
        whole = self._template(condition).whole
        return condition if whole is None else whole

    def _compile(self, expression: str) -> Any:
        if expression not in self._compiled:
            if len(expression) > MAX_EXPRESSION_CHARS:
                raise InvalidExpression(f"an expression is longer than {MAX_EXPRESSION_CHARS} characters")
            try:
                self._compiled[expression] = self._environment.compile_expression(expression, undefined_to_none=False)
            except (TemplateSyntaxError, TemplateError) as error:
                hint = _no_such(str(error)) or "text needs quotes, and operators are words: and, or, not, in, ==, <, ~"
                raise InvalidExpression(f"syntax error in {{{{ {expression.strip()} }}}}: {error}", hint=hint) from error
        return self._compiled[expression]


def _no_such(message: str) -> str | None:
    """What to do when there is no such filter."""
    name = re.match(r"No filter named '([^']{1,60})'", message)
    if name is None:
        return None
    near = get_close_matches(name[1], FILTERS, n=1)
    return f"did you mean {near[0]!r}?" if near else f"filters: {', '.join(sorted(FILTERS))}"


def _texts(value: object) -> Iterator[str]:
    """Every text inside `value` that may hold an expression."""
    if isinstance(value, str) and "{{" in value:
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _outermost(node: nodes.Node) -> Iterator[nodes.Node]:
    """Names with all that is taken from them: of `a.b.c` only the whole, not `a.b`."""
    for child in node.iter_child_nodes():
        if _path(child) is not None:
            yield child
        else:
            yield from _outermost(child)


def _path(node: nodes.Node) -> tuple[str, ...] | None:
    """`a.b['c']` as its parts; None when it is something else, or not known before the run."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        before, key = _path(node.node), node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        before, key = _path(node.node), str(node.arg.value)
    else:
        return None
    return None if before is None else (*before, key)


def _asked(tree: nodes.Node) -> Iterator[tuple[str, ...]]:
    """What an expression has an answer for when it is not there: `x is defined`, `x | default(y)`, `'x' in steps`."""
    for node in tree.find_all((nodes.Test, nodes.Filter)):
        if isinstance(node, nodes.Test | nodes.Filter) and node.node is not None and node.name in _ASKING:
            yield _path(node.node) or ()
    for compare in tree.find_all(nodes.Compare):
        for operand in compare.ops:
            if operand.op in ("in", "notin") and isinstance(compare.expr, nodes.Const):
                yield (*(_path(operand.expr) or ()), str(compare.expr.value))
