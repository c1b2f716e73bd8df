"""Puts the layers together: defaults < file < `environments.<name>` < `BCCE_*` < explicit overrides.

Knows no domain: the model of all settings is given by the caller.
"""

import json
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from bcce.config.document import MAX_BYTES, Document, is_text, read_json, read_yaml, sentence
from bcce.config.environ import default_home, expand
from bcce.config.errors import InvalidConfig, Problem
from bcce.config.explain import explain
from bcce.config.layers import Branch, Dotted, Leaf, Origin, Reader, Tree, merge, plain, put, suggestion, walk
from bcce.config.schema import Kind, field_shape, is_unused, names, shape_of
from bcce.config.variables import read_variables
from bcce.kit.errors import InvalidDocument
from bcce.kit.redact import Secret

M = TypeVar("M", bound=BaseModel)
FILE_NAMES = ("bcce.config.yaml", "bcce.config.yml", "bcce.config.json")
#: Keys of the file that an overlay cannot have: they say what the file is, not what an environment is like.
_NOT_IN_OVERLAYS = ("version", "env", "environments")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Where configuration comes from.

    `path` None means that there is no file. `environ` are the process's variables. `environment` is what `--env` said; None leaves the
    choice to BCCE_ENV, then to the file's `env`, then to no overlay. `overrides` are values by dotted name, in either spelling.
    """

    path: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    environment: str | None = None
    overrides: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded(Generic[M]):
    """The settings and how they came about.

    `notices` are sentences for the operator. `origins` has every setting by its dotted name with where its value was written: `default`,
    `file:line`, `environment:prod`, `env:BCCE_X` or `override`. `environments` are the overlays that the file has.
    """

    settings: M
    path: Path | None
    environment: str | None
    environments: tuple[str, ...]
    notices: tuple[str, ...]
    origins: Mapping[str, str]

    def home(self, environ: Mapping[str, str]) -> Path:
        """The folder for the database, keys and tokens, absolute: the setting `home`, else the user's state folder.

        A relative path begins at the configuration file's folder when it stands there, else at the working folder. Does no I/O.
        """
        home = getattr(self.settings, "home", None)
        if home is None:
            return default_home({name: value for name, value in environ.items() if name != "BCCE_HOME"})
        is_from_file = not self.origins.get("home", "").startswith(("env:", "override")) and self.path is not None
        return expand(home, environ, self.path.absolute().parent if is_from_file and self.path is not None else Path.cwd())


def find_file(environ: Mapping[str, str], directory: Path) -> Path | None:
    """The file that BCCE_CONFIG names, else the one with a usual name in `directory`; None when there is none. Reads the folder.

    Raises:
        InvalidConfig: BCCE_CONFIG names a file that is not there, or the folder has more than one and either could be meant.
    """
    named = environ.get("BCCE_CONFIG")
    if named:
        path = expand(named, environ, Path.cwd())
        if not path.is_file():
            problem = Problem(message=f"there is no file {path}", source="BCCE_CONFIG", hint="unset it, or run `bcce init`")
            raise InvalidConfig([problem], is_unread=True)
        return path
    found = [directory / name for name in FILE_NAMES if (directory / name).is_file()]
    if len(found) > 1:
        message = f"{' and '.join(path.name for path in found)} are both there"
        problem = Problem(message=message, source=str(directory), hint="keep one, or name one in BCCE_CONFIG")
        raise InvalidConfig([problem], is_unread=True)
    return found[0] if found else None


def load(model: type[M], sources: Sources) -> Loaded[M]:
    """The configuration as `model` sees it. Reads the file and nothing else; may be repeated.

    Raises:
        InvalidConfig: one error for everything that is wrong, also in overlays that were not chosen.
    """
    return _Loader(model, sources).load()


class _Loader(Generic[M]):
    def __init__(self, model: type[M], sources: Sources) -> None:
        self._model = model
        self._sources = sources
        self._problems: list[Problem] = []
        self._notices: list[str] = []
        self._file = Branch(origin=Origin(source=None, label="default"))
        self._overlays: dict[str, Branch] = {}

    def load(self) -> Loaded[M]:
        if self._sources.path is not None:
            self._read_file(self._sources.path)
        environment = self._choose()
        base = merge(self._file, self._overlays[environment]) if environment in self._overlays else self._file
        variables = read_variables(self._sources.environ, self._model, base, self._problems)
        overrides = self._overrides()
        above = merge(variables, overrides)
        tree = merge(base, above)
        settings = self._validate(tree)
        self._check_hidden(environment, above)
        if self._problems or settings is None:
            raise InvalidConfig(_sorted(self._problems))
        return Loaded(
            settings=settings,
            path=self._sources.path,
            environment=environment,
            environments=tuple(self._overlays),
            notices=(*self._notices, *_unused(self._model, tree)),
            origins=dict(_origins(self._model, tree)),
        )

    def _read_file(self, path: Path) -> None:
        document = _document(path)
        value, root = document.value, Origin(source=str(path), document=document)
        if value is None:
            self._notices.append(f"{path}: the file is empty, every setting has its default")
            return
        if not isinstance(value, dict):
            field = self._model.model_fields.get("version")
            hint = f'begin with version: "{field.default}"' if field is not None else None
            raise InvalidConfig([root.problem("a configuration file is a mapping of keys to values", (), hint=hint)])
        has_overlays = "environments" in self._model.model_fields
        overlays = value.get("environments") if has_overlays else None
        top = {key: item for key, item in value.items() if key != "environments" or not has_overlays}
        self._file = Reader(self._problems).section(top, self._model, root)
        if overlays is not None:
            self._read_overlays(overlays, root.child("environments"))

    def _read_overlays(self, value: object, origin: Origin) -> None:
        if not isinstance(value, dict):
            message = "environments must be a mapping of names to sections"
            self._problems.append(origin.problem(message, ("environments",), hint="write environments: {prod: {…}}"))
            return
        for name, overlay in value.items():
            here = origin.child(name)
            at = ("environments", name)
            if overlay is not None and not isinstance(overlay, dict):
                self._problems.append(here.problem(f"environments.{name} must be a mapping of keys to values", at))
                continue
            labelled = Origin(source=here.source, label=f"environment:{name}", document=here.document, where=here.where)
            self._overlays[name] = self._read_overlay(overlay or {}, labelled, at)
        put(self._file, ("environments",), Leaf(value=list(self._overlays), origin=origin))

    def _read_overlay(self, value: dict[str, object], origin: Origin, at: Dotted) -> Branch:
        allowed = {key: item for key, item in value.items() if key not in _NOT_IN_OVERLAYS}
        for key in value.keys() - allowed.keys():
            message = f"{key!r} is the same for all environments"
            self._problems.append(origin.child(key).problem(message, (*at, key), hint="move it to the top of the file"))
        return Reader(self._problems).section(allowed, self._model, origin, at)

    def _choose(self) -> str | None:
        """The overlay that applies. Leaves the choice in the file's tree, as the value of the setting `env`."""
        given, variable = self._sources.environment, self._sources.environ.get("BCCE_ENV")
        written = self._file.items.get("env")
        if given:
            leaf = Leaf(value=given, origin=Origin(source="--env", label="override"))
        elif variable:
            leaf = Leaf(value=variable, origin=Origin(source="BCCE_ENV", label="env:BCCE_ENV"))
        elif isinstance(written, Leaf) and written.value is not None:
            leaf = written
        else:
            return None
        name = str(leaf.value)
        if not is_text(name):
            # Not into the tree: it could not be shown, and there is no such environment.
            self._problems.append(leaf.origin.problem("the value is not UTF-8 text", ("env",), hint="name one of the environments"))
            return None
        if "env" in self._model.model_fields:
            put(self._file, ("env",), leaf)
        if name not in self._overlays and isinstance(leaf.value, str):
            defined = ", ".join(self._overlays) or "none"
            hint = suggestion(name, {key: key for key in self._overlays}) if self._overlays else f"environments that are defined: {defined}"
            self._problems.append(leaf.origin.problem(f"there is no environment {name[:60]!r}", ("env",), hint=hint))
        return name

    def _overrides(self) -> Branch:
        layer = Branch(origin=Origin(source=None, label="override"))
        for dotted, value in self._sources.overrides.items():
            shape = shape_of(self._model)
            path: Dotted = ()
            for part in dotted.split("."):
                if shape.model is not None:
                    known = names(shape.model)
                    if part not in known:
                        message = f"unknown setting {dotted[:100]!r}"
                        self._problems.append(layer.origin.problem(message, (*path, part), hint=suggestion(part, known)))
                        break
                    part = known[part]
                    shape = field_shape(shape.model, part)
                else:
                    shape = shape.item or shape
                path = (*path, part)
            else:
                if isinstance(value, str) and not is_text(value):
                    self._problems.append(layer.origin.problem(f"{dotted}: the value is not UTF-8 text", path))
                    continue
                node = Reader(self._problems).node(value, shape, layer.origin, path)
                if node is not None:
                    put(layer, path, node)
        return layer

    def _validate(self, tree: Branch, blamed: Callable[[Tree], bool] = lambda _: True) -> M | None:
        """The settings that `tree` makes; None after complaints, of which those are kept whose node is `blamed`."""
        try:
            # Through JSON, because only there Pydantic's strict mode takes a list for a tuple and text for an enum, and nothing looser.
            return self._model.model_validate_json(json.dumps(plain(tree), default=_as_json), strict=True)
        except ValidationError as error:
            self._problems += [problem for node, problem in explain(error, self._model, tree) if blamed(node)]
            return None

    def _check_hidden(self, environment: str | None, above: Branch) -> None:
        """Complains about what does not count now, so that it is not found out on the day it does.

        That is overlays that were not chosen, and values of the file that the layers above it replace.
        """
        self._validate(self._file, lambda node: isinstance(node, Leaf))
        for name, overlay in self._overlays.items():
            if name != environment:
                label = overlay.origin.label
                self._validate(merge(merge(self._file, overlay), above), lambda node, label=label: node.origin.label == label)  # type: ignore[misc]  # mypy cannot infer a lambda with a default


