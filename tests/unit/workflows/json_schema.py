"""As much of JSON Schema (draft 7) as the schema of workflow files uses; a keyword that is not known here is an error."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_SILENT = {"$schema", "$id", "title", "description", "default", "definitions", "then", "format"}


def fits(value: object, schema: Any, root: Mapping[str, Any]) -> bool:
    """Whether `value` is what `schema` says."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        return fits(value, at(root, schema["$ref"]), root)
    return all(_keyword(name, given, value, schema, root) for name, given in schema.items() if name not in _SILENT)


def at(root: Mapping[str, Any], reference: str) -> Any:
    """What a reference leads to."""
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found[unquote(part).replace("~1", "/").replace("~0", "~")]
    return found


def references(schema: object) -> list[str]:
    """Every reference inside a schema."""
    if isinstance(schema, Mapping):
        own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
        return own + [found for inner in schema.values() for found in references(inner)]
    return [found for inner in schema for found in references(inner)] if isinstance(schema, list) else []


def _keyword(name: str, given: Any, value: Any, schema: Any, root: Mapping[str, Any]) -> bool:
    is_object, is_list, is_text = isinstance(value, dict), isinstance(value, list), isinstance(value, str)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if name == "type":
        return any(_is_kind(value, kind) for kind in ([given] if isinstance(given, str) else given))
    if name in ("enum", "const"):
        return value in (given if name == "enum" else [given])
    if name in ("anyOf", "allOf"):
        return (any if name == "anyOf" else all)(fits(value, inner, root) for inner in given)
    if name == "if":
        return not fits(value, given, root) or fits(value, schema["then"], root)
    if name == "required":
        return not is_object or all(key in value for key in given)
    if name == "properties":
        return not is_object or all(fits(value[key], inner, root) for key, inner in given.items() if key in value)
    if name == "propertyNames":
        return not is_object or all(fits(key, given, root) for key in value)
    if name == "additionalProperties":
        known = schema.get("properties", {})
        return not is_object or all(fits(item, given, root) for key, item in value.items() if key not in known)
    if name == "items":
        return not is_list or all(fits(item, given, root) for item in value)
    if name == "pattern":
        return not is_text or re.search(given, value) is not None
    if name in ("minLength", "maxLength"):
        return not is_text or (len(value) >= given if name == "minLength" else len(value) <= given)
    if name in ("minItems", "maxItems"):
        return not is_list or (len(value) >= given if name == "minItems" else len(value) <= given)
    if name in ("minProperties", "maxProperties"):
        return not is_object or (len(value) >= given if name == "minProperties" else len(value) <= given)
    if name in ("minimum", "maximum", "exclusiveMinimum"):
        return not is_number or {"minimum": value >= given, "maximum": value <= given, "exclusiveMinimum": value > given}[name]
    raise AssertionError(f"the keyword {name} is not known here")


def _is_kind(value: object, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))
