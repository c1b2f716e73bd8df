"""What a package shows is what it says it shows, and every public name says what it is."""

import ast
import importlib
from collections.abc import Iterator

import pytest
from tests.architecture.source import PACKAGE, sources
from tools.docs.pages import modules

PACKAGES = sorted(file.parent.name for file in PACKAGE.glob("*/__init__.py"))
#: Each package of the layers has a place in `pyproject.toml`; this test only needs the names that re-export something.
EXPORTING = sorted(
    ".".join(("bcce", *file.relative_to(PACKAGE).parent.parts))
    for file in PACKAGE.rglob("__init__.py")
    if any(isinstance(node, ast.ImportFrom) for node in ast.parse(file.read_text(encoding="utf-8")).body)
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def undocumented(name: str, tree: ast.Module) -> Iterator[str]:
    """Public modules, classes, functions and methods without a docstring."""
    if not ast.get_docstring(tree):
        yield name
    for node in tree.body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield f"{name}:{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from (f"{name}:{node.name}.{method.name}" for method in node.body if _needs_docstring(method))


def _needs_docstring(node: ast.stmt) -> bool:
    if not isinstance(node, Function) or node.name.startswith("_") or ast.get_docstring(node):
        return False
    # An override says the same as what it overrides.
    return not any(isinstance(item, ast.Name) and item.id in ("override", "overload") for item in node.decorator_list)


def test_every_module_can_be_imported() -> None:
    assert [module.__name__ for module in modules()], "walking the package imports each module"


@pytest.mark.parametrize("name", EXPORTING)
def test_a_package_lists_exactly_what_it_shows(name: str) -> None:
    package = importlib.import_module(name)
    tree = ast.parse(PACKAGE.joinpath(*name.split(".")[1:], "__init__.py").read_text(encoding="utf-8"))
    imported = {alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_")}
    listed = list(getattr(package, "__all__", ()))

    assert [name for name in listed if not hasattr(package, name)] == []
    assert len(set(listed)) == len(listed)
    if listed:
        assert set(listed) == imported | defined
    else:
        assert defined, "a package that only imports names shows them on purpose, in __all__"


def test_every_public_name_says_what_it_is() -> None:
    assert [name for source in sources() for name in undocumented(source.name, source.tree)] == []


def test_a_missing_docstring_is_found() -> None:
    tree = ast.parse('"""M."""\nclass A:\n    """A."""\n    def f(self): ...\n    def _g(self): ...\ndef h(): ...\n')

    assert list(undocumented("m.py", tree)) == ["m.py:A.f", "m.py:h"]
