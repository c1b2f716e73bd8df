"""Whole trees that are deleted: a drive, the system's or everybody's folders."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.powershell.places import is_tree
from bcce.safety.powershell.readers import only_says
from bcce.safety.powershell.view import View
from bcce.safety.rules.powershell import Place

RULE = Rule(
    id="powershell.delete-tree",
    title="A whole tree of files is deleted",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="nothing brings the files back",
    instead="delete named files below one application's folder, older than a given age",
    tags=("T1485", "CWE-732"),
    examples_match=(
        "Remove-Item -Path C:\\ -Recurse -Force",
        "ri C:\\Windows\\System32 -r -fo",
        "Get-ChildItem C:\\Users -Recurse | Remove-Item -Force -Recurse",
        "cmd /c rd /s /q C:\\",
        "[IO.Directory]::Delete('C:\\Users', $true)",
        "$d = 'D:\\'; del \"$d*\" -Recurse",
    ),
    examples_pass=(
        "Remove-Item C:\\inetpub\\logs\\app\\*.log",
        "Remove-Item -Path C:\\ -Recurse -WhatIf",
        "Remove-Item $env:TEMP\\build -Recurse",
        "Get-ChildItem C:\\ -Recurse",
    ),
)
_SHELL = re.compile(
    r"(?i)\b(?:rd|rmdir)\b.*?/s.*?\s\"?([a-z]:\\?[^\s\"&|]*|%\w+%[^\s\"&|]*)|\b(?:del|erase)\b(?=.*\s/s).*?\s\"?([a-z]:\\[^\s\"&|]*|"
    r"%\w+%[^\s\"&|]*)"
)


def find(view: View) -> Iterable[Place]:
    """Remove-Item of such a folder or of what a listing of it gives; the same by cmd and by .NET."""
    for call in view.calls:
        if call.name == "remove-item" and not only_says(call):
            words = view.everything(call)
            for other in map(view.call_of, call.inputs):
                if other is not None and other.name in ("get-childitem", "get-item"):
                    words += view.everything(other)
            if any(is_tree(word) for word in words):
                yield Place(call.command)
        elif call.name in ("cmd", "cmd.exe"):
            for found in _SHELL.finditer(view.said(call)):
                if is_tree(found[1] or found[2] or ""):
                    yield Place(call.command)
    for member in view.members:
        if (
            member.is_static
            and member.args
            and (view.values.text(member.name) or "").lower() == "delete"
            and is_tree(view.word(member.args[0]))
        ):
            yield Place(member)
