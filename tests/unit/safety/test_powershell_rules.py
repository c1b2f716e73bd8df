"""Every PowerShell rule's own examples, the reader, and what no text may do to it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bcce.kit.findings import Verdict
from bcce.safety.powershell.grammar import Parser
from bcce.safety.powershell.nodes import Command, Node, Text
from bcce.safety.powershell.values import Values
from bcce.safety.powershell.view import make_view
from bcce.safety.rules.powershell import all_rules
from bcce.safety.validators.powershell import BUILT_IN, PowerShellValidator

VALIDATOR = PowerShellValidator()


def ids_of(script: str) -> set[str]:
    return {finding.rule_id for finding in VALIDATOR.judge(script).findings}


@pytest.mark.parametrize(("rule", "script"), [(item.rule.id, example) for item in all_rules() for example in item.rule.examples_match])
def test_a_rule_finds_its_matches(rule: str, script: str) -> None:
    assert rule in ids_of(script)


@pytest.mark.parametrize(("rule", "script"), [(item.rule.id, example) for item in all_rules() for example in item.rule.examples_pass])
def test_a_rule_leaves_its_near_misses_alone(rule: str, script: str) -> None:
    assert rule not in ids_of(script)


def test_rule_ids_are_unique_and_every_rule_says_why_and_what_instead() -> None:
    rules = [*(item.rule for item in all_rules()), *BUILT_IN]

    assert len({rule.id for rule in rules}) == len(rules)
    assert all(rule.id.startswith("powershell.") and rule.why and rule.instead for rule in rules)
    assert all(item.rule.tags and item.rule.examples_match and item.rule.examples_pass for item in all_rules())


def commands(text: str) -> list[str]:
    """The names of all commands, in the order in which they stand."""
    found: list[tuple[int, str]] = []
    parser = Parser(text)
    stack: list[Node] = list(parser.script())
    while stack:
        node = stack.pop()
        if isinstance(node, Command):
            found.append((node.start, (node.name.literal or "?") if isinstance(node.name, Text) else "&"))
        stack.extend(node.children())
    assert parser.problems == []
    return [name for _, name in sorted(found)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Get-Process a,b | ? { $_.CPU -gt 1kb } | select Name, @{n='x'; e={ Get-Date }}", ["Get-Process", "?", "select", "Get-Date"]),
        ('Re`move-It"em" x', ["Remove-Item"]),
        ('"a $(whoami) b"', ["whoami"]),
        ("@'\n$(whoami)\n'@; @\"\n$(hostname)\n\"@", ["hostname"]),
        ("if (Test-Path x) { ls } elseif ($a) { pwd } else { cd }", ["Test-Path", "ls", "pwd", "cd"]),
        ("foreach ($x in Get-Service) { echo $x }", ["Get-Service", "echo"]),
        ("switch ($x) { 'a' { ls } default { pwd } }", ["ls", "pwd"]),
        ("try { ls } catch [System.Exception] { pwd } finally { cd }", ["ls", "pwd", "cd"]),
        ("do { ls } while ($x); do { pwd } until ($y)", ["ls", "pwd"]),
        ("function f([int]$a = (Get-Random), $b) { ls }\nf 1", ["Get-Random", "ls", "f"]),
        ("param([Parameter(Mandatory=$true)][ValidateScript({ Test-Path $_ })][string]$p)\nls", ["Test-Path", "ls"]),
        ("& 'C:\\a b.exe' -x; . { ls }; & $c", ["C:\\a b.exe", "ls"]),
        ("ls `\n -Recurse |\n sort # comment | rm\n<# rm #> pwd", ["ls", "sort", "pwd"]),
        ("ls && pwd || cd", ["ls", "pwd", "cd"]),
        ("(ls).Count; @(pwd)[0]; $x.ForEach({ cd })", ["ls", "pwd", "cd"]),
        ("$h = @{ a = (ls); 'b' = pwd }", ["ls", "pwd"]),
        ("icacls C:\\x --% /grant %USER%:F | rm\nls", ["icacls", "rm", "ls"]),
        ("7z x a.7z; 1..3 | % { $_ }; 5kb", ["7z", "%"]),
        ("[math]::Round($x / 1MB, 2); [int]'5' + -1; -not $a -and !$b", []),
        ("ls 2>&1 > out.txt; 'x' >> log.txt", ["ls"]),
        (":outer while ($true) { break outer }", []),
    ],
)
def test_the_reader_sees_every_command(text: str, names: list[str]) -> None:
    assert [name for name in commands(text) if name not in ("?", "&") or name in names] == names


@pytest.mark.parametrize("text", ["if (", "'abc", '"abc $(', "@{ a = ", "foo)", "}", "$(", "a | | b", "@'\nx", "[int", "ls |"])
def test_what_is_not_a_script_is_never_allowed(text: str) -> None:
    assert "powershell.not-understood" in ids_of(text)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'a' + \"b$('c')\"", "abc"),
        ("'{1}{0}' -f 'b','a'", "ab"),
        ("-join ('c','b','a')[2..0]", "abc"),
        ("[char]65 + [string][char]0x42", "AB"),
        ("'xyz'.Replace('y','-').ToUpper()", "X-Z"),
        ("[Text.Encoding]::Unicode.GetString([Convert]::FromBase64String('YQBiAA=='))", "ab"),
        ("('a b' -split ' ') -join ''", "ab"),
        ("'abc' -replace 'b','x'", "axc"),
        ("(97,98 | % { [char]$_ }) -join ''", "ab"),
        ("'abcdef'.Substring(1,2)", "bc"),
        ("$unknown + 'a'", None),
        ("'a' -replace '(a+)+$','x'", None),
        ("'a' * 9999999", None),
    ],
)
def test_constants_are_known(expression: str, value: str | None) -> None:
    assert Values({}).text(Parser(expression).script()[0]) == value


def test_a_variable_is_known_when_it_is_set_once() -> None:
    known = make_view("", Parser("$a = 'x'; $b = $a + 'y'; $c = 1; $c = 2").script()).values

    assert [known.text(Parser(name).script()[0]) for name in ("$b", "$c")] == ["xy", None]


def test_places_are_lines_and_columns() -> None:
    [finding] = [
        item for item in VALIDATOR.judge("ls\n  Restart-Service -Name Spooler\n").findings if item.rule_id == "powershell.unknown-command"
    ]

    assert (finding.line, finding.column, finding.end_line, finding.end_column) == (2, 3, 2, 32)
    assert finding.text == "Restart-Service -Name Spooler"


def test_what_stands_in_a_here_string_has_its_true_place() -> None:
    [finding] = VALIDATOR.judge('Get-Date\n@"\nabc $(Stop-Service x)\n"@\n').findings

    assert (finding.line, finding.column, finding.text) == (3, 7, "Stop-Service x")


def test_effects_come_from_the_script() -> None:
    effects = VALIDATOR.judge(
        "Stop-Service -Name W3SVC\nRemove-Item C:\\app\\x.log\nStop-Process -Id 42\nCopy-Item a C:\\b\nls > $null"
    ).effects

    assert (effects.services, effects.deletes, effects.processes, effects.writes, effects.reversible) == (
        frozenset({"W3SVC"}),
        frozenset({"C:\\app\\x.log"}),
        frozenset({"42"}),
        frozenset({"a", "C:\\b"}),
        False,
    )


def test_reading_has_no_lasting_effect() -> None:
    assert VALIDATOR.judge("Get-Process | Sort-Object CPU").effects.reversible is True


@pytest.mark.parametrize("text", ["ls\u202e", "ls \u2013Recurse", "Write-Host \u201cx\u201d", "ls\u00a0x"])
def test_characters_that_look_like_others_ask(text: str) -> None:
    assert "powershell.hidden-characters" in ids_of(text)


def test_a_template_is_blocked() -> None:
    assert VALIDATOR.judge("Get-Service {{ name }}").verdict is Verdict.BLOCK


def test_a_large_script_is_not_judged_but_asked_about() -> None:
    assert ids_of("ls\n" * 40_000) == {"powershell.too-large"}


@pytest.mark.parametrize(
    "unit",
    [
        *("$(", "@(", "(", "{", "@{a=", "[a", "'", '"', "a|", "a;", "$a=", "$a.b", "[a]::b(", "`", "#", "<#", "a,", "-a ", "if(1){"),
        *("$x+=1;", "{{a|", "%", "'a'+", "& ", "iex ", "while($true){", "function f{", ">a ", "@'\n", "cmd /c del ", "powershell -c "),
    ],
)
def test_a_hostile_text_ends_in_time(unit: str) -> None:
    assert VALIDATOR.judge((unit * 65536)[:65000]).verdict in Verdict


@settings(max_examples=150, deadline=2000)
@given(st.text(max_size=300))
def test_no_text_makes_it_raise(text: str) -> None:
    assert VALIDATOR.judge(text).verdict in Verdict


SEEDS = [example for item in all_rules() for example in (*item.rule.examples_match, *item.rule.examples_pass)]


@settings(max_examples=150, deadline=2000)
@given(st.sampled_from(SEEDS), st.integers(0, 60), st.text(alphabet="|&;<>(){}[]$`'\"\\@%,.: \n-aI#", max_size=6))
def test_no_mutation_of_a_script_makes_it_raise(script: str, at: int, junk: str) -> None:
    assert VALIDATOR.judge(script[:at] + junk + script[at:]).verdict in Verdict
