"""Values that are not followed to their end: the name of a secret place, or text from outside, is not lost on the way."""

import pytest

from bcce.kit.findings import Verdict
from bcce.safety.validators.bash import BashValidator

BASH = BashValidator()
MANY = " ".join(f"/srv/a{number}" for number in range(30))
CALLS = "".join(f"f /srv/a{number}\n" for number in range(30))
FOUND = "v12=$(find / -type f)\n" + "".join(f'v{number}=$(echo "$v{number + 1}")\n' for number in range(11, -1, -1))
FUNCTIONS = "".join(f'f{number}() {{ f{number + 1} "$1"; }}\n' for number in reversed(range(40)))
CHAIN = "".join(f'v{number}="$v{number + 1}"\n' for number in range(1000))
LISTS = "".join(f"A{n + 1}=(" + f'"${{A{n}[@]}}" ' * 3 + ")\n" for n in range(10)) + 'cat "${A10[@]}"'
FILLED = " ".join("a" for _ in range(1500))

#: what it is about, script
SHOWS_SECRETS = [
    ("the last of many words", f'for f in {MANY} /etc/shadow; do cat "$f"; done'),
    ("one of many ways in a line", f'for f in {MANY}; do for g in x /etc/shadow; do cat "$f" "$g"; done; done'),
    ("one of many ways in a word", "for a in 1 2 3 4 5; do for b in 1 2 3 4 5; do for c in 1 /etc/shadow; do cat $a$b$c; done; done; done"),
    ("the last of many calls", f'f() {{ cat "$1"; }}\n{CALLS}f /etc/shadow'),
    ("the last of many calls, as a list", f'f() {{ cat "$@"; }}\n{CALLS}f /etc/shadow'),
    ("text from outside as the last of many", f'f() {{ cat "$1"; }}\n{CALLS}f "$X"'),
    ("text from outside in a value that is given last", "".join(f"x=a{number}\n" for number in range(30)) + 'x="$X"\ncat $x'),
    ("text from outside as one of many ways in a word", f'for a in {MANY}; do x="$a"; done; x=$X; for b in 1 2; do cat "$x$b"; done'),
    ("an argument that is moved", 'f() { shift; cat "$1"; }\nf a /etc/shadow'),
    ("arguments that are moved", 'f() { shift; cat "$@"; }\nf a /etc/shadow'),
    ("arguments of the script", 'set -- /etc/shadow\ncat "$1"'),
    ("all arguments of the script", 'set -- /etc/shadow\ncat "$@"'),
    ("arguments that are a list", 'f() { cat "$1"; }\nA=(/etc/shadow)\nf "${A[@]}"'),
    ("an element of a list", 'A=(/etc/shadow)\ncat "${A[0]}"'),
    ("a part of a list", 'A=(/etc/shadow)\ncat "${A[@]:0:1}"'),
    ("a list within a word", 'A=(/etc/shadow)\ncat "${A[@]}$x"'),
    ("a list that is read", 'mapfile -t A <<< /etc/shadow\ncat "${A[@]}"'),
    ("a list with text from outside that is made of itself", 'A=("${B[@]}")\nB=("${A[@]}" "$X")\ncat "${A[@]}"'),
    ("a list of lists that is too long", "A0=(a /etc/shadow)\n" + LISTS),
    ("a list of many ways", f'for a in {MANY}; do A=("$a" /etc/shadow); done\ncat "${{A[@]}}"'),
    ("a list that text from outside is", 'printf -v X a\ncat "${X[@]}"'),
    ("a value that grows in a loop", "for i in 1 2; do x+=/etc/shadow; done\ncat $x"),
    ("a value of which something is cut off", "x=Q/etc/shadow\ncat ${x:1}"),
    ("a value that is put in for another", "x=Q\ncat ${x/Q//etc/shadow}"),
    ("a value in other letters", "x=/ETC/SHADOW\ncat ${x,,}"),
    ("a value for the case that there is one", "cat ${x:+/etc/shadow}"),
    ("a value by the name of its variable", "y=/etc/shadow\nx=y\ncat ${!x}"),
    ("a value that other separators split", 'IFS=:\na="/etc/shadow:/tmp"\ncat $a'),
    ("a value of blanks that other separators split", 'IFS=:\na="/etc/shadow /tmp"\ncat $a'),
    ("a word that is read", 'read x <<< /etc/shadow\ncat "$x"'),
    ("one of the words that are read", 'echo "/etc/shadow b" | { read a b; cat "$a"; }'),
    ("a word from a heredoc", 'read x <<E\n/etc/shadow\nE\ncat "$x"'),
    ("text from outside that is read", 'read -r x <<< "$X"\ncat "$x"'),
    ("text from outside through a filter", 'cat "$(echo "$X" | cut -c1-)"'),
    ("text from outside through a filter and a loop", 'echo "$X" | cut -c1- | sort | while read y; do cat "$y"; done'),
    ("text from outside as the input of a filter", 'cat "$(cut -c1- <<< "$X")"'),
    ("a column of what is printed", 'cat $(echo "/etc/shadow b" | cut -d" " -f1)'),
    ("variables that are made of each other", "b=$(find / -type f)\necho $b\na=$b\nb=$a\ncat $a"),
    ("output of output, read from its end", f"f() {{ cat $v0; }}\n{FOUND}f"),
    ("more variables than are followed", f"{CHAIN}v1000=/etc/shadow\ncat $v0"),
    ("functions in functions, read from their end", f'f40() {{ cat "$1"; }}\n{FUNCTIONS}f0 /etc/shadow'),
    ("words for xargs", 'echo "/etc/shadow b" | xargs cat'),
    ("lines for xargs", "printf '%s\\n' a /etc/shadow | xargs cat"),
    ("lines for xargs with a mark", "printf '%s\\n' a /etc/shadow | xargs -I{} cat {}"),
    ("words for xargs with other separators", "echo /etc/shadow,b | xargs -d, cat"),
    ("words for xargs within xargs", 'echo "/etc/shadow" | ' + "xargs -I{} " * 9 + "cat {}"),
    ("quoted words for xargs", "echo '/etc/sh\"ad\"ow' | xargs cat"),
    ("words for xargs with an open quote", "echo '/etc/shadow \"b' | xargs cat"),
    ("a variable of a script inside", "export x=/etc/shadow\nbash -c 'cat $x'"),
    ("a variable for a script inside", "x=/etc/shadow bash -c 'cat $x'"),
    ("a variable from env for a script inside", "env x=/etc/shadow bash -c 'cat $x'"),
    ("an argument of a script inside", "bash -c 'cat $1' _ /etc/shadow"),
    ("the arguments of a script inside", "bash -c 'cat \"$@\"' _ /etc/shadow"),
    ("text from outside for a script inside", 'bash -c \'cat "$1"\' _ "$X"'),
    ("a variable of text that is run", "x=/etc/shadow\neval 'cat $x'"),
    ("a variable of a trap", "x=/etc/shadow\ntrap 'cat $x' EXIT"),
]
HONEST = [
    ("many words", f'for f in {MANY}; do cat "$f"; done'),
    ("a list that grows", 'A=()\nA=("${A[@]}" x)\nls "${A[@]}"'),
    ("a list that grows in one place", 'A=("${A[@]}" x)\nls "${A[@]}"'),
    ("a text that grows", 'a=""\nfor i in a b; do a="$a $i"; done\nls $a'),
    ("two values that change places", "a=1\nb=2\nt=$a\na=$b\nb=$t\nls /tmp"),
    ("the rights of a secret place", 'p=$(stat -c %a /etc/shadow)\nif [ "$p" -gt 640 ]; then echo "$p"; fi'),
    ("a list in a word", 'A=(log spool)\nls "/var/${A[@]}"'),
    ("a script inside with its own variables", "x=/tmp\nbash -c 'for i in a b; do ls $i; done'"),
    ("an argument of a script inside that is harmless", "bash -c 'ls \"$1\"' _ /tmp"),
    ("words for xargs that are harmless", "printf '%s\\n' /tmp /var | xargs ls"),
    ("nothing for xargs", "echo | xargs ls"),
]
#: Each would take for ever if it were followed to its end.
GROWS = [
    ("a function that calls itself often", "f() { " + 'f "$1"; ' * 5 + "}\nf a"),
    ("lines for xargs within xargs", "printf '%s\\n' " + "a " * 20 + "| " + "xargs -I{} " * 9 + "ls {}"),
    ("functions that call each other", "".join(f"f{a}() {{ " + "".join(f'f{b} "$2" "$1"; ' for b in range(6)) + "}\n" for a in range(6))),
    ("lists of each other", "".join(f"A{a}=(" + " ".join(f'"${{A{b}[@]}}"' for b in range(9)) + ")\n" for a in range(9)) + 'ls "${A0[@]}"'),
]
SHRINKS = [
    ("lists of lists", "A0=(a b)\n" + LISTS.replace("cat", "ls")),
    ("a text twice itself", "v0=xxxx\n" + "".join(f'v{n + 1}="$v{n}$v{n}"\n' for n in range(40)) + 'ls "$v40"'),
    ("a list that is too long", "A=(" + "a " * 2500 + ')\nls "${A[@]}"'),
    ("a long list in a long line", f"A=({FILLED})\nls {FILLED} " + '"${A[@]}"'),
]


