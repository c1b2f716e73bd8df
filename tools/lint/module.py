"""One source file as the rules see it: its place in the package, its tree, and what its names were imported from."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """A parsed module.

    `path` is relative to the package, such as `storage/writer.py`; `origins` maps a local name to the dotted name it was imported as.
    """

    path: PurePosixPath
    text: str
    tree: ast.Module
    origins: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, path: str, text: str) -> "Module":
        """The module of `text`.

        Raises:
            SyntaxError: `text` is not Python.
        """
        tree = ast.parse(text, path)
        return cls(path=PurePosixPath(path), text=text, tree=tree, origins=dict(_origins(tree)))

    def is_in(self, *places: str) -> bool:
        """The module is one of `places` or lies below one of them; a place is a path without its suffix."""
        own = str(self.path.with_suffix(""))
        return any(own == place or own.startswith(f"{place}/") for place in places)

    def dotted(self, node: ast.AST) -> str | None:
        """What a name or an attribute refers to, by its imports: `dt.now` is `datetime.datetime.now`; None when it is neither."""
        if isinstance(node, ast.Name):
            return self.origins.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            owner = self.dotted(node.value)
            return f"{owner}.{node.attr}" if owner else None
        return None

    def references(self) -> Iterator[tuple[int, str]]:
        """Line and dotted name of every name used or imported, the longest form of each."""
        inner = {id(node.value) for node in ast.walk(self.tree) if isinstance(node, ast.Attribute)}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
            elif isinstance(node, ast.Name | ast.Attribute) and id(node) not in inner:
                name = self.dotted(node)
                if name is not None:
                    yield node.lineno, name


def read_modules(root: Path) -> Iterator[Module]:
    """Every module below `root`, a folder that holds the package `bcce`.

    Raises:
        FileNotFoundError: there is no such package, so that a wrong path is not taken for clean source.
    """
    package = root / "bcce"
    if not package.is_dir():
        raise FileNotFoundError(f"no package bcce in {root}")
    for file in sorted(package.rglob("*.py")):
        yield Module.parse(file.relative_to(package).as_posix(), file.read_text(encoding="utf-8"))


def _origins(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"
