"""awk's own language: what compares, what is a pattern, and what runs or writes."""

import pytest

from bcce.kit.findings import Verdict
from bcce.safety.validators.bash import BashValidator

VALIDATOR = BashValidator()

PRINTS = [
    "NR==1 || $5+0 > 70",
    "/VmRSS|VmSwap|Threads/ {print FILENAME, $0}",
    '/a|b/ {print $1" "$2}',
    '$1 >= s && ($3 == "install" || $3 == "upgrade")',
    '/exec|sys/ {print FILENAME":"FNR": "$0}',
    '{print > "/dev/stderr"}',
    '$4 ~ /Crash|Image/ {print $1" "$2}',
    "{s+=$1/2} END{print s/NR}",
    "BEGIN{x=1 # a | b\n}",
    '{printf "%s|%s\\n", $1, $2}',
    '/"/{print $1}',
    "{a[$1]++} END{for(k in a) if (a[k]>3) print k, a[k]}",
    "{print ($1>2)}",
    '{ gsub(/[|"]/,""); print }',
    "{print length($0)/2}",
]
DOES_MORE = [
    '{print | "sh"}',
    '{print > "x"}',
    '{print $1,\n$2 > "x"}',
    'BEGIN{print i++ / 2 | "sh /tmp/x"}',
    'BEGIN{print 1 \\\n/ 2 | "sh /x"}',
    '{"date" | getline d}',
    '{print /x/ | "sh"}',
    '{print $1 >> "f"}',
    '{printf("x") > "f"}',
    '{print(1)>"f"}',
    '{exit /x/ | "y"}',
    '{ print "a" |& "cmd" }',
    'BEGIN{while(("ls /" | getline l) > 0) print l}',
    '{print ENVIRON["X"]}',
    "{print > $1}",
    '{print a /2 | "b" /3}',
    '/x/ {print} # "\n{print | "sh"}',
    '{x = 1; print x \n | "sh"}',
    'BEGIN { f = "/x"; print "#" > f }',
    '/[/]"/ {print | "sh #"}',
    '/[]"/]/ {print | "sh"}',
    '/\\// {print | "sh"}',
    '{print > "/dev/stdout" ".x"}',
    '{print "unclosed | sh',
    '{x = /unclosed | "sh"',
    'BEGIN { "x" | getline y < "z" }',
    '{ print (1) "a" /2 > "x" }',
]


@pytest.mark.parametrize("program", PRINTS)
def test_a_program_that_only_prints(program: str) -> None:
    judgement = VALIDATOR.judge(f"awk '{program}' /proc/meminfo")

    assert judgement.verdict is Verdict.ALLOW, judgement.findings


@pytest.mark.parametrize("program", DOES_MORE)
def test_a_program_that_does_more(program: str) -> None:
    assert VALIDATOR.judge(f"awk '{program}' /proc/meminfo").verdict is not Verdict.ALLOW
