"""The layer of environment variables: `BCCE_<SECTION>__<KEY>`, and the few with a name of their own."""

import os
from collections.abc import Mapping
from difflib import get_close_matches

from pydantic import BaseModel

from bcce.config.document import is_text, read_yaml, sentence
from bcce.config.environ import IGNORED_PREFIXES, NOT_SETTINGS, SPECIAL
from bcce.config.errors import Problem
from bcce.config.layers import Branch, Dotted, Leaf, Origin, Reader, Tree, put
from bcce.config.schema import Kind, Shape, field_shape, leaves, shape_of, takes_text, variable
from bcce.kit.errors import InvalidDocument

#: Which setting each special variable sets; the others of them are no settings.
_SETS: dict[str, Dotted] = {
    "BCCE_HOME": ("home",),
    "BCCE_PLUGIN_PATH": ("plugin_path",),
    "BCCE_CLIENT_POOL_SIZE": ("aws", "client_pool_size"),
}
#: What one file says for all environments cannot differ between them.
_FILE_ONLY = ("version", "env", "environments")


def read_variables(environ: Mapping[str, str], model: type[BaseModel], below: Branch, problems: list[Problem]) -> Branch:
    """The tree of everything that variables set.

    A part of a name that stands for a key of a map (`BCCE_EXECUTION__TARGETS__web__ADDRESS`) is that key of `below`, the layers under this
    one, else the key that looks the same in capitals; without one it is the part itself, in small letters if it is all capitals. All other
    parts are in capitals. Values are YAML; a setting that wants text gets the text as it is.
    """
    layer = Branch(origin=Origin(source=None, label="variables"))
    set_by: dict[Dotted, str] = {}
    for name in sorted(environ):
        if not name.startswith("BCCE_") or name.startswith(IGNORED_PREFIXES) or name in NOT_SETTINGS:
            continue
        origin = Origin(source=name, label=f"env:{name}")
        found = _resolve(name, model, below) if is_text(name) else None
        if found is None:
            problems.append(Problem(message="no setting has this variable", source=name, hint=_suggestion(name, model)))
            continue
        path, shape = found
        if path in set_by:
            message = f"{set_by[path]} and {name} are the same setting"
            problems.append(origin.problem(message, path, hint="unset one of them"))
            continue
        node = _value(environ[name], shape, origin, path, problems)
        if node is not None:
            set_by[path] = name
            put(layer, path, node)
    return layer


def _resolve(name: str, model: type[BaseModel], below: Branch) -> tuple[Dotted, Shape] | None:
    """The setting that a variable names; None when there is no such setting."""
    if name in _SETS:
        special = _SETS[name]
        return (special, _shape_at(special, model)) if special[0] in model.model_fields else None
    shape = shape_of(model)
    path: Dotted = ()
    for part in name.removeprefix("BCCE_").split("__"):
        key = part.lower()
        if shape.model is not None:
            if part != part.upper() or key not in shape.model.model_fields or (not path and key in _FILE_ONLY):
                return None
            shape = field_shape(shape.model, key)
        elif key and (shape.is_open or (shape.kind is Kind.MAP and shape.item is not None)):
            key, shape = _map_key(part, path, below), shape.item or shape
        else:
            return None
        path = (*path, key)
    return None if shape.kind is Kind.SECTION else (path, shape)


def _shape_at(path: Dotted, model: type[BaseModel]) -> Shape:
    shape = shape_of(model)
    for part in path:
        shape = field_shape(shape.model or model, part)
    return shape


def _map_key(part: str, path: Dotted, below: Branch) -> str:
    node: Tree = below
    for step in path:
        node = node.items.get(step, Branch(origin=below.origin)) if isinstance(node, Branch) else node
    keys = node.items if isinstance(node, Branch) else {}
    if part in keys:
        return part
    return next((key for key in keys if _capitals(key) == part.upper()), part.lower() if part == part.upper() else part)


def _capitals(key: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in key).upper()


def _value(text: str, shape: Shape, origin: Origin, path: Dotted, problems: list[Problem]) -> Tree | None:
    """What a variable's text says to a setting of this form; None after a complaint."""
    if not is_text(text):
        problems.append(origin.problem("the value is not UTF-8 text", path, hint="set it again in a UTF-8 locale"))
        return None
    if origin.source == "BCCE_PLUGIN_PATH":
        return Leaf(value=[folder for folder in text.split(os.pathsep) if folder], origin=origin)
    if takes_text(shape):
        is_null = shape.is_nullable and text in ("", "null", "~")
        return Leaf(value=None if is_null else text, origin=origin)
    try:
        value = read_yaml(text).value
    except InvalidDocument as error:
        hint = "write a list as [a, b] and a mapping as {key: value}"
        problems.append(origin.problem(f"the value cannot be read: {sentence(error)}", path, hint=hint))
        return None
    return Reader(problems).node(value, shape, origin, path)


def _suggestion(name: str, model: type[BaseModel]) -> str:
    known = [*SPECIAL, *(variable(path) for path, _ in leaves(model) if path[0] not in _FILE_ONLY)]
    inside = [item for item in known if item.startswith(f"{name}__")]
    if inside:
        return f"that is a section; its variables are {', '.join(inside[:3])}{', …' if len(inside) > 3 else ''}"
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return "a setting's variable is BCCE_<SECTION>__<KEY>"
