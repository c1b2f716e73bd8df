"""Scripts of plain words are read without a grammar; what that finds is what shfmt finds."""

import random
from pathlib import Path

import pytest

from bcce.safety.bash import opinion
from bcce.safety.bash.plain import plain_commands

CORPORA = Path(__file__).parent / "corpora"
_PIECES = (
    *("ls", "-l", "'a b'", '"x $y"', "$y", "|", "||", "&&", ";", "\n", " ", " ", " ", "# c", "2>&1", "> /dev/null", "<", "in", "[", "]"),
    *("=", "A=1", "A=", "$(", "$(", ")", "date", "!", "if", "~/x", "\\;", "{}", "a=b", "*", '"$(', ')"', "[ -f x ]", "2>&1x", ">", "=~"),
    *("\t", "@", "%", '"', "'", "\\.", "then", "&", "$@", "$$", ">>f", "<f", "\\\n", "#"),
)


def commands(text: str) -> list[str]:
    """The first words of the commands of a text that is plain to its end."""
    found, end = plain_commands(text)
    assert end == len(text)
    return sorted(text[at:].split()[0] for at in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\n\n", []),
        ("# only a comment", []),
        ("df -h", ["df"]),
        ("df -h | sort -k5 | tail -n 3", ["df", "sort", "tail"]),
        ("ls a && cat b || echo c; pwd", ["cat", "echo", "ls", "pwd"]),
        ("ls |\n\n  wc", ["ls", "wc"]),
        ("NS=prod\nkubectl get pods", ["kubectl"]),
        ("NS=prod; kubectl get pods", ["kubectl"]),
        ("NS=prod kubectl get pods", ["kubectl"]),
        ("x=", []),
        ('x="a b"', []),
        ("[ -f /etc/hosts ] && cat /etc/hosts", ["cat"]),
        ("echo 'it|is;quoted' \"so|is;this\"", ["echo"]),
        ('echo "$HOME ${x} $1" $? 2>&1 > /dev/null', ["echo"]),
        ("sort < /etc/hosts >> /tmp/x", ["sort"]),
        ('echo "up $(uptime -p | tr a b)" $(date)', ["date", "echo", "tr", "uptime"]),
        ("x=$(date +%s)", ["date"]),
        ("find . -exec ls {} \\;", ["find"]),
        ("ls # what\nwc", ["ls", "wc"]),
        ('echo "a\\nb"', ["echo"]),
        ("echo $(ls $(pwd))", ["echo", "ls", "pwd"]),
    ],
)
def test_plain_text_is_read_to_its_end(text: str, expected: list[str]) -> None:
    """The commands are found, and nothing is left for the second parser."""
    assert [word.rstrip("|;)") for word in commands(text)] == expected


@pytest.mark.parametrize(
    "text",
    [
        *("if true; then ls; fi", "for x in a; do ls; done", "f() { ls; }", "(ls)", "{ ls; }", "! ls", "[[ -f x ]]", "time ls", "eval ls"),
        *("cat <<X\na\nX", "cat <<< a", "ls &", "ls & pwd", ";", "| ls", "ls ;; pwd", "ls |", "ls &&\n", "ls\\\n -l"),
        *("'ls' -l", '"ls" -l', "$x -l", "\\ls", "l$x(", "a=(1 2)", "a[0]=1", "x=$((1 + 1))", "echo $'a'", 'echo "`date`"'),
        *(
            "BASH_ENV=x ls",
            "POSIXLY_CORRECT=1",
            "alias ls=rm",
            "shopt -s extglob",
            "set -o posix",
            "echo $(",
            "echo $()",
            "echo $(;)",
            "ls )",
        ),
        *("echo 'open", 'echo "open', 'echo "a$', "2>&1 ls", "> x", "ls # a\\\nwc", "ls <(pwd)", "echo ${x:-y}", "case a in esac"),
        *("echo $(echo $(echo $(echo $(echo $(echo a)))))", 'echo "$(a', "echo $(a=", 'echo "a!"', "ls[1", "]", "x=a`b`"),
    ],
)
def test_what_is_more_than_plain_is_left_to_the_second_parser(text: str) -> None:
    """Nothing of a line that is not plain is told."""
    assert plain_commands(text) == (frozenset(), 0)


def test_plain_lines_before_others_are_told() -> None:
    """The beginning is told up to the end of its last line."""
    assert plain_commands("df -h\nif true; then ls; fi") == ({0}, 6)
    assert plain_commands("df -h; if true; then ls; fi") == (frozenset(), 0)
    assert plain_commands("df -h |\nif true; then ls; fi") == (frozenset(), 0)


def test_the_rest_of_a_plain_beginning_has_its_own_offsets() -> None:
    """What the second parser finds in the rest is placed in the whole."""
    assert opinion.disagreement("df -h\nif true; then ls; fi\n") is None
    assert opinion.disagreement("df -h\nuptime\n") is None
    found = opinion.disagreement("df -h\nif true; then ls; fi; fi\n")
    assert found is not None
    assert "does not understand" in found


@pytest.mark.parametrize("name", ["harmless", "twins", "admin", "traps"])
def test_plain_beginnings_are_what_the_second_parser_finds(name: str) -> None:
    """On the tables: a tenth of them, and the same tenth each time."""
    lines = [line.replace("⏎", "\n") for line in (CORPORA / f"bash-{name}.txt").read_text("utf-8").splitlines() if line.isascii()]
    seen = 0
    for text in lines[::10]:
        found, end = plain_commands(text)
        if end:
            seen += 1
            assert opinion.by_process(text[:end]) == found, text
    assert seen > 20


def test_pieces_in_any_order_are_what_the_second_parser_finds() -> None:
    """Random texts: what is called plain is understood by the second parser in the same way."""
    chance = random.Random(3)  # noqa: S311 - no secret
    seen = 0
    while seen < 200:
        text = "".join(chance.choice(_PIECES) for _ in range(chance.randint(3, 12)))
        found, end = plain_commands(text)
        if len(found) > 1:
            seen += 1
            assert opinion.by_process(text[:end]) == found, text
