"""What a settings model says about its keys: their names, shapes and secrets. Knows no values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from bcce.config.fields import NotUsedYet
from bcce.kit.redact import MASK, Secret, redact


class Kind(StrEnum):
    """How the loader descends into a setting."""

    SECTION = "section"
    MAP = "map"
    LIST = "list"
    VALUE = "value"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A setting's form. `model` is set for a section, `item` for a map or list; `annotation` is the type without `Annotated` and None."""

    kind: Kind
    annotation: Any
    is_nullable: bool = False
    model: type[BaseModel] | None = None
    item: "Shape | None" = None

    @property
    def is_open(self) -> bool:
        """Any value is taken, with anything below it."""
        return self.annotation in (Any, object)


def shape_of(annotation: Any) -> Shape:
    """The form of a type; a union of more than one real type is a value, which only Pydantic looks into."""
    inner = _bare(annotation)
    nullable = NoneType in get_args(annotation)
    origin, arguments = get_origin(inner), get_args(inner)
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        return Shape(kind=Kind.SECTION, annotation=inner, is_nullable=nullable, model=inner)
    if inner is dict or origin in (dict, Mapping):
        return Shape(kind=Kind.MAP, annotation=inner, is_nullable=nullable, item=shape_of(arguments[1] if arguments else Any))
    if inner in (list, tuple, set, frozenset) or origin in (list, tuple, set, frozenset, Sequence):
        return Shape(kind=Kind.LIST, annotation=inner, is_nullable=nullable, item=shape_of(arguments[0] if arguments else Any))
    return Shape(kind=Kind.VALUE, annotation=inner, is_nullable=nullable)


def names(model: type[BaseModel]) -> dict[str, str]:
    """Every accepted spelling of a key of `model`, with the field's name."""
    found: dict[str, str] = {}
    for name, info in model.model_fields.items():
        for spelling in (name, to_camel(name), info.alias):
            if spelling:
                found[spelling] = name
    return found


def field_shape(model: type[BaseModel], name: str) -> Shape:
    """The form of the field called `name`."""
    return shape_of(model.model_fields[name].annotation)


def is_unused(info: FieldInfo) -> bool:
    """Whether the setting is accepted and nothing reads it yet."""
    return any(isinstance(item, NotUsedYet) for item in info.metadata)


def is_secret(annotation: Any) -> bool:
    """Whether values of this type are never shown."""
    return annotation is Secret or any(is_secret(part) for part in get_args(annotation))


def takes_text(shape: Shape) -> bool:
    """Whether the setting wants text, so that `0123` or `true` in a variable is what it says and no number or truth value."""
    kinds = _leaves(shape.annotation)
    texts = [kind for kind in kinds if isinstance(kind, str) or (isinstance(kind, type) and issubclass(kind, str | Path | Secret | Enum))]
    return bool(texts) and len(texts) == len(kinds)


def shown(path: Sequence[object], value: object, annotation: Any) -> str | None:
    """`value` for an error message, at most 60 characters; None when it may be secret by its type, by its name or by its looks."""
    if is_secret(annotation) or isinstance(value, Mapping | list | tuple):
        return None
    for part in path:
        if redact({str(part): "value"}) == {str(part): MASK}:
            return None
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return None if redact(text) != text else text if len(text) <= 60 else f"{text[:59]}…"


def leaves(model: type[BaseModel], at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every field that is no section, with its dotted path; the items of a map of sections follow it under `<name>`."""
    for name, info in model.model_fields.items():
        shape, path = shape_of(info.annotation), (*at, name)
        if shape.model is not None:
            yield from leaves(shape.model, path)
            continue
        yield path, info
        if shape.item is not None and shape.item.model is not None:
            yield from leaves(shape.item.model, (*path, "<name>" if shape.kind is Kind.MAP else "<number>"))


def variable(path: Sequence[str]) -> str:
    """The environment variable of a dotted path."""
    return "BCCE_" + "__".join(part if part.startswith("<") else part.upper() for part in path)


def _bare(annotation: Any) -> Any:
    """`annotation` without `Annotated` around it and without None beside it."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
            continue
        parts = [part for part in get_args(annotation) if part is not NoneType]
        if get_origin(annotation) in (Union, UnionType) and len(parts) == 1:
            annotation = parts[0]
            continue
        return annotation


def _leaves(annotation: Any) -> list[Any]:
    """The types or literal values that a value may be, None left out."""
    inner = _bare(annotation)
    if get_origin(inner) in (Union, UnionType):
        return [leaf for part in get_args(inner) if part is not NoneType for leaf in _leaves(part)]
    return list(get_args(inner)) if get_origin(inner) is Literal else [inner]
