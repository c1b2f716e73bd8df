"""The options with which a tool reads are written down; any other asks, wherever it stands."""

import re
from collections import Counter
from pathlib import Path

import pytest

from bcce.kit.findings import Verdict
from bcce.safety.bash.readers.options import given, options
from bcce.safety.bash.readers.tools import tools
from bcce.safety.bash.readers.verbs import verbs
from bcce.safety.bash.table import table_lines
from bcce.safety.validators.bash import BashValidator

BASH = BashValidator()
CORPORA = Path(__file__).parent / "corpora"
KNOWN = "-ab -n= -x=? -f=< --all --lines= --color=? --arg== !--list"


def _takes(text: str) -> dict[str, int | None]:
    return options(text).takes


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("-ab", {"-a": 0, "-b": 0}),
        ("-ab=", {"-a": 1, "-b": 1}),
        ("-a=?", {"-a": None}),
        ("--arg==", {"--arg": 2}),
        ("--file=<", {"--file": 1}),
        ("--arg==<", {"--arg": 2}),
        ("+short", {"+short": 0}),
        ("-#", {f"-{digit}": 0 for digit in range(10)}),
    ],
)
def test_a_column_of_a_table_says_how_many_values_an_option_takes(text: str, names: dict[str, int | None]) -> None:
    assert _takes(text) == {"--help": 0, "--version": 0, **names}


def test_a_word_of_a_table_that_is_no_option_is_an_error() -> None:
    with pytest.raises(ValueError, match="word"):
        options("-a word")


@pytest.mark.parametrize(
    ("args", "operands", "said"),
    [
        ("-ab x", ["x"], [("-a", ""), ("-b", "")]),
        ("-n5 x", ["x"], [("-n", "5")]),
        ("-an 5 x", ["x"], [("-a", ""), ("-n", "5")]),
        ("-a -n -5 x", ["x"], [("-a", ""), ("-n", "-5")]),
        ("x --lines 5", ["x"], [("--lines", "5")]),
        ("--lines=5 x", ["x"], [("--lines", "5")]),
        ("--color x", ["x"], [("--color", "")]),
        ("-axb x", ["x"], [("-a", ""), ("-x", "b")]),
        ("--arg a b x", ["x"], [("--arg", "a"), ("--arg", "b")]),
        ("--all=false - x", ["-", "x"], [("--all", "false")]),
        ("-a -- -z --zoo", ["-z", "--zoo"], [("-a", "")]),
    ],
)
def test_options_are_told_from_values_and_operands(args: str, operands: list[str], said: list[tuple[str, str]]) -> None:
    found = given(args.split(), options(KNOWN))

    assert (found.operands, found.options, found.unknown) == (operands, said, None)


@pytest.mark.parametrize(
    ("args", "unknown"),
    [
        ("-az x", "-az"),
        ("x -z", "-z"),
        ("--zoo", "--zoo"),
        ("--al", "--al"),
        ("--all=5", "--all=5"),
        ("--list=false", "--list=false"),
        ("-n", "-n"),
        ("-n --zoo", "-n"),
        ("-n -o", "-n"),
        ("--arg a", "--arg"),
        ("--lines", "--lines"),
    ],
)
def test_what_is_not_written_down_is_not_known(args: str, unknown: str) -> None:
    assert given(args.split(), options(KNOWN)).unknown == unknown


def test_where_a_tool_may_not_know_two_dashes_options_go_on_behind_them() -> None:
    assert given(["--", "-z"], options(KNOWN), ends=False).unknown == "-z"


def test_one_dash_is_as_good_as_two_where_the_table_says_so() -> None:
    known = options("-- --short -a -n=")

    assert given(["-short", "--short", "-a", "-n5", "-n", "5"], known).unknown is None
    assert [given([word], known).unknown for word in ("-an", "-shor", "-n5x", "-na")] == ["-an", "-shor", "-n5x", "-na"]


def test_a_switch_with_a_plus_is_turned_off_by_no() -> None:
    known = options("+short +time=")

    assert given(["+short", "+noshort", "+time=1"], known).unknown is None
    assert [given([word], known).unknown for word in ("+sh", "+nosh", "+short=1")] == ["+sh", "+nosh", "+short=1"]


@pytest.mark.parametrize(("table", "columns"), [("tools.txt", (2,)), ("verbs.txt", (1,)), ("verbs.txt", (3,))])
def test_no_option_is_written_twice(table: str, columns: tuple[int, ...]) -> None:
    twice: list[str] = []
    for line in table_lines(table):
        parts = [*line.split("|"), "", "", ""]
        words = [list(_takes(word)) for column in columns for word in parts[column].split() if word != "--"]
        count = Counter(name for names in words for name in names[2:])
        twice += [f"{parts[0]}{name}" for name, number in count.items() if number > 1]

    assert twice == []


def test_no_tool_is_written_twice() -> None:
    names = Counter(name for line in table_lines("tools.txt") for name in line.split("|")[0].split())

    assert [name for name, number in names.items() if number > 1] == []


@pytest.mark.parametrize("name", sorted(name for name, tool in tools().items() if tool.kind != "say"))
def test_a_tool_with_an_option_that_nobody_knows_asks(name: str) -> None:
    scripts = [f"{name} {option}" for option in ("--zz-unknown", "--zz-unknown=/tmp/x", "-Ö", "x --zz-unknown", "x y -Ö /tmp/x")]

    assert [script for script in scripts if BASH.judge(script).verdict is Verdict.ALLOW] == []


#: Words behind which no word is an option, or one of the API of a cloud.
_OPEN = {"echo", "printf", ":", "true", "false", "[", "test", "export", "set", "declare", "unset", "trap", "awk", "gawk", "aws", "az"}
_OPEN |= {"sudo", "timeout", "nice", "env", "bash", "sh", "command"}


def test_a_harmless_command_asks_with_an_option_that_nobody_knows() -> None:
    lines = (CORPORA / "bash-harmless.txt").read_text("utf-8").splitlines()
    plain = [line for line in lines if re.fullmatch(r"[^|;&<>`$(){}#⏎=]+", line) and line.split()[0] not in _OPEN]

    assert len(plain) > 1000
    assert [line for line in plain if BASH.judge(f"{line} --zz-unknown").verdict is Verdict.ALLOW] == []


@pytest.mark.parametrize("name", sorted(verbs()))
def test_a_word_that_reads_asks_with_an_option_that_nobody_knows(name: str) -> None:
    scripts = []
    for entry in verbs()[name]:
        for reading in entry.reading:
            words = " ".join(word.rstrip("!").replace("*", "x") for word in reading)
            scripts += [f"{name} {words} --zz-unknown", f"{name} --zz-unknown {words}", f"{name} {words} x -Ö"]

    assert [script for script in scripts if BASH.judge(script).verdict is Verdict.ALLOW] == []
