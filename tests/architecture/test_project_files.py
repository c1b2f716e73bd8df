"""Nothing in the project ties it to one machine, one package host or one person's habits."""

import os
import re
import tomllib

import pytest
from ruamel.yaml import YAML
from tests.architecture.source import ROOT, project_files

#: Put together here, so that this file does not name what it looks for.
HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("docker", "io"),
    )
)
OPTIONS = ("index" + "-url", "extra-index" + "-url", "find" + "-links", "trusted" + "-host")
PLACES = re.compile(r"(^|[^A-Za-z0-9_.])/(" + "|".join(("work", "root", "home/[a-z]+")) + ")/", re.MULTILINE)
CONFLICT = re.compile(r"^(<{7} |={7}$|>{7} )", re.MULTILINE)
#: Scripts and what is said about them rightly name places on a target, /root among them.
ABOUT_TARGETS = ("src/bcce/safety/", "tests/unit/safety/")


def read_texts() -> dict[str, str]:
    contents = {file.relative_to(ROOT).as_posix(): file.read_bytes() for file in project_files()}
    return {name: content.decode("utf-8", "replace") for name, content in contents.items() if b"\0" not in content[:4096]}


TEXTS = read_texts()


def where(pattern: str | re.Pattern[str], texts: dict[str, str]) -> list[str]:
    return [name for name, text in texts.items() if re.search(pattern, text)]


@pytest.mark.parametrize("name", [*HOSTS, *OPTIONS])
def test_no_file_names_a_package_host(name: str) -> None:
    """Where packages come from is the business of whoever installs."""
    assert where(re.escape(name), TEXTS) == []


def test_no_file_names_a_place_on_one_machine() -> None:
    assert where(PLACES, {name: text for name, text in TEXTS.items() if not name.startswith(ABOUT_TARGETS)}) == []


def test_the_searches_find_what_they_are_for() -> None:
    assert PLACES.search('path = "/' + 'work/main"')
    assert not PLACES.search("src/bcce/framework/x")
    assert CONFLICT.search("a\n" + "<" * 7 + " HEAD\n")


def test_every_text_ends_in_one_newline_and_has_no_trailing_spaces() -> None:
    ours = {name: text for name, text in TEXTS.items() if text and name != "LICENSE"}

    assert [name for name, text in ours.items() if not text.endswith("\n") or text.endswith("\n\n")] == []
    assert where(re.compile(r"[ \t]+$", re.MULTILINE), ours) == []
    assert where("\r", ours) == []
    assert where(CONFLICT, ours) == []


def test_no_large_file_slipped_in() -> None:
    assert [file.name for file in project_files() if file.stat().st_size > 512 * 1024] == []


def test_the_version_is_said_once_in_three_places() -> None:
    version = tomllib.loads(TEXTS["pyproject.toml"])["project"]["version"]

    assert f"## [{version}]" in TEXTS["CHANGELOG.md"]


def test_the_changelog_has_its_sections_in_order() -> None:
    order = ["Security", "Removed", "Deprecated", "Added", "Changed", "Fixed"]
    for release in TEXTS["CHANGELOG.md"].split("\n## ")[1:]:
        sections = re.findall(r"^### (\w+)$", release, re.MULTILINE)
        assert sections == [name for name in order if name in sections]


def test_every_lock_line_has_its_hashes() -> None:
    for name in ("requirements/base.txt", "requirements/dev.txt"):
        packages = re.split(r"^(?=[a-z0-9])", TEXTS[name], flags=re.MULTILINE)[1:]
        assert packages
        assert [package.splitlines()[0] for package in packages if "--hash=sha256:" not in package] == []


def test_the_development_lock_has_the_same_versions_as_the_base_lock() -> None:
    """`make demo` after `make test`, or the other way round, must not change what is installed."""
    pin = re.compile(r"^([a-z0-9._-]+(?:\[[a-z,]+\])?)==(\S+)", re.MULTILINE)
    pins = [dict(pin.findall(TEXTS[f"requirements/{name}.txt"])) for name in ("base", "dev")]

    assert {name: version for name, version in pins[0].items() if pins[1].get(name) != version} == {}


def test_every_hook_runs_what_is_already_here() -> None:
    """Hooks from other repositories would download and run code with each commit."""
    hooks = YAML(typ="safe").load(TEXTS[".pre-commit-config.yaml"])["repos"]

    assert {repo["repo"] for repo in hooks} == {"local"}
    assert {hook["language"] for repo in hooks for hook in repo["hooks"]} == {"system"}


def test_the_makefile_has_the_documented_targets() -> None:
    targets = set(re.findall(r"^([a-z]+):.* ## \S", TEXTS["Makefile"], re.MULTILINE))

    assert targets >= {"help", "setup", "demo", "test", "soak", "fmt", "lint", "types", "bench", "docs", "lock"}


def test_the_check_can_be_run_directly() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