@pytest.mark.parametrize("script", [pytest.param(item[1], id=item[0]) for item in SHOWS_SECRETS])
def test_a_secret_is_not_shown_on_the_way_round(script: str) -> None:
    """A person is asked, however the path comes to the command that shows it."""
    judgement = BASH.judge(script, parameters=("X",))

    assert judgement.verdict is Verdict.APPROVE
    assert "bash.reads-secret" in {item.rule_id for item in judgement.findings}


@pytest.mark.parametrize("script", [pytest.param(item[1], id=item[0]) for item in HONEST + SHRINKS])
def test_what_holds_no_secret_is_allowed(script: str) -> None:
    judgement = BASH.judge(script)

    assert judgement.verdict is Verdict.ALLOW, [(item.rule_id, item.message) for item in judgement.findings]


@pytest.mark.parametrize("script", [pytest.param(item[1], id=item[0]) for item in GROWS])
def test_what_is_made_of_itself_is_not_followed_for_ever(script: str) -> None:
    assert BASH.judge(script).verdict is Verdict.APPROVE


def test_the_first_of_many_is_still_seen() -> None:
    """Too many ways make the verdict no milder."""
    assert BASH.judge(f'for d in / {MANY}; do rm -rf "$d"; done').verdict is Verdict.BLOCK
