"""Findings from rules and commands for the policy: the same form for every shell."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from bcce.kit.findings import Finding, Rule, Severity, Verdict
from bcce.safety.bash.values import ANY, NUM, OUT, shown
from bcce.safety.model import MAX_BYTES, UNKNOWN, CommandUse

_MAX_FINDINGS = 200
_UNKNOWN = str.maketrans(dict.fromkeys((ANY, OUT, NUM), UNKNOWN))


def rule(identity: str, title: str, verdict: Verdict, severity: Severity, why: str, instead: str) -> Rule:
    """A rule of the judge itself, which needs no examples: it has no pattern."""
    return Rule(id=identity, title=title, severity=severity, verdict=verdict, why=why, instead=instead)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonRules:
    """The rules that every judge has, whatever the shell; `parameter` is how a script of that shell takes a value."""

    unknown: Rule
    dynamic: Rule
    writes: Rule
    secret: Rule
    not_understood: Rule
    disagreement: Rule
    hidden: Rule
    too_large: Rule
    redefined: Rule
    template: Rule

    @classmethod
    def of(cls, shell: str, *, parameter: str) -> "CommonRules":
        """The rules under the name of a shell."""

        def ask(name: str, title: str, severity: Severity, why: str, instead: str) -> Rule:
            return rule(f"{shell}.{name}", title, Verdict.APPROVE, severity, why, instead)

        low, medium, high = Severity.LOW, Severity.MEDIUM, Severity.HIGH
        simply, other = "write it more simply", "use other names"
        return cls(
            unknown=ask(
                "unknown-command",
                "What this command does is not known to be harmless",
                low,
                "it is not proven to read only",
                "a person decides",
            ),
            dynamic=ask("computed-command", "The command is computed", medium, "the text does not say what runs", "write the command out"),
            writes=ask("writes-file", "A file is written", low, "writing changes the machine", "a person decides"),
            secret=ask(
                "reads-secret",
                "A place where secrets are kept is read",
                high,
                "what it holds ends up in logs and tickets",
                "look at its owner and mode instead",
            ),
            not_understood=ask(
                "not-understood", "A part of the script is not understood", medium, "what is not understood cannot be judged", simply
            ),
            disagreement=ask(
                "parse-disagreement",
                "Two parsers read the script differently",
                medium,
                "what one of them misses could be what runs",
                simply,
            ),
            hidden=ask(
                "hidden-characters",
                "The script holds characters that cannot be seen or look like others",
                high,
                "what is read may not be what runs",
                "remove them",
            ),
            too_large=ask("too-large", "The script is too large to be judged", medium, f"the limit is {MAX_BYTES} bytes", "split it"),
            redefined=ask(
                "redefines-commands",
                "The script changes what commands mean",
                medium,
                "no name can be trusted afterwards",
                other,
            ),
            template=rule(
                f"{shell}.template",
                "The script holds a template",
                Verdict.BLOCK,
                high,
                "a value put into the text would become code",
                f"take it as a parameter: {parameter}",
            ),
        )

    def all(self) -> tuple[Rule, ...]:
        """Every one of them."""
        return tuple(getattr(self, field.name) for field in fields(self))


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


def in_order(findings: Iterable[Finding], too_many: Rule) -> list[Finding]:
    """Each finding once, the strictest first; of more than 200 the rest is one finding, so that none can be taken for absent."""
    unique = list({(item.rule_id, item.line, item.column, item.message, item.text): item for item in findings}.values())
    unique.sort(key=lambda item: (-item.verdict.rank, item.line or 0, item.column or 0, item.rule_id))
    if len(unique) > _MAX_FINDINGS:
        rest = len(unique) - _MAX_FINDINGS
        return [*unique[:_MAX_FINDINGS], finding(too_many, message=f"{rest} more findings are not shown")]
    return unique


def command_use(argv: Sequence[str], raw: str, *, line: int, column: int, is_plain: bool, is_fed: bool) -> CommandUse:
    """A command for the policy, at the place that a finding about it has."""
    return CommandUse(
        argv=tuple(shown(word.translate(_UNKNOWN)) for word in argv),
        text=shown(raw)[:500],
        is_plain=is_plain,
        is_fed=is_fed,
        line=line,
        column=column,
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