def _document(path: Path) -> Document:
    """The file's document. Every error is raised outside of its handler, so that what it quotes does not come along as context."""
    text = _decoded(_data(path), path)
    if isinstance(text, str):
        try:
            return read_json(text, str(path)) if path.suffix == ".json" and text.strip() else read_yaml(text, str(path))
        except InvalidDocument as error:
            text = Problem(message=sentence(error), source=str(path), line=error.line, column=error.column, hint=error.hint)
    raise InvalidConfig([text])


def _data(path: Path) -> bytes:
    try:
        # A pipe or a device could keep its reader waiting, or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise InvalidConfig([Problem(message="this is no regular file", source=str(path), hint="name a file")], is_unread=True)
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # a path with a NUL is a ValueError
        message = f"the file cannot be read: {getattr(error, 'strerror', error)}"
        raise InvalidConfig([Problem(message=message, source=str(path))], is_unread=True) from error


def _decoded(data: bytes, path: Path) -> str | Problem:
    if len(data) > MAX_BYTES:
        return Problem(message=f"the file is larger than {MAX_BYTES} bytes", source=str(path))
    try:
        # A byte order mark, which some editors write, is no part of the text.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Problem(message="the file is not UTF-8 text", source=str(path), line=line, hint="save it as UTF-8")


