"""Pydantic's complaints as problems that name the file's line and say what to write instead."""

import re
from collections.abc import Sequence
from difflib import get_close_matches

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bcce.config.document import Where
from bcce.config.errors import Problem
from bcce.config.layers import Branch, Tree, find
from bcce.config.schema import Shape, is_secret, names, shape_of, shown

#: What a value must be, by Pydantic's error type; `{}` takes from the error's context.
_MUST: dict[str, str] = {
    "missing": "is required",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a section: a mapping of keys to values",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
}
_EMPTY = "must not be empty"
_HINTS = {"string_type": "put it in quotes", "list_type": "write it as [a, b]", "tuple_type": "write it as [a, b]"}


def explain(error: ValidationError, model: type[BaseModel], tree: Branch) -> list[tuple[Tree, Problem]]:
    """One problem for each setting that Pydantic refused, with the node of `tree` that is to blame."""
    grouped: dict[Where, list[tuple[ErrorDetails, Shape]]] = {}
    for detail in error.errors(include_url=False):
        path, shape = _settings_path(detail["loc"], model)
        grouped.setdefault(path, []).append((detail, shape))
    return [_problem(path, details, tree) for path, details in grouped.items()]


def _problem(path: Where, details: Sequence[tuple[ErrorDetails, Shape]], tree: Branch) -> tuple[Tree, Problem]:
    node, rest = find(tree, path)
    detail, shape = details[0]
    # A union complains once for each of its types.
    wants = " or ".join(dict.fromkeys(_wants(item, shape) for item, _ in details))
    # Without a path the value would be the settings as a whole.
    says_it_all = not path or detail["type"] in ("missing", "value_error") or wants == _EMPTY
    value = None if says_it_all else shown(path, detail["input"], shape.annotation)
    dotted = ".".join(map(str, path))
    message = f"{dotted} {wants}" if dotted else wants
    if value is not None:
        message = f"{message}, not {value}"
    return node, node.origin.problem(message, path, hint=_hint(detail, path), rest=rest)


def _wants(detail: ErrorDetails, shape: Shape) -> str:
    if detail["type"] in ("string_too_short", "too_short") and detail.get("ctx", {}).get("min_length") == 1:
        return _EMPTY
    template = _MUST.get(detail["type"])
    if template is not None:
        return template.format(**{name: _number(value) for name, value in detail.get("ctx", {}).items()})
    if is_secret(shape.annotation):
        return "cannot be used"
    # A validator's own sentence, or a rare type of Pydantic's, which is readable as it is.
    message = detail["msg"].removeprefix("Value error, ")
    return f"is not valid: {message[:1].lower()}{message[1:]}"


def _number(value: object) -> object:
    """A limit as a person writes it: 60 rather than 60.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _hint(detail: ErrorDetails, path: Where) -> str | None:
    if detail["type"] in ("literal_error", "enum") and isinstance(detail["input"], str):
        options = re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected", "")))
        near = get_close_matches(detail["input"].lower(), options, n=1)
        return f"did you mean {near[0]!r}?" if near else None
    if path == ("version",):
        known = re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected", ""))) or ["1.0", "0.1.0"]
        return f"supported {'are' if len(known) > 1 else 'is'} {' and '.join(f'version: {chr(34)}{item}{chr(34)}' for item in known)}"
    return _HINTS.get(detail["type"])


def _settings_path(loc: Sequence[str | int], model: type[BaseModel]) -> tuple[Where, Shape]:
    """`loc` with the fields' own names, cut where it goes on into Pydantic's inner workings, and the form of what is there."""
    shape = shape_of(model)
    path: Where = ()
    for part in loc:
        if shape.model is not None:
            name = names(shape.model).get(str(part))
            if name is None:
                return (*path, part), shape_of(object)
            shape, part = shape_of(shape.model.model_fields[name].annotation), name
        elif shape.item is not None:
            shape = shape.item
        else:
            break
        path = (*path, part)
    return path, shape
