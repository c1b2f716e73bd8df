"""The language of workflow files as a JSON Schema, with which editors complete and check them while somebody types. Pure.

Draft 7, the newest that editors' YAML support knows in full. It is made from the tables in `language` and the step types' own parameters;
`validation` finds more, since a schema cannot see what one step has to do with another.
"""

from collections.abc import Mapping
from typing import cast
from urllib.parse import quote

from pydantic import BaseModel

from bcce.resilience.retry import Backoff
from bcce.workflows import language
from bcce.workflows.definition import INPUT_TYPES, OnFailure, Strategy
from bcce.workflows.language import ID_PATTERN, RESILIENT, SCOPE_KEYS, SUPPORTED_VERSIONS, Keys

Schema = dict[str, object]

DRAFT = "http://json-schema.org/draft-07/schema#"
_DURATION = r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)?\s*$"
_TEXT: Schema = {"type": "string"}
_MAPPING: Schema = {"type": ["object", "null"]}


def workflow_schema(params: Mapping[str, type[BaseModel]]) -> Schema:
    """The schema of a file; `params` are the parameters of the step types that are known, by type."""
    definitions: Schema = {
        "expression": {"type": "string", "pattern": r"\{\{"},
        "duration": {
            "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)?\s*$"}]
        },
        "names": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}, {"type": "null"}]},
        "steps": {"anyOf": [{"type": "array", "items": _ref("step")}, _ref("step")]},
        "input": {"anyOf": [_words(INPUT_TYPES), _closed(language.INPUT)]},
        "retry": _closed(language.RETRY),
        "policy": _closed(language.POLICY),
        "concurrency": {"anyOf": [_TEXT, _closed(language.CONCURRENCY, "group")]},
        "integration": {"type": "object", "properties": _properties(language.INTEGRATION), "required": ["type"]},
    }
    kinds = sorted(params)
    body: Schema = {"type": "object", "required": ["type"], "properties": _properties(language.STEP)}
    branches: list[Schema] = []
    for name, keys in {**SCOPE_KEYS, RESILIENT: language.RESILIENT_KEYS}.items():
        needed = [key for key in ("condition", "items", "step") if key in keys]
        scope: Schema = {"properties": _properties(keys), "required": needed, "propertyNames": _words([*language.STEP, *keys])}
        branches.append(_when(name, scope))
    for name in kinds:
        definitions[f"parameters of {name}"] = _parameters(name, params[name], definitions)
        branches.append(_when(name, _of_type(name, params[name], language.STEP)))
    extras = [_when(name, _of_type(name, params[name], language.EXTRA)) for name in kinds]
    definitions |= {
        "step type": {"anyOf": [_words([*SCOPE_KEYS, RESILIENT, *kinds]), _TEXT]},
        "body": {**body, "allOf": branches},
        "step": {"allOf": [_ref("body"), {"anyOf": [{"required": ["id"]}, {"required": ["name"]}]}]},
        "extra": {"type": "object", "required": ["type"], "properties": _properties(language.EXTRA), "allOf": extras},
    }
    return {
        "$schema": DRAFT,
        "$id": "urn:bcce:workflow",
        "title": "BCCE workflow",
        "definitions": definitions,
        **_closed(language.WORKFLOW, "name", "steps"),
    }


def _properties(keys: Keys) -> Schema:
    found: Schema = {}
    for name, key in keys.items():
        # Beside a `$ref` a draft-7 reader sees nothing else.
        form = _KINDS[key.kind] if key.kind in _KINDS else _ref(key.kind)
        default = {} if key.default is None else {"default": key.default}
        found[name] = {"description": key.meaning, **default, **({"allOf": [form]} if "$ref" in form else form)}
    return found


def _closed(keys: Keys, *required: str) -> Schema:
    """A mapping with these keys and no others."""
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": _properties(keys), "additionalProperties": False, **needed}


def _when(kind: str, then: Schema) -> Schema:
    return {"if": {"properties": {"type": {"const": kind}}, "required": ["type"]}, "then": then}


