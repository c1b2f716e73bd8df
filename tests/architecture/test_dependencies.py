"""What BCCE depends on is chosen: each library has its reason, its licence, and is really used."""

import ast
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata, packages_distributions, requires

import pytest
from tests.architecture.source import ROOT, sources

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAGE = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
#: Imported by us, but released together with the library that brings it.
PART_OF = {"starlette": "fastapi", "pydantic-core": "pydantic"}
#: Depended on, but imported by another library that is told its name.
BY_NAME = {
    "asyncmy": "SQLAlchemy loads it for mysql+asyncmy://",
    "asyncpg": "SQLAlchemy loads it for postgresql+asyncpg://",
    "httptools": "Uvicorn loads it when it is there",
    "tzdata": "zoneinfo reads it where the system has no time zones",
    "shfmt-py": "brings the program shfmt, which is started as a process",
    "uvloop": "Uvicorn loads it when it is there",
}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def named(requirements: list[str]) -> set[str]:
    return {normal(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}  # type: ignore[index]  # a requirement begins with a name


RUNTIME = named(PROJECT["dependencies"])
DEVELOPMENT = named(PROJECT["optional-dependencies"]["dev"])
PEERS = named(PROJECT["optional-dependencies"]["peers"])


def installed_closure() -> set[str]:
    """Every distribution that is installed because of a run-time dependency."""
    found: set[str] = set()
    left = set(RUNTIME)
    while left:
        name = left.pop()
        try:
            needed = requires(name) or []
        except PackageNotFoundError:
            continue  # for another platform or Python
        found.add(name)
        left |= named([item for item in needed if "extra ==" not in item]) - found
    return found


def imported() -> dict[str, str]:
    """Third-party distribution -> a module of ours that imports it."""
    owners = packages_distributions()
    found: dict[str, str] = {}
    for source in sources():
        for node in ast.walk(source.tree):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                modules = [node.module]
            for top in {module.split(".")[0] for module in modules} - sys.stdlib_module_names - {"bcce"}:
                found.setdefault(normal(owners.get(top, [top])[0]), source.name)
    return found


@pytest.mark.parametrize("name", sorted(RUNTIME | DEVELOPMENT | PEERS))
def test_each_dependency_has_its_reason_and_licence(name: str) -> None:
    row = next((line for line in PAGE.splitlines() if line.startswith(f"| {name} |")), None)

    assert row is not None, f"docs/dependencies.md has no line for {name}"
    assert [cell for cell in row.strip("| ").split(" | ") if len(cell.strip()) < 3] == []


def test_no_line_is_left_over() -> None:
    rows = set(re.findall(r"^\| ([a-z0-9-]+) \|", PAGE, re.MULTILINE)) - {"name", "---"}

    assert rows - RUNTIME - DEVELOPMENT - PEERS == set()


def test_what_is_imported_is_a_direct_dependency() -> None:
    """What another library happens to bring can go with its next release."""
    missing = {name: module for name, module in imported().items() if PART_OF.get(name, name) not in RUNTIME | PEERS}

    assert missing == {}


def test_what_is_depended_on_is_imported() -> None:
    assert RUNTIME - set(imported()) - set(BY_NAME) == set()


def test_nothing_at_run_time_has_a_licence_that_spreads() -> None:
    """No GPL and no AGPL; the LGPL and MPL stay with their own files."""
    closure = installed_closure()
    spreading = {}
    for name in closure:
        facts = metadata(name)
        classifiers = [item for item in facts.get_all("Classifier") or [] if item.startswith("License")]
        licence = " ".join([facts.get("License-Expression") or "", *classifiers])
        if re.search(r"\bA?GPL|(?<!Lesser )General Public License", licence) and not re.search(r"\bOR\b", licence):
            spreading[name] = licence

    assert len(closure) > len(RUNTIME)
    assert spreading == {}
