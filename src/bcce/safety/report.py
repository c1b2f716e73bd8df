"""Findings from rules: the same form for every shell."""

import hashlib
from functools import cache
from pathlib import Path

from bcce.kit.findings import Finding, Rule, Severity, Verdict
from bcce.safety.bash.values import shown


def rule(identity: str, title: str, verdict: Verdict, severity: Severity, why: str, instead: str) -> Rule:
    """A rule of the judge itself, which needs no examples: it has no pattern."""
    return Rule(id=identity, title=title, severity=severity, verdict=verdict, why=why, instead=instead)


def finding(rule: Rule, *, line: int | None = None, column: int | None = None, text: str = "", message: str | None = None) -> Finding:
    """A finding of `rule`; `message` says what exactly is wrong there, else it is the rule's title."""
    return Finding(
        rule_id=rule.id,
        severity=rule.severity,
        verdict=rule.verdict,
        message=message or rule.title,
        line=line,
        column=column,
        text=shown(text)[:500],
        why=rule.why,
        hint=rule.instead,
        tags=rule.tags,
    )


@cache
def judge_version(shell: str, number: int) -> str:
    """The version of a shell's judge: its number and a digest over every file of code and tables that takes part in a judgement.

    An approval is bound to it, so one that was given before a table was tightened does not hold afterwards. Reads the files once.
    """
    folder = Path(__file__).parent
    seen = hashlib.sha256()
    for path in sorted(path for kind in ("*.py", "*.txt") for path in folder.rglob(kind)):
        seen.update(f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return f"{shell}/{number}+{seen.hexdigest()[:12]}"
