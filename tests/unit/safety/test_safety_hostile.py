"""Texts that once took minutes, or are made to: each is judged at once. A regression shows as a test run that does not end."""

import pytest

from bcce.kit.findings import Verdict
from bcce.safety.validators.bash import BashValidator
from bcce.safety.validators.powershell import PowerShellValidator

N = 60_000
IN_BASH = {
    "((a": "((" + "a" * N + "))",
    "eval": "eval " + "a" * N,
    "x=[[[": "x='" + "[" * N + "'",
    "[[ '[": "[[ '" + "[" * N + "' ]]",
    "quotes": "'[" * (N // 2),
    "${": '"${' * (N // 3),
    "let": "let " + "a" * N,
    "spaces": "ls" + " " * N,
    "nl": "ls" + "\n" * N,
    "a=": "a=" * (N // 2),
    "x=a": "x=" + "a" * N,
    "(( a ": "(( a" + " " * N + "))",
    "awk": "awk '" + "/" * 3900 + "' f",
    "awk2": "awk '" + "print(" * 600 + "' f",
    "awk3": "awk '{print " + "(" * 1900 + "}' f",
    "sed": "sed '" + "s/" * 1900 + "' f",
    "[[ -v": "[[ -v a" + "[" * N + " ]]",
    "echo $((": "echo $((" + "a[" * 9000 + "))",
    "rm": "rm " + "/" * N,
    "path": "cat " + "../" * 20000,
    "brace": "echo " + "{a," * 1900,
    "ip": "ip " + "a " * 1900,
    "snmp": "snmpbulkwalk " + "-v2c " * 19,
    "hist": "x='" + "a$(" * 3000 + "'",
    "PATH": "PATH=" * 12000,
    "printf": "printf '" + "%s" * 20000 + "' a b c",
    "tr": "echo a | tr " + "a-z" * 9000 + " b | sh",
    "decl": "declare -A " + "a[x]= " * 9000,
}
IN_POWERSHELL = {
    "nl": "Get-Date" + "\n" * N,
    "${": "${" * (N // 2),
    "sp": "Get-Date" + " " * N,
    "`": "`" * N,
    "'": "'" * N,
    '"$(': '"$(' * 9000,
    "@(": "@(" * N,
    "#": "#" * N,
    "<#": "<#" * (N // 2),
    "-a": "Get-Item " + "-a " * 19000,
    "a.b": "a." * 29000,
    "$a.": "$a" + ".b" * 29000,
    "[": "[" * N,
    "::": "[a]" + "::b" * 19000,
    "1,": "1," * 29000,
    "|": "a|" * 29000,
    ";": ";" * N,
    "{": "{" * N,
    "+": "'a'+" * 14000 + "'b'",
    "-f": "'{0}' -f " * 6000 + "1",
    "nlsp": "Get-Date" + "\n " * 29000,
    "here": "@'\n" * 19000,
    "nl|": ("Get-Date" + "\n" * 500) * 110,
    "if": "if(1){" * 9000,
    "func": "function f{" * 5000,
    "$x=": "$x=" * 19000,
    "b64": "powershell -enc " + "A" * N,
    "-join": "-join " * 9000,
    "regex": "'a' -replace '" + "(a+)+" * 1000 + "','b'",
    "[char]": "[char]65+" * 6000 + "'a'",
}
BASH, POWERSHELL = BashValidator(), PowerShellValidator()


@pytest.mark.parametrize("name", IN_BASH)
def test_bash(name: str) -> None:
    assert BASH.judge(IN_BASH[name]).verdict in Verdict


@pytest.mark.parametrize("name", IN_POWERSHELL)
def test_powershell(name: str) -> None:
    assert POWERSHELL.judge(IN_POWERSHELL[name]).verdict in Verdict
