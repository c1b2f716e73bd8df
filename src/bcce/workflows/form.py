"""The values of a document, checked for their form: what is wrong is noted with its place, and something harmless stands in for it."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeVar, cast

from bcce.config.document import Document, Where
from bcce.kit.findings import Finding, Severity, Verdict
from bcce.resilience.retry import Backoff, RetryPolicy
from bcce.workflows import language
from bcce.workflows.definition import Concurrency, Policy
from bcce.workflows.durations import parse_duration_s
from bcce.workflows.errors import InvalidWorkflow

E = TypeVar("E", bound=StrEnum)
#: Where a key of a step may stand, the likeliest first.
_WAYS_IN: tuple[Where, ...] = ((), ("with",), ("parameters",), ("step",), ("step", "with"), ("step", "parameters"))


def refusal(findings: Iterable[Finding], path: str | None) -> InvalidWorkflow:
    """The error that says the first of `findings` and carries all."""
    every = list(findings)
    first = every[0]
    error = InvalidWorkflow(first.message, path=path, line=first.line, column=first.column, hint=first.hint)
    error.details["findings"] = [finding.to_dict() for finding in every]
    return error


def problem(rule: str, message: str, *, line: int | None, column: int | None, hint: str | None, text: str = "") -> Finding:
    """One thing that keeps a workflow from running."""
    return Finding(
        rule_id=rule, severity=Severity.HIGH, verdict=Verdict.BLOCK, message=message, line=line, column=column, hint=hint, text=text
    )


def did_you_mean(name: str, known: Iterable[str], what: str = "known") -> str:
    """A hint that names the nearest of `known`, or all."""
    options = sorted(known)
    if not options:
        return f"there are no {what}" if what == "inputs" else "there is nothing to choose from"
    near = nearest(name, options)
    return f"did you mean {near!r}?" if near is not None else f"{what}: {', '.join(options)}"


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The one of `known` that `name` most likely means, in whatever style it is written (`dependsOn`, `depends-on`); None for none."""
    plain = {_plain(option): option for option in known}
    near = get_close_matches(_plain(name), plain, n=1, cutoff=cutoff)
    return plain[near[0]] if near else None


def _plain(name: str) -> str:
    """A name without its style, in the singular."""
    letters = "".join(char for char in name if char.isalnum()).casefold()
    return f"{letters[:-3]}y" if letters.endswith("ies") else letters.removesuffix("s")


def place_of(document: Document, where: Where) -> tuple[int, int]:
    """Line and column of what the engine knows as `where`, or of the nearest thing around it that is in the text.

    A parameter may stand inside `with`, and the keys of a resilient step inside `step`.
    """
    path: list[str | int] = []
    value = document.value
    for part in where:
        if isinstance(value, Mapping):
            inside = next((way for way in _WAYS_IN if _has(value, (*way, part))), ())
            path += inside
            for key in inside:
                value = value[key]
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            break
        path.append(part)
    return document.place(tuple(path))


def _has(value: object, way: Where) -> bool:
    for key in way:
        if not isinstance(value, Mapping) or key not in value:
            return False
        value = value[key]
    return True


