"""References to secrets and variables in the text of a workflow's file: `{{ secrets.name }}` and `${NAME}`. Pure.

They are found in the literal text alone, before anything is evaluated, so that no value from outside can name a secret.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from bcce.kit.redact import Secret
from bcce.kit.references import Part, SealedText
from bcce.workflows.expressions import Expressions
from bcce.workflows.template import Expression, split

_NAMED = re.compile(
    r"""\s*(?P<what>secrets|inputs)(?:\.(?P<plain>[A-Za-z_]\w*)|\[(?P<quote>['"])(?P<quoted>[\w-]+)(?P=quote)\])\s*""", re.ASCII
)
_VARIABLE = re.compile(r"(?P<escape>\$)?\$\{(?P<name>[A-Za-z_]\w*)\}", re.ASCII)

_NONE: Mapping[str, str] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownReferences:
    """The names of secrets and variables that configuration has."""

    secrets: frozenset[str] = frozenset()
    variables: frozenset[str] = frozenset()


class _Sealed:
    """Takes a `SealedText` that the engine made, and nothing that only looks like one."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        dump = core_schema.plain_serializer_function_ser_schema(lambda value: value.to_dict())
        return core_schema.is_instance_schema(SealedText, serialization=dump)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string"}


#: A parameter's text with references, for parameters that a step type names in `takes_references`.
Sealed: TypeAlias = Annotated[SealedText, _Sealed()]


def parts_of(text: str, inputs: Mapping[str, str] = _NONE) -> list[Part | Expression]:
    """The pieces of a text of the file: literal text, references, and other expressions.

    Args:
        inputs: the secret inputs by name, and what a reference to each says.
    """
    found: list[Part | Expression] = []
    for piece in split(text).pieces:
        if isinstance(piece, str):
            found += _variables(piece)
        else:
            found.append(_reference(piece.source, inputs) or piece)
    return found


def has_references(value: object, inputs: Mapping[str, str] = _NONE) -> bool:
    """Whether some text in `value` holds a reference, or `$${` for the characters."""
    if isinstance(value, str):
        return "${" in value or any(isinstance(part, Part) and part.kind != "text" for part in parts_of(value, inputs))
    if isinstance(value, Mapping):
        return any(has_references(item, inputs) for item in value.values())
    return isinstance(value, list | tuple) and any(has_references(item, inputs) for item in value)


def without_references(text: str, inputs: Mapping[str, str] = _NONE) -> str:
    """What is left of a text of the file to be evaluated: its other expressions."""
    return "".join("{{" + part.source + "}}" for part in parts_of(text, inputs) if isinstance(part, Expression))


def seal(value: object, scope: Mapping[str, object], expressions: Expressions, inputs: Mapping[str, str] = _NONE) -> object:
    """`value` with its expressions evaluated and its references kept: a text that has some becomes a `SealedText`."""
    if isinstance(value, Mapping):
        return {key: seal(item, scope, expressions, inputs) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [seal(item, scope, expressions, inputs) for item in value]
    if not isinstance(value, str) or not has_references(value, inputs):
        return expressions.render(value, scope)
    parts: list[Part] = []
    for part in parts_of(value, inputs):
        if isinstance(part, Expression):
            part = Part(kind="text", value=expressions.text(part.source, scope))
        if parts and parts[-1].kind == part.kind == "text":
            parts[-1] = Part(kind="text", value=parts[-1].value + part.value)
        else:
            parts.append(part)
    sealed = SealedText(parts=tuple(parts))
    return sealed if sealed.references else str(sealed)


def sealed_in(value: object) -> Iterator[SealedText]:
    """Every text with references inside `value`."""
    if isinstance(value, SealedText):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from sealed_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from sealed_in(item)


def filled(value: object, values: Mapping[SealedText, Secret]) -> object:
    """`value` with its references filled in; `values` has every text of `sealed_in`."""
    if isinstance(value, SealedText):
        return values[value].reveal()
    if isinstance(value, Mapping):
        return {key: filled(item, values) for key, item in value.items()}
    return [filled(item, values) for item in value] if isinstance(value, list | tuple) else value


def _reference(source: str, inputs: Mapping[str, str]) -> Part | None:
    found = _NAMED.fullmatch(source)
    if found is None:
        return None
    name = found["plain"] or found["quoted"]
    if found["what"] == "secrets":
        return Part(kind="secret", value=name)
    return Part(kind="input", value=inputs[name]) if name in inputs else None


def _variables(text: str) -> Iterator[Part]:
    at = 0
    for match in _VARIABLE.finditer(text):
        if match.start() > at:
            yield Part(kind="text", value=text[at : match.start()])
        at = match.end()
        if match["escape"]:
            yield Part(kind="text", value=match[0][1:])
        else:
            yield Part(kind="variable", value=match["name"])
    if at < len(text):
        yield Part(kind="text", value=text[at:])
