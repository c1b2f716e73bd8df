"""Jinja2's sandbox as expressions need it: few filters, keys before methods, values amid text as JSON. Pure."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from jinja2 import ChainableUndefined, StrictUndefined, Undefined, nodes, pass_eval_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import FilterArgumentError, SecurityError
from jinja2.filters import make_attrgetter
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bcce.kit.text import canonical_text

MAX_RESULT_BYTES = 256 * 1024

#: Filters whose result depends on their input alone; `random` and the HTML ones stay out.
FILTERS = (
    *("abs", "batch", "capitalize", "count", "default", "d", "dictsort", "first", "float", "int", "items", "join", "last", "length"),
    *("list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "select", "selectattr", "sort"),
    *("string", "sum", "title", "tojson", "trim", "truncate", "unique", "upper"),
)


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
        return "".join(map(as_text, parts))

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


def as_text(value: object) -> str:
    """A value amid text: a text is itself, anything else its JSON, so that it is the same to every reader."""
    return str(value) if isinstance(value, str | Undefined) else canonical_text(value)


@pass_eval_context
def _join(context: nodes.EvalContext, value: Iterable[object], d: str = "", attribute: str | int | None = None) -> str:
    items = value if attribute is None else map(make_attrgetter(context.environment, attribute), value)
    return as_text(d).join(map(as_text, items))


class _Generator(CodeGenerator):
    """`~` makes text as an expression amid text does."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


def environment() -> ImmutableSandboxedEnvironment:
    """A sandbox of its own, with `FILTERS` and nothing else."""
    made = _Environment(undefined=_Missing, autoescape=False, optimized=False)
    made.code_generator_class = _Generator
    made.globals.clear()
    own = {"batch": _batch, "join": _join, "string": as_text}
    made.filters = {name: own.get(name) or made.filters[name] for name in FILTERS}
    return made


def _batch(value: Iterable[object], linecount: int) -> list[list[object]]:
    """Jinja2's `batch` as a list, and without what fills the last one up, which could be of any size."""
    if not isinstance(linecount, int) or linecount < 1:
        raise FilterArgumentError(f"batch takes a number from 1, not {linecount!r}")
    items = list(value)
    return [items[at : at + linecount] for at in range(0, len(items), linecount)]
