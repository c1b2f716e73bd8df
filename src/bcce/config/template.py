"""A commented configuration file and a table of keys, made from the settings' own descriptions, so that neither is ever out of date."""

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from bcce.config.schema import Kind, is_secret, is_unused, leaves, shape_of, variable
from bcce.kit.redact import Secret

_WIDTH = 100
_HEADER = """\
# BCCE configuration.
#
# Every key is shown with its default; to change one, remove the # in front of it.
# A key may also be written with underscores (client_pool_size), and every key of a section can be set by an
# environment variable, which wins: BCCE_<SECTION>__<KEY>, for example BCCE_AWS__REGION.
# `bcce config validate` checks this file, `bcce config show` says where each value comes from.
"""
_ENVIRONMENTS = """\
# Overlays by name: each may hold any of the keys above but version. `--env prod` or BCCE_ENV=prod chooses one.
environments:
  #prod:
    #name: bcce-prod
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """One setting for the reference.

    `name` is dotted, with `<name>` for the keys of a map; `spelling` is the same as the file usually has it. `variable` is None when only
    the file can say it. `default` is JSON, `required` without one; `limits` is empty when there are none.
    """

    name: str
    spelling: str
    variable: str | None
    type: str
    default: str
    limits: str
    description: str
    is_secret: bool
    is_used: bool


def keys(model: type[BaseModel]) -> tuple[Key, ...]:
    """Every setting, in the order of the file."""
    return tuple(_key(path, info) for path, info in leaves(model))


def key_table(model: type[BaseModel]) -> str:
    """The settings as a Markdown table."""
    rows = ["| key | variable | type | default | meaning |", "| --- | --- | --- | --- | --- |"]
    for key in keys(model):
        name = f"`{key.variable}`" if key.variable else ""
        meaning = " ".join(filter(None, [key.description, key.limits, "" if key.is_used else "Accepted, not used yet."])).replace(
            "|", "\\|"
        )
        rows.append(f"| `{key.spelling}` | {name} | {key.type} | `{key.default}` | {meaning} |")
    return "\n".join(rows) + "\n"


def render_template(model: type[BaseModel], values: Mapping[str, object] | None = None) -> str:
    """A configuration file that loads as it is and changes nothing but what `values`, by dotted name, sets.

    Raises:
        KeyError: a name in `values` is no setting.
    """
    wanted = dict(values or {})
    lines = _section(model, (), wanted)
    if wanted:
        raise KeyError(next(iter(wanted)))
    if "environments" in model.model_fields:
        lines += ["", *_ENVIRONMENTS.splitlines()]
    return "\n".join([_HEADER, *lines, ""])


def _section(model: type[BaseModel], at: tuple[str, ...], values: dict[str, object]) -> list[str]:
    pad = "  " * len(at)
    lines: list[str] = []
    for name, info in model.model_fields.items():
        path = (*at, name)
        if path == ("environments",):
            continue  # it stands at the end, since it repeats what is above
        shape = shape_of(info.annotation)
        if not at and lines:
            lines.append("")
        lines += [f"{pad}# {part}" for part in textwrap.wrap(_meaning(info), _WIDTH)]
        if shape.model is not None:
            lines.append(f"{pad}{to_camel(name)}:")
            lines += _section(shape.model, path, values)
            continue
        if shape.item is not None and shape.item.model is not None:
            lines += [f"{pad}# {part}" for part in _item_keys(shape.item.model, shape.kind)]
        dotted = ".".join(path)
        if dotted in values:
            lines.append(f"{pad}{to_camel(name)}: {_json(values.pop(dotted))}")
        else:
            mark = "" if path == ("version",) else "#"
            lines.append(f"{pad}{mark}{to_camel(name)}: {_default(info)}")
    return lines


def _item_keys(model: type[BaseModel], kind: Kind) -> list[str]:
    """The keys of each item of a map or list of sections, as comment lines."""
    lines = ["Under each name:" if kind is Kind.MAP else "In each item:"]
    for name, info in model.model_fields.items():
        text = f"{to_camel(name)}: {_default(info)}  {_meaning(info)}"
        lines += textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ")
    return lines


def _meaning(info: FieldInfo) -> str:
    unused = "Accepted, not used yet." if is_unused(info) else ""
    return " ".join(part for part in (info.description or "", _limits(info), unused) if part)


def _limits(info: FieldInfo) -> str:
    """What a value must be, in a sentence; empty when its type says it all."""
    options = _options(info.annotation)
    if options:
        return f"One of {', '.join(options)}."
    bounds = {name: getattr(item, name) for item in info.metadata for name in ("gt", "ge", "lt", "le") if hasattr(item, name)}
    words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
    text = " and ".join(f"{words[name]} {bounds[name]}" for name in words if name in bounds)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _options(annotation: Any) -> list[str]:
    inner = shape_of(annotation).annotation
    if isinstance(inner, type) and issubclass(inner, Enum):
        return [str(item.value) for item in inner]
    arguments = get_args(inner)
    return [str(item) for item in arguments] if arguments and all(isinstance(item, str) for item in arguments) else []


def _key(path: tuple[str, ...], info: FieldInfo) -> Key:
    is_file_only = path[0] in ("version", "environments") or "<number>" in path
    return Key(
        name=".".join(path),
        spelling=".".join(part if part.startswith("<") else to_camel(part) for part in path),
        variable=None if is_file_only else variable(path),
        type=_type(info.annotation),
        default="required" if info.is_required() else _default(info),
        limits=_limits(info),
        description=info.description or "",
        is_secret=is_secret(info.annotation),
        is_used=not is_unused(info),
    )


def _type(annotation: Any) -> str:
    """The type in words for people who do not write Python."""
    shape = shape_of(annotation)
    inner = shape.annotation
    if is_secret(inner):
        return "secret text"
    if shape.kind is Kind.SECTION:
        return "section"
    if shape.kind in (Kind.MAP, Kind.LIST):
        of = "" if shape.item is None or shape.item.is_open else f" of {_type(shape.item.annotation)}"
        return f"{shape.kind}{of}"
    simple = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path"}
    if isinstance(inner, type) and inner in simple:
        return simple[inner]
    return "text" if _options(inner) else "value"


def _default(info: FieldInfo) -> str:
    value = None if info.is_required() else info.get_default(call_default_factory=True, validated_data={})
    return "null" if value is PydanticUndefined or isinstance(value, Secret) else _json(value)


def _json(value: object) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