def _as_json(value: object) -> object:
    """What an override may hold beside JSON values."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Path | Enum):
        return str(value)
    raise TypeError(f"an override cannot be a {type(value).__name__}")


def _sorted(problems: list[Problem]) -> list[Problem]:
    """Without doubles, file first, in the order of its lines; an unknown version alone, since it explains the rest."""
    unique = list(dict.fromkeys(problems))
    versions = [problem for problem in unique if problem.field == "version"]
    return versions or sorted(unique, key=lambda problem: (problem.line is None, problem.line or 0, problem.column or 0))


def _unused(model: type[BaseModel], tree: Branch) -> Iterator[str]:
    for name, info in model.model_fields.items():
        if is_unused(info) and name in tree.items:
            yield f"{name}: accepted, not used yet"


def _origins(model: type[BaseModel], tree: Branch, at: Dotted = ()) -> Iterator[tuple[str, str]]:
    """Every setting of the section with where its value was written."""
    for name in model.model_fields:
        shape, node = field_shape(model, name), tree.items.get(name)
        path = (*at, name)
        if shape.model is not None:
            yield from _origins(shape.model, _as_branch(node), path)
        elif node is None:
            yield ".".join(path), "default"
        elif shape.kind is Kind.MAP and shape.item is not None and shape.item.model is not None and isinstance(node, Branch):
            if not node.items:
                yield ".".join(path), str(node.origin)
            for key, item in node.items.items():
                yield from _origins(shape.item.model, _as_branch(item), (*path, key))
        else:
            for rest, leaf in walk(node, path):
                yield ".".join(rest), str(leaf.origin)


def _as_branch(node: Tree | None) -> Branch:
    """The section's branch; an empty one for a section of which nothing was written."""
    return node if isinstance(node, Branch) else Branch(origin=Origin(source=None, label="default"))