def _of_type(kind: str, model: type[BaseModel], keys: Keys) -> Schema:
    """What a step of a type has: its parameters, beside the other keys or inside `with`."""
    inside = {name: {"allOf": [_ref(f"parameters of {kind}")]} for name in ("with", "parameters")}
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    own = [name for name in fields if name not in keys]
    given: Schema = {"properties": {name: _ref(f"parameters of {kind}", "properties", name) for name in own} | inside}
    if model.model_config.get("extra") == "forbid":
        given["propertyNames"] = _words([*keys, *own])
    ways = [
        {"anyOf": [{"required": [name]}, *({"required": [way], "properties": {way: {"required": [name]}}} for way in inside)]}
        for name, field in fields.items()
        if field.is_required()
    ]
    return {**given, "allOf": ways} if ways else given


def _parameters(kind: str, model: type[BaseModel], definitions: Schema) -> Schema:
    """The schema of a step type's parameters, each of which may also be an expression; models inside it join `definitions`."""
    template = f"{_ref(f'parameters of {kind}: ')['$ref']}{{model}}"
    found = model.model_json_schema(ref_template=template)
    for name, inner in found.pop("$defs", {}).items():
        definitions[f"parameters of {kind}: {name}"] = _loosened(inner)
    opened = _loosened(found)
    opened.pop("required", None)  # it may stand outside of `with`
    opened.pop("description", None)
    return opened


def _loosened(schema: Schema) -> Schema:
    """`schema` with an expression allowed in the place of every value inside it, and without the titles that repeat the keys."""
    found: Schema = {name: value for name, value in schema.items() if name != "title"}
    if isinstance(found.get("properties"), dict):
        found["properties"] = {name: _or_expression(inner) for name, inner in cast(dict[str, Schema], found["properties"]).items()}
    for name in ("items", "additionalProperties"):
        if isinstance(found.get(name), dict):
            found[name] = _or_expression(cast(Schema, found[name]))
    for name in ("anyOf", "allOf", "oneOf"):
        if isinstance(found.get(name), list):
            found[name] = [_loosened(inner) for inner in cast(list[Schema], found[name])]
    return found


def _or_expression(schema: Schema) -> Schema:
    beside: Schema = {name: schema[name] for name in ("description", "default") if name in schema}
    form = _loosened({name: value for name, value in schema.items() if name not in beside})
    is_free = not form or form == _TEXT
    return {**beside, **(form if is_free else {"anyOf": [form, _ref("expression")]})}


def _words(words: object) -> Schema:
    return {"enum": [str(word) for word in cast(list[object], words)]}


def _ref(*path: str) -> Schema:
    """A reference to a definition, or to something inside it."""
    return {"$ref": "/".join(("#/definitions", *(quote(part.replace("~", "~0").replace("/", "~1"), safe="~:") for part in path)))}


#: The form of a value, by the name that `language` gives it; every other name is that of a definition.
_KINDS: dict[str, Schema] = {
    "any": {},
    "text": _TEXT,
    "version": {"enum": [*SUPPORTED_VERSIONS, 1]},
    "name": {"type": "string", "pattern": f"^{ID_PATTERN}$"},
    "id": {"type": "string", "pattern": f"^{ID_PATTERN}$"},
    "flag": {"type": "boolean"},
    "mapping": _MAPPING,
    "inputs": {**_MAPPING, "additionalProperties": _ref("input")},
    "input-type": _words(INPUT_TYPES),
    "integrations": {"type": ["array", "null"], "items": _ref("integration")},
    "condition": {"type": ["string", "boolean"]},
    "items": {"anyOf": [{"type": "array"}, _ref("expression")]},
    "backoff": _words(Backoff),
    "on-failure": _words(OnFailure),
    "strategy": _words([spelling for word in Strategy for spelling in dict.fromkeys((word, word.replace("-", "_")))]),
    "share": {"type": "number", "minimum": 0, "maximum": 1},
    "attempts": {"type": "integer", "minimum": 1, "maximum": 100},
    "limit": {"type": "integer", "minimum": 1, "maximum": 10_000},
    "seconds": {"type": "integer", "minimum": 1, "maximum": 86_400},
    "count": {"type": "integer", "minimum": 0, "maximum": 100_000},
    "step-type": _ref("step type"),
    "inner-step": _ref("body"),
}