class Form:
    """A document and what is wrong with it."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.found: list[Finding] = []

    def names(self, value: object, where: Where) -> tuple[str, ...] | None:
        """One text or several; None when there is nothing."""
        if value is None:
            return None
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            self.note(where, "workflow.wrong-value", "this must be a name or a list of names", "for example [first, second]")
            return None
        return tuple(cast(list[str], items))

    def duration(self, value: object, where: Where) -> float | None:
        """Seconds; None when there is nothing."""
        try:
            return None if value is None else parse_duration_s(value)
        except ValueError as error:
            self.note(
                where, "workflow.wrong-value", str(error), "write 30s, 5m, 2h or a number of seconds, more than 0 and at most 30 days"
            )
            return None

    def number(self, value: object, where: Where, low: int, high: int, what: str = "") -> int:
        """A whole number; `low` in place of anything else."""
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            message = f"`{where[-1]}` {what}is a whole number from {low} to {high}"
            self.note(where, "workflow.wrong-value", message, f"for example {where[-1]}: {low}")
            return low
        return value

    def flag(self, value: object, where: Where) -> bool:
        """A truth value; False in place of anything else."""
        if not isinstance(value, bool):
            self.note(where, "workflow.wrong-value", f"`{where[-1]}` is true or false", f"for example {where[-1]}: true")
            return False
        return value

    def choice(self, value: object, default: E, where: Where) -> E:
        """One of the words of the default's kind."""
        options = type(default)
        if value is None:
            return default
        try:
            return options(str(value).replace("_", "-"))
        except ValueError:
            names = [str(item) for item in options]
            self.note(where, "workflow.wrong-value", f"unknown {where[-1]} {str(value)[:60]!r}", did_you_mean(str(value), names, "one of"))
            return default

    def policy(self, value: object, where: Where) -> Policy | None:
        """The limits of an agent's step; None when there are none."""
        if value is None:
            return None
        raw = self.mapping(value, where, "policy: {max_files: 10}")
        self.known(raw, language.POLICY, where, "`policy`")
        base = Policy()
        paths = self.names(raw.get("allowed_paths"), (*where, "allowed_paths"))
        return Policy(
            timeout_seconds=self.number(raw.get("timeout_seconds", base.timeout_seconds), (*where, "timeout_seconds"), 1, 86_400),
            max_files=self.number(raw.get("max_files", base.max_files), (*where, "max_files"), 0, 100_000),
            max_edits=self.number(raw.get("max_edits", base.max_edits), (*where, "max_edits"), 0, 100_000),
            allowed_paths=base.allowed_paths if paths is None else paths,
            cmd_allowlist=self.names(raw.get("cmd_allowlist"), (*where, "cmd_allowlist")) or (),
        )

    def retry(self, value: object, where: Where) -> RetryPolicy | None:
        """When to try again; None when there is nothing."""
        if value is None:
            return None
        raw = self.mapping(value, where, "retry: {attempts: 3}")
        self.known(raw, language.RETRY, where, "`retry`")
        jitter = raw.get("jitter", 0.1)
        if isinstance(jitter, bool) or not isinstance(jitter, int | float) or not 0 <= jitter <= 1:
            self.note((*where, "jitter"), "workflow.wrong-value", "`jitter` is a share from 0 to 1", "for example jitter: 0.1")
            jitter = 0.1
        return RetryPolicy(
            attempts=self.number(raw.get("attempts", 3), (*where, "attempts"), 1, 100, "counts all tries and "),
            backoff=self.choice(raw.get("backoff"), Backoff.EXPONENTIAL, (*where, "backoff")),
            base_s=self.duration(raw.get("base"), (*where, "base")) or 1.0,
            cap_s=self.duration(raw.get("cap"), (*where, "cap")) or 60.0,
            jitter=float(jitter),
            on=frozenset(self.names(raw.get("on"), (*where, "on")) or ()),
        )

    def concurrency(self, value: object, where: Where) -> Concurrency | None:
        """How many runs of a group; None when there is nothing."""
        if value is None:
            return None
        raw = {"group": value} if isinstance(value, str) else self.mapping(value, where, "concurrency: {group: nightly}")
        raw = {key.replace("cancel_in_progress", "cancel-in-progress"): item for key, item in raw.items()}
        self.known(raw, language.CONCURRENCY, where, "`concurrency`")
        if not isinstance(raw.get("group"), str):
            self.note(where, "workflow.missing-key", "`concurrency` needs a `group`", 'for example group: "{{ inputs.host }}"')
        return Concurrency(
            group=str(raw.get("group")),
            limit=self.number(raw.get("limit", 1), (*where, "limit"), 1, 10_000),
            cancel_in_progress=self.flag(raw.get("cancel-in-progress", False), (*where, "cancel-in-progress")),
        )

    def list(self, value: object, where: Where) -> list[object]:
        """A list; empty in place of anything else."""
        if value is None:
            return []
        if not isinstance(value, list):
            self.note(where, "workflow.wrong-value", f"`{where[-1]}` must be a list", "begin each item with `- `")
            return []
        return cast(list[object], value)

    def mapping(self, value: object, where: Where, example: str = "") -> dict[str, object]:
        """A mapping; empty in place of anything else."""
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.note(
                where,
                "workflow.wrong-value",
                f"`{where[-1]}` must be a mapping of names to values",
                f"for example {example or f'{where[-1]}: {{name: value}}'}",
            )
            return {}
        return dict(cast(Mapping[str, object], value))

    def known(self, raw: Mapping[str, object], known: Iterable[str], where: Where, what: str) -> None:
        """Notes every key that is not known."""
        names = set(known)
        for key in raw:
            if key not in names:
                self.note((*where, key), "workflow.unknown-key", f"{what} has no key {key!r}", did_you_mean(key, names))

    def note(self, where: Where, rule: str, message: str, hint: str) -> None:
        """Notes what is wrong at a place."""
        line, column = place_of(self.document, where)
        self.found.append(problem(rule, message, line=line, column=column, hint=hint, text=str(where[-1]) if where else ""))
