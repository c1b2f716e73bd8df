"""Expressions between `{{` and `}}`: Jinja2's sandbox with nothing in it that could make two evaluations differ.

An expression sees `inputs` and `steps` and the filters below; it has no clock, no randomness, no environment and no function
of ours, so a decision that was recorded can be explained later. The language carries a version (`EXPRESSION_VERSION`) that is part of the
definition's format.
"""

import re
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from jinja2 import ChainableUndefined, StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, nodes, pass_eval_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import FilterArgumentError, SecurityError
from jinja2.filters import make_attrgetter
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bcce.kit.text import canonical_json, canonical_text
from bcce.workflows.errors import InvalidExpression
from bcce.workflows.template import Template, split

EXPRESSION_VERSION = 1
MAX_EXPRESSION_CHARS = 4096
MAX_RESULT_BYTES = 256 * 1024
#: What a parameter may have that is one value of an earlier output, as it is; nothing is made of it.
MAX_VALUE_BYTES = 16 * 1024 * 1024

#: Filters whose result depends on their input alone; `random` and the HTML ones stay out.
FILTERS = (
    *("abs", "batch", "capitalize", "count", "default", "d", "dictsort", "first", "float", "int", "items", "join", "last", "length"),
    *("list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "select", "selectattr", "sort"),
    *("string", "sum", "title", "tojson", "trim", "truncate", "unique", "upper"),
)
_ASKING = frozenset({"defined", "undefined", "default", "d"})


@dataclass(frozen=True, slots=True)
class Read:
    """An expression reads `<name>.<path>`, as in `steps.check.output`. `is_asked`: it has an answer for when that is not there."""

    name: str
    path: tuple[str, ...]
    is_asked: bool


class _Missing(ChainableUndefined, StrictUndefined):
    """What is not there. It may be asked about and replaced by a default, however deep it is; everything else with it is an error."""

    __slots__ = ()


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox with small products and powers, since `'a' * 10**9` would eat the process's memory; a key wins over a method.

    A method is there only where it is called, and only if the object has no such key: `output.items` is what a step calls `items`, and
    what is missing is missing also when Python has a method of that name.
    """

    intercepted_binops = frozenset({"*", "**"})

    @staticmethod
    def joined(parts: Iterable[object]) -> str:
        """What `~` makes of its operands."""
        return "".join(map(_as_text, parts))

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self._taken(obj, attribute, super().getattr)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return self._taken(obj, argument, super().getitem)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(__obj, Undefined) and isinstance(__obj._undefined_name, str):
            __obj = super().getattr(__obj._undefined_obj, __obj._undefined_name)
        return super().call(__context, __obj, *args, **kwargs)

    def _taken(self, obj: Any, name: Any, take: Callable[[Any, Any], Any]) -> Any:
        if isinstance(obj, Undefined):
            return self.undefined(obj._undefined_message)  # what is not there has no methods either
        if isinstance(obj, Mapping):
            return obj[name] if isinstance(name, Hashable) and name in obj else self.undefined(obj=obj, name=name)
        found = take(obj, name)
        return self.undefined(obj=obj, name=name) if callable(found) and not isinstance(found, Undefined) else found

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        sizes = [len(side) if isinstance(side, str | list | tuple) else abs(side) for side in (left, right)]
        if operator == "**" and (sizes[0] > 1000 or sizes[1] > 100):
            raise SecurityError("the power is too large")
        if operator == "*" and not all(isinstance(side, int | float) for side in (left, right)) and sizes[0] * sizes[1] > MAX_RESULT_BYTES:
            raise SecurityError("the product is too large")
        return super().call_binop(context, operator, left, right)


def _as_text(value: object) -> str:
    """A value amid text: a text is itself, anything else its JSON, so that it is the same to every reader."""
    return str(value) if isinstance(value, str | Undefined) else canonical_text(value)


@pass_eval_context
def _join(context: nodes.EvalContext, value: Iterable[object], d: str = "", attribute: str | int | None = None) -> str:
    items = value if attribute is None else map(make_attrgetter(context.environment, attribute), value)
    return _as_text(d).join(map(_as_text, items))


class _Generator(CodeGenerator):
    """`~` makes text as an expression amid text does."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


def _environment() -> _Environment:
    environment = _Environment(undefined=_Missing, autoescape=False, optimized=False)
    environment.code_generator_class = _Generator
    environment.globals.clear()
    own = {"batch": _batch, "join": _join, "string": _as_text}
    environment.filters = {name: own.get(name) or environment.filters[name] for name in FILTERS}
    return environment


def _batch(value: Iterable[object], linecount: int) -> list[list[object]]:
    """Jinja2's `batch` as a list, and without what fills the last one up, which could be of any size."""
    if not isinstance(linecount, int) or linecount < 1:
        raise FilterArgumentError(f"batch takes a number from 1, not {linecount!r}")
    items = list(value)
    return [items[at : at + linecount] for at in range(0, len(items), linecount)]


class Expressions:
    """Compiles, checks and evaluates expressions."""

    def __init__(self) -> None:
        self._environment = _environment()
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
        return _as_text(self.evaluate(expression, scope))

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
