"""The reference pages are what the code says, and nothing that a user can meet is missing from them."""

from collections import Counter
from pathlib import Path

import pytest
from tests.architecture.source import ROOT
from tools.docs.__main__ import FOLDER, differences, main
from tools.docs.markdown import code, page, table
from tools.docs.pages import PAGES, built_ins, commands, error_classes

from bcce.cli.main import COMMANDS, cli
from bcce.config.template import keys
from bcce.kit.events import EVENT_TYPES
from bcce.runtime.settings import Settings
from bcce.safety.rules.bash import all_rules
from bcce.security.authz import Permission


def text(page_name: str) -> str:
    return (FOLDER / page_name).read_text(encoding="utf-8")


def test_the_pages_are_what_the_code_says() -> None:
    assert differences(FOLDER) == [], "run `make docs`"


@pytest.mark.parametrize(
    ("page_name", "names"),
    [
        ("errors.md", [kind.code for kind in error_classes()]),
        ("events.md", list(EVENT_TYPES)),
        ("permissions.md", [item.value for item in Permission]),
        ("configuration.md", [key.spelling for key in keys(Settings)]),
        ("commands.md", [" ".join(path) for path, _ in commands(cli)]),
        ("plugins.md", list(built_ins())),
        ("rules.md", [item.rule.id for item in all_rules()]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_everything_is_documented(page_name: str, names: list[str]) -> None:
    shown = text(page_name)

    assert names
    assert [name for name in names if f"`{name}`" not in shown] == []


def test_every_command_of_the_help_exists() -> None:
    assert {path[1] for path, _ in commands(cli)} == set(COMMANDS)


def test_every_command_and_option_says_what_it_does() -> None:
    silent = [
        " ".join((*path, parameter.name or ""))
        for path, command in commands(cli)
        for parameter in command.params
        if parameter.param_type_name == "option" and not getattr(parameter, "help", None)
    ]
    assert [" ".join(path) for path, command in commands(cli) if not command.help] == []
    assert silent == []


def test_no_two_errors_have_one_code() -> None:
    """A client that acts on a code must know which error it was."""
    counts = Counter(kind.code for kind in error_classes())

    assert {name: count for name, count in counts.items() if count > 1} == {}


def test_every_error_explains_itself_in_one_sentence() -> None:
    silent = [kind.__name__ for kind in error_classes() if not (kind.__doc__ or "").strip().split("\n")[0].endswith(".")]

    assert silent == []


def test_every_built_in_can_be_loaded() -> None:
    """An entry point that names nothing breaks at the first alert, not at the installation."""
    assert [point.name for points in built_ins().values() for point in points if not callable(point.load())] == []


def test_the_program_writes_missing_pages_and_removes_strays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stray.md").write_text("nobody wrote this\n", encoding="utf-8")
    (tmp_path / "events.md").write_text("old\n", encoding="utf-8")

    assert main(["--check", str(tmp_path)]) == 1
    assert "events.md" in capsys.readouterr().out
    assert main([str(tmp_path)]) == 0
    assert {file.name for file in tmp_path.iterdir()} == {"README.md", *PAGES}
    assert main(["--check", str(tmp_path)]) == 0


def test_a_cell_cannot_break_its_table() -> None:
    assert table(("a", "b"), [("x|y", "two\nlines")]).splitlines()[2] == "| x\\|y | two lines |"


@pytest.mark.parametrize(("given", "expected"), [("", ""), ("a", "`a`"), ("a`b", "``a`b``")])
def test_inline_code(given: str, expected: str) -> None:
    assert expected == code(given)


def test_a_page_leaves_out_empty_blocks() -> None:
    assert page("T", "", "x").endswith("# T\n\nx\n")


def test_links_in_the_documentation_lead_somewhere() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    broken = [f"{file.relative_to(ROOT)}: {target}" for file in pages for target in _links(file) if not (file.parent / target).exists()]

    assert broken == []


def _links(file: Path) -> list[str]:
    pieces = file.read_text(encoding="utf-8").split("](")[1:]
    targets = [piece.split(")")[0].split("#")[0] for piece in pieces]
    return [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]
